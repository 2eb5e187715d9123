/** Environment in, typed config out. A value that does not fit is a ConfigError: one line that names the variable. */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { ensureDir } from "./ensure-dir.ts";
import { BadValue, type Kind } from "./kinds.ts";
import { CONTROL_ACTORS, type ControlActor, ROLES, type Role, VARIABLES } from "./variables.ts";

export { type ControlActor, ROLES, type Role } from "./variables.ts";

/** Exit status for a configuration that can't work (sysexits.h EX_USAGE). */
export const EXIT_CONFIG = 64;

/** Its message is the line to show, and starts with the variable's name. */
export class ConfigError extends Error {
  readonly variable: string;
  constructor(variable: string, problem: string) {
    super(`${variable}: ${problem}`);
    this.name = "ConfigError";
    this.variable = variable;
  }
}

type Env = Readonly<Record<string, string | undefined>>;
type Table = typeof VARIABLES;
type Parsed<V> = V extends { kind: Kind<infer T>; fallback: infer F } ? (F extends null ? T | null : T) : never;
type Values = { readonly [K in keyof Table]: Parsed<Table[K]> };

/** What is decided once everything is known. Public URLs stay null where their port may be 0: see `baseUrlOf`. */
interface Decided {
  /** `control` where any of its actors runs here. */
  readonly roles: readonly Role[];
  readonly controlActors: readonly ControlActor[];
  readonly nodeId: string;
  readonly streamers: number;
  readonly demo: boolean;
  readonly logFormat: "pretty" | "json";
  /** Every role in this one process: no bus is needed. */
  readonly allInOne: boolean;
}
/** The whole configuration of one process; `dataDir` is absolute. */
export type Config = Omit<Values, keyof Decided> & Decided;
/** Config without what would have to be written to disk. */
export type Settings = Omit<Config, "nodeId"> & { readonly nodeId: string | null };

const readVariable = (variable: (typeof VARIABLES)[keyof Table], env: Env): unknown => {
  const text = env[variable.env]?.trim() || variable.fallback;
  if (text === null) return null;
  try {
    return variable.kind.parse(text);
  } catch (error) {
    if (!(error instanceof BadValue)) throw error;
    const shown = "secret" in variable ? "its value" : JSON.stringify(text.slice(0, 80));
    throw new ConfigError(variable.env, `${shown} is not ${variable.kind.takes}.`);
  }
};

/** From the words of ROLES, which may name single actors of the role control. */
const rolesOf = (words: Values["roles"]): Pick<Decided, "roles" | "controlActors" | "allInOne"> => {
  const controlActors = words.includes("control") ? CONTROL_ACTORS : CONTROL_ACTORS.filter((a) => words.includes(a));
  const roles = ROLES.filter((role) => words.includes(role) || (role === "control" && controlActors.length > 0));
  const allInOne = roles.length === ROLES.length && controlActors.length === CONTROL_ACTORS.length;
  return { roles, controlActors, allInOne };
};

const checkBackends = (values: Values, { roles, controlActors }: Pick<Decided, "roles" | "controlActors">): void => {
  const missing = [
    ...ROLES.filter((role) => !roles.includes(role)),
    ...CONTROL_ACTORS.filter((actor) => roles.includes("control") && !controlActors.includes(actor)),
  ].join(", ");
  if (missing === "") return;
  if (values.natsUrl === null) {
    throw new ConfigError("NATS_URL", `is needed: without ${missing} in ROLES this process must reach other nodes.`);
  }
  if (values.databaseUrl === null && roles.includes("control")) {
    throw new ConfigError("DATABASE_URL", `is needed by the role control when ROLES leaves out ${missing}.`);
  }
};

const checkPorts = (values: Values, roles: readonly Role[], streamers: number): void => {
  const has = (role: Role): boolean => roles.includes(role);
  const taken = new Map<number, string>();
  const take = (variable: string, number: number): void => {
    if (number === 0) return;
    const other = taken.get(number);
    if (other !== undefined) throw new ConfigError(variable, `port ${number} is also taken by ${other}.`);
    taken.set(number, variable);
  };
  if (has("gateway")) take("PORT", values.port);
  if (has("edge")) take("EDGE_PORT", values.edgePort);
  if (has("streamer") && values.streamerPort !== 0) {
    const last = values.streamerPort + streamers - 1;
    if (last > 65_535) throw new ConfigError("STREAMER_PORT", `leaves no ports for ${streamers} streamers.`);
    for (let number = values.streamerPort; number <= last; number += 1) take("STREAMER_PORT", number);
  }
  if (values.healthPort !== null) take("HEALTH_PORT", values.healthPort);
};

/** Reads and checks the environment; touches nothing on disk. Throws ConfigError. */
export const readSettings = (env: Env, terminal = process.stdout.isTTY === true): Settings => {
  const entries = Object.entries(VARIABLES).map(([key, variable]) => [key, readVariable(variable, env)]);
  // The table gives each field its type; fromEntries can't see that.
  const values = Object.fromEntries(entries) as Values;
  const decided = rolesOf(values.roles);
  const { allInOne, roles } = decided;
  checkBackends(values, decided);
  const streamers = values.streamers ?? (allInOne ? 2 : 1);
  checkPorts(values, roles, streamers);
  return {
    ...values,
    ...decided,
    dataDir: resolve(values.dataDir),
    streamers,
    demo: values.demo ?? allInOne,
    logFormat: values.logFormat ?? (terminal ? "pretty" : "json"),
  };
};

/** The name in DATA_DIR, made there at the first start. */
const keptNodeId = (dataDir: string): string => {
  const file = join(dataDir, "run", "node-id");
  const host = hostname()
    .replace(/[^A-Za-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 40);
  try {
    ensureDir(join(dataDir, "run"));
    try {
      // `wx`: of two processes that start at once, one name wins and both read it.
      writeFileSync(file, `${host || "node"}-${randomBytes(3).toString("hex")}\n`, { flag: "wx" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    return VARIABLES.nodeId.kind.parse(readFileSync(file, "utf8").trim());
  } catch (error) {
    if (error instanceof BadValue) throw new ConfigError("NODE_ID", `${file} holds no usable name; remove the file.`);
    throw new ConfigError("DATA_DIR", `can't be used: ${(error as Error).message}.`);
  }
};

/** The configuration of this process; makes DATA_DIR and keeps NODE_ID there. Throws ConfigError. */
export const loadConfig = (env: Env): Config => {
  const settings = readSettings(env);
  return { ...settings, nodeId: settings.nodeId ?? keptNodeId(settings.dataDir) };
};

/** `http://host:port` for a listener without a public URL; a wildcard address becomes this machine's name. */
export const baseUrlOf = (host: string, port: number): string => {
  const name = host === "0.0.0.0" || host === "::" ? hostname() : host;
  return `http://${name.includes(":") ? `[${name}]` : name}:${port}`;
};
