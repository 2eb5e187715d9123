/** Environment in, typed config out. A value that does not fit is a ConfigError: one line that names the variable. */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { ConfigError } from "./config-error.ts";
import { ensureDir } from "./ensure-dir.ts";
import { BadValue } from "./kinds.ts";
import { type PackagerConfig, packagerConfig } from "./packager-config.ts";
import { PACKAGER_VARIABLES } from "./packager-variables.ts";
import { type Env, Texts } from "./texts.ts";
import type { ValuesOf } from "./variable.ts";
import { CONTROL_ACTORS, type ControlActor, ROLES, type Role, VARIABLES } from "./variables.ts";

export { ConfigError } from "./config-error.ts";
export type { PackagerConfig } from "./packager-config.ts";
export { type ControlActor, ROLES, type Role } from "./variables.ts";

/** Exit status for a configuration that can't work (sysexits.h EX_USAGE). */
export const EXIT_CONFIG = 64;

type Values = ValuesOf<typeof VARIABLES>;

/** What is decided once everything is known. Public URLs stay null where their port may be 0: see `baseUrlOf`. */
interface Decided {
  /** `control` where any of its actors runs here. */
  readonly roles: readonly Role[];
  readonly controlActors: readonly ControlActor[];
  readonly nodeId: string;
  readonly streamers: number;
  readonly demo: boolean;
  readonly logFormat: "pretty" | "json";
  /** Every role that needs others is in this one process: no bus is needed. */
  readonly allInOne: boolean;
  /** Null where the role packager is not. */
  readonly packager: PackagerConfig | null;
  /** What is set and has no effect; a sentence each. */
  readonly warnings: readonly string[];
}
/** The whole configuration of one process; `dataDir` is absolute. */
export type Config = Omit<Values, keyof Decided | Exclude<keyof typeof PACKAGER_VARIABLES, "packagerPort">> & Decided;
/** Config without what would have to be written to disk. */
export type Settings = Omit<Config, "nodeId"> & { readonly nodeId: string | null };

/** Without what `packager` holds in its own shape. */
const coreOf = (values: Values): Omit<Values, Exclude<keyof typeof PACKAGER_VARIABLES, "packagerPort">> => {
  const packagers = new Set<string>(Object.keys(PACKAGER_VARIABLES).filter((key) => key !== "packagerPort"));
  const core = Object.entries(values).filter(([key]) => !packagers.has(key));
  return Object.fromEntries(core) as ReturnType<typeof coreOf>; // as above
};

/** From the words of ROLES, which may name single actors of the role control. */
const rolesOf = (words: Values["roles"]): Pick<Decided, "roles" | "controlActors" | "allInOne"> => {
  const controlActors = words.includes("control") ? CONTROL_ACTORS : CONTROL_ACTORS.filter((a) => words.includes(a));
  const roles = ROLES.filter((role) => words.includes(role) || (role === "control" && controlActors.length > 0));
  return { roles, controlActors, allInOne: missingOf({ roles, controlActors }).length === 0 };
};

/** Asks nobody for anything and is asked for nothing that another role can't do without. */
const STANDS_ALONE: readonly Role[] = ["packager"];
/** Nobody waits for its answer: what it does is in the database until somebody does it. */
const OPTIONAL: readonly Role[] = ["packager", "transcoder"];

const missingOf = ({ roles, controlActors }: Pick<Decided, "roles" | "controlActors">): string[] => [
  ...ROLES.filter((role) => !roles.includes(role) && !OPTIONAL.includes(role)),
  ...CONTROL_ACTORS.filter((actor) => roles.includes("control") && !controlActors.includes(actor)),
];

/** An edge that was told of its sites by a file needs nobody either. */
const standsAlone = (role: Role, { edgeConfig }: Pick<Values, "edgeConfig">): boolean =>
  STANDS_ALONE.includes(role) || (role === "edge" && edgeConfig !== null);

const checkBackends = (values: Values, decided: Pick<Decided, "roles" | "controlActors">): void => {
  const { roles } = decided;
  const missing = missingOf(decided).join(", ");
  if (missing === "" || roles.every((role) => standsAlone(role, values))) return;
  if (values.natsUrl === null) {
    throw new ConfigError("NATS_URL", `is needed: without ${missing} in ROLES this process must reach other nodes.`);
  }
  const needsDatabase = roles.find((role) => role === "control" || role === "transcoder");
  if (values.databaseUrl === null && needsDatabase) {
    throw new ConfigError("DATABASE_URL", `is needed by the role ${needsDatabase} when ROLES leaves out ${missing}.`);
  }
};

const checkPorts = (
  values: Values,
  { roles, controlActors }: Pick<Decided, "roles" | "controlActors">,
  streamers: number,
): void => {
  const has = (role: Role): boolean => roles.includes(role);
  const taken = new Map<number, string>();
  const take = (variable: string, number: number): void => {
    if (number === 0) return;
    const other = taken.get(number);
    if (other !== undefined) throw new ConfigError(variable, `port ${number} is also taken by ${other}.`);
    taken.set(number, variable);
  };
  if (has("gateway")) take("PORT", values.port);
  if (controlActors.includes("upload")) take("UPLOAD_PORT", values.uploadPort);
  if (has("edge")) take("EDGE_PORT", values.edgePort);
  if (has("edge") && values.edgeTlsPort !== null) take("EDGE_TLS_PORT", values.edgeTlsPort);
  if (has("edge") && values.edgeAdminPort !== null) take("EDGE_ADMIN_PORT", values.edgeAdminPort);
  if (has("streamer") && values.streamerPort !== 0) {
    const last = values.streamerPort + streamers - 1;
    if (last > 65_535) throw new ConfigError("STREAMER_PORT", `leaves no ports for ${streamers} streamers.`);
    for (let number = values.streamerPort; number <= last; number += 1) take("STREAMER_PORT", number);
  }
  if (has("packager")) take("PACKAGER_PORT", values.packagerPort);
  if (values.healthPort !== null) take("HEALTH_PORT", values.healthPort);
};

/**
 * Reads and checks the environment, and the `config.ini` of a packager; writes nothing on disk. Throws ConfigError.
 */
export const readSettings = (env: Env, terminal = process.stdout.isTTY === true): Settings => {
  const decided = rolesOf(new Texts(env, { withIni: false }).read(VARIABLES.roles) ?? ROLES);
  const { allInOne, roles } = decided;
  const isPackager = roles.includes("packager");
  const texts = new Texts(env, { withIni: isPackager });
  const entries = Object.entries(VARIABLES).map(([key, variable]) => [key, texts.read<unknown>(variable)]);
  // The table gives each field its type; fromEntries can't see that.
  const values = Object.fromEntries(entries) as Values;
  checkBackends(values, decided);
  const streamers = values.streamers ?? (allInOne ? 2 : 1);
  checkPorts(values, decided, streamers);
  const dataDir = resolve(values.dataDir);
  const debug = isPackager && values.packagerDebug && !texts.has(VARIABLES.logLevel);
  return {
    ...coreOf(values),
    ...decided,
    dataDir,
    streamers,
    demo: values.demo ?? allInOne,
    logLevel: debug ? "debug" : values.logLevel,
    logFormat: values.logFormat ?? (terminal ? "pretty" : "json"),
    packager: isPackager ? packagerConfig(values, { texts, dataDir }) : null,
    warnings: isPackager ? texts.unknown() : [],
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
