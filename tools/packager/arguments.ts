/** The words behind `packager`. */
import { parseArgs } from "node:util";

export const COMMANDS = ["stat", "purge", "clean", "token"] as const;
export type Command = (typeof COMMANDS)[number];

/** The command stops with this status and line. */
export class Stop extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** sysexits.h EX_USAGE. */
export const EXIT_USAGE = 64;

export interface Arguments {
  readonly command: Command;
  readonly addresses: readonly string[];
  readonly all: boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly server: string | null;
  readonly paths: readonly string[];
  readonly ttlSeconds: number;
  readonly ip: string | null;
  readonly id: string | null;
  readonly rule: string | null;
}

const OPTIONS = {
  all: { type: "boolean" },
  "dry-run": { type: "boolean" },
  json: { type: "boolean" },
  server: { type: "string" },
  path: { type: "string", multiple: true },
  ttl: { type: "string" },
  ip: { type: "string" },
  id: { type: "string" },
  rule: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

type Flag = keyof typeof OPTIONS;

/** Flags that a command takes; what another one takes is a mistake here. */
const TAKES: Readonly<Record<Command, readonly Flag[]>> = {
  stat: ["json"],
  purge: ["all", "dry-run", "json", "server"],
  clean: ["json", "server"],
  token: ["path", "ttl", "ip", "id", "rule"],
};

const SECONDS: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600, d: 86_400 };
const TTL_SECONDS_MAX = 366 * 86_400;

const ttlOf = (text: string): number => {
  const [, digits = "0", unit = ""] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? [];
  const seconds = Number(digits) * (SECONDS[unit] ?? 0);
  if (seconds >= 1 && seconds <= TTL_SECONDS_MAX) return seconds;
  throw new Stop(EXIT_USAGE, `--ttl ${text} is no time such as 300, 30s, 5m or 24h.`);
};

const parsed = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new Stop(EXIT_USAGE, (error as Error).message);
  }
};

/** The arguments; null: help is wanted. Throws Stop for what is not understood. */
export const readArguments = (args: readonly string[]): Arguments | null => {
  const { values, positionals } = parsed(args);
  if (values.help || args.length === 0) return null;
  const [word, ...addresses] = positionals;
  const command = COMMANDS.find((one) => one === word);
  if (!command) throw new Stop(EXIT_USAGE, `"${word ?? ""}" is no command; --help shows all of them.`);
  const stray = (Object.keys(values) as Flag[]).find((flag) => !TAKES[command].includes(flag));
  if (stray) throw new Stop(EXIT_USAGE, `${command} takes no --${stray}.`);
  if (command !== "purge" && addresses.length > 0) throw new Stop(EXIT_USAGE, `${command} takes no address.`);
  if (command === "purge" && addresses.length > 0 === (values.all === true)) {
    throw new Stop(EXIT_USAGE, "purge takes addresses or --all.");
  }
  if (command === "token" && !values.path) throw new Stop(EXIT_USAGE, "token needs --path.");
  return {
    command,
    addresses,
    all: values.all === true,
    dryRun: values["dry-run"] === true,
    json: values.json === true,
    server: values.server ?? null,
    paths: values.path ?? [],
    ttlSeconds: ttlOf(values.ttl ?? "5m"),
    ip: values.ip ?? null,
    id: values.id ?? null,
    rule: values.rule ?? null,
  };
};
