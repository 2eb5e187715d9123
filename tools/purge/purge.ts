/** `npm start -- purge`: tells a running packager to forget stored files, and says what it let go of. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { Purged } from "../../contracts/packager.ts";
import { ConfigError, EXIT_CONFIG, readSettings } from "../../lib/config/config.ts";
import { VARIABLES } from "../../lib/config/variables.ts";

const DEADLINE_MS = 15_000;
const TOKEN = VARIABLES.packagerAdminToken.env;

const HELP = `Tells a running packager to forget stored files: their indexes, copies and made segments.

Usage
  npm start -- purge ADDRESS…           of files and sets, or patterns: /i/film.mp4/master.m3u8 '/i/trailers/*'
  npm start -- purge --all              of everything

Flags
  --dry-run             only count
  --url URL             the packager's address; that of the one with this DATA_DIR unless told
  --help, -h            this text

It needs ${TOKEN}, as the packager has it.
`;

const FLAGS = {
  all: { type: "boolean", default: false },
  "dry-run": { type: "boolean", default: false },
  url: { type: "string" },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** The command stops with this status and line. */
class Stop extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const parsed = (args: readonly string[]) => {
  try {
    return parseArgs({ args: [...args], options: FLAGS, allowPositionals: true });
  } catch (error) {
    throw new Stop(EXIT_CONFIG, `${(error as Error).message}; --help shows all flags.`);
  }
};

const Endpoints = z.object({ packager: z.string() });

/** Where the packager with this DATA_DIR listens. */
const runningAt = (dataDir: string): string => {
  const file = join(dataDir, "run", "endpoints.json");
  try {
    return Endpoints.parse(JSON.parse(readFileSync(file, "utf8"))).packager;
  } catch {
    throw new Stop(1, `${file} names no packager: is one running with this DATA_DIR? --url names another one.`);
  }
};

const Problem = z.object({ detail: z.string() });

const send = async (url: string, token: string, body: unknown): Promise<z.output<typeof Purged>> => {
  const response = await fetch(`${url.replace(/\/+$/, "")}/purge`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(DEADLINE_MS),
  }).catch((error: Error) => {
    throw new Stop(1, `${url} does not answer: ${error.cause instanceof Error ? error.cause.message : error.message}.`);
  });
  const answer: unknown = await response.json().catch(() => null);
  if (response.ok) return Purged.parse(answer);
  const problem = Problem.safeParse(answer);
  throw new Stop(1, `${url} answers ${response.status}${problem.success ? `: ${problem.data.detail}` : "."}`);
};

const inWords = ({ indexCount, inputCount, segmentCount, sizeBytes }: Purged, dryRun: boolean): string => {
  const counts = `${indexCount} indexes, ${inputCount} copies, ${segmentCount} segments, ${sizeBytes} bytes`;
  return `${dryRun ? "would forget" : "forgotten"}: ${counts}\n`;
};

const run = async (args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> => {
  const { values, positionals: urls } = parsed(args);
  if (values.help) return HELP;
  if (values.all === urls.length > 0) throw new Stop(EXIT_CONFIG, "either addresses or --all; --help says more.");
  const { packager, dataDir } = readSettings({ ...env, ROLES: "packager" });
  const token = packager?.adminToken;
  if (!token) throw new Stop(EXIT_CONFIG, `${TOKEN}: is needed, as the packager has it.`);
  const dryRun = values["dry-run"];
  const body = { ...(values.all ? { all: true } : { urls }), ...(dryRun ? { dryRun } : {}) };
  return inWords(await send(values.url ?? runningAt(dataDir), token, body), dryRun);
};

/** Runs the command; its exit status. */
export const purge = async (args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> => {
  try {
    process.stdout.write(await run(args, env));
    return 0;
  } catch (error) {
    if (!(error instanceof Stop || error instanceof ConfigError)) throw error;
    process.stderr.write(`castellan: ${error.message}\n`);
    return error instanceof Stop ? error.status : EXIT_CONFIG;
  }
};
