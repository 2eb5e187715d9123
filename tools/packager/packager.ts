/** `npm start -- packager …`: an operator's commands for the packager of this node. */
import { ConfigError, EXIT_CONFIG, readSettings } from "../../lib/config/config.ts";
import { type Arguments, readArguments, Stop } from "./arguments.ts";
import { HELP } from "./help.ts";
import { tokenFor } from "./token.ts";
import { type Done, isRefusal, openWay, type PackagerSettings, usageOf } from "./ways.ts";

const MB = 1_000_000;
const megabytes = (bytes: number): string => `${(bytes / MB).toFixed(1)} MB`;

/** What does not concern the packager is left out: the process that is asked about may be one of other roles too. */
const settingsOf = (env: NodeJS.ProcessEnv): PackagerSettings => {
  const settings = readSettings({ ...env, ROLES: "packager" }, false);
  if (!settings.packager) throw new Error("bug: the role packager has no settings");
  return { ...settings, packager: settings.packager };
};

const WAYS: Readonly<Record<Done["by"], string>> = {
  packager: "the packager says",
  index: "the packager has followed",
  command: "no packager runs here; done by this command",
};

const doneLine = ({ by, dryRun, indexCount, inputCount, segmentCount, sizeBytes }: Done): string => {
  const indexes = indexCount === null || dryRun ? "" : `, ${indexCount} indexes`;
  const what = `${inputCount} input files, ${segmentCount} segments${indexes}, ${megabytes(sizeBytes)}`;
  return `${dryRun ? "would remove" : "removed"} ${what} (${WAYS[by]})\n`;
};

const statText = async (settings: PackagerSettings, { json }: Arguments): Promise<string> => {
  const caches = await usageOf(settings);
  if (json) return `${JSON.stringify({ caches })}\n`;
  if (caches.length === 0) return "no cache is on: files are read in place\n";
  return caches
    .map(({ cache, entryCount, bytes, maxBytes, dir }) => {
      const percent = ((100 * bytes) / maxBytes).toFixed(1);
      return `${cache.padEnd(8)} ${entryCount} files, ${megabytes(bytes)} of ${megabytes(maxBytes)} (${percent} %)  ${dir}\n`;
    })
    .join("");
};

const run = async (args: Arguments, settings: PackagerSettings): Promise<string> => {
  const { command, addresses, all, dryRun, json, server } = args;
  if (command === "token") return `${tokenFor(settings.packager, args, Date.now())}\n`;
  if (command === "stat") return statText(settings, args);
  const way = await openWay(settings, server);
  const targets = all ? { all } : { urls: [...addresses] };
  const done = command === "purge" ? await way.purge(targets, { dryRun }) : await way.clean();
  return json ? `${JSON.stringify(done)}\n` : doneLine(done);
};

export interface Output {
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
}

const TERMINAL: Output = {
  print: (text) => void process.stdout.write(text),
  complain: (text) => void process.stderr.write(text),
};

/** Runs the words behind `packager`; gives the exit status. */
export const main = async (
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  { print, complain }: Output = TERMINAL,
): Promise<number> => {
  try {
    const args = readArguments(argv);
    print(args ? await run(args, settingsOf(env)) : HELP);
    return 0;
  } catch (error) {
    const known = error instanceof Stop || error instanceof ConfigError || isRefusal(error);
    if (!known) throw error;
    complain(`packager: ${error.message}\n`);
    return error instanceof Stop ? error.status : EXIT_CONFIG;
  }
};
