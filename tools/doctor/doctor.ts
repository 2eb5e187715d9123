/** `npm run doctor`: looks at this machine with the configuration that a start would have, and says what to do. */
import { ConfigError, readSettings, type Settings } from "../../lib/config/config.ts";
import { checkBus } from "./bus.ts";
import { checkDatabase } from "./database.ts";
import { checkFfmpeg } from "./ffmpeg.ts";
import { bad, type Finding } from "./finding.ts";
import { checkDataDir, checkMachine } from "./machine.ts";
import { checkPackager } from "./packager.ts";
import { checkPorts } from "./ports.ts";

/** All checks for these settings, in the order in which they are shown. */
export const examine = async (settings: Settings): Promise<Finding[]> => {
  const groups = await Promise.all([
    checkMachine(settings),
    checkDataDir(settings),
    checkPorts(settings),
    checkFfmpeg(settings),
    checkPackager(settings),
    checkDatabase(settings),
    checkBus(settings),
  ]);
  return groups.flat();
};

/** A finding as it is printed: what to do stands below it. */
export const line = ({ state, subject, text, todo }: Finding): string =>
  `${state.padEnd(4)}  ${subject}: ${text}\n${todo === undefined ? "" : `      → ${todo}\n`}`;

const settingsOrFinding = (env: NodeJS.ProcessEnv): Settings | Finding => {
  try {
    return readSettings(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return bad("configuration", error.message, "Set it right; `npm start -- --help` lists all variables.");
  }
};

/** Prints the findings; the exit status: 1 when one of them is a fail. */
export const doctor = async (
  env: NodeJS.ProcessEnv,
  print: (text: string) => void = (text) => void process.stdout.write(text),
): Promise<0 | 1> => {
  const settings = settingsOrFinding(env);
  const findings = "state" in settings ? [settings] : await examine(settings);
  for (const finding of findings) print(line(finding));
  const count = (state: Finding["state"]): number => findings.filter((finding) => finding.state === state).length;
  print(`\n${count("ok")} ok, ${count("warn")} to look at, ${count("fail")} that stop a start\n`);
  return count("fail") > 0 ? 1 : 0;
};
