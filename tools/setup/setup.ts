/** `npm start -- setup`: asks what a packager needs to know, and writes it to `.env`. */
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { ConfigError, EXIT_CONFIG, readSettings } from "../../lib/config/config.ts";
import { namesIn, Unwritable, withVariables } from "./env-file.ts";
import { openPrompt, type Prompt, type Streams } from "./prompt.ts";
import { INPUT_TYPE, isAsked, QUESTIONS, type Question, variablesOf, WRITTEN } from "./questions.ts";

const FLAGS = QUESTIONS.filter(({ flag }) => flag !== "cache");
const flagLine = ({ flag, text, otherwise }: Question): string =>
  `  --${flag} VALUE`.padEnd(28) + text + (otherwise === "" ? "" : ` [${otherwise}]`);

const HELP = `Asks what a packager needs to know, and writes it to .env: for Docker Compose, and for --env.

Usage
  npm start -- setup [flags]

Flags
  --yes, -y                 ask nothing: take the flags, and the defaults for the rest
  --force, -f               replace what an .env of before says, without asking
  --file PATH               the file to write, .env unless told
  --cache, --no-cache       ${QUESTIONS.find(({ flag }) => flag === "cache")?.text}
${FLAGS.map(flagLine).join("\n")}
  --help, -h                this text
`;

/** The wizard stops with this status and line. */
class Stop extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

interface Flags {
  readonly help: boolean;
  readonly yes: boolean;
  readonly force: boolean;
  readonly file: string;
  /** By question. */
  readonly answers: ReadonlyMap<string, string>;
}

const parsed = (args: readonly string[]) => {
  const options = Object.fromEntries(FLAGS.map(({ flag }) => [flag, { type: "string" as const }]));
  try {
    return parseArgs({
      args: [...args],
      allowNegative: true,
      options: {
        ...options,
        cache: { type: "boolean" },
        help: { type: "boolean", short: "h" },
        yes: { type: "boolean", short: "y" },
        force: { type: "boolean", short: "f" },
        file: { type: "string" },
      },
    }).values as Readonly<Record<string, string | boolean | undefined>>;
  } catch (error) {
    throw new Stop(EXIT_CONFIG, `${(error as Error).message}; --help shows all flags.`);
  }
};

const readFlags = (args: readonly string[]): Flags => {
  const { help = false, yes = false, force = false, file = ".env", cache, ...rest } = parsed(args);
  const answers = new Map(Object.entries(rest).map(([flag, value]) => [flag, String(value)]));
  if (cache !== undefined) answers.set("cache", cache ? "y" : "n");
  return { help: help === true, yes: yes === true, force: force === true, file: String(file), answers };
};

const ended = (): never => {
  throw new Stop(1, "the answers ended too early; nothing was written.");
};

/** The answers of all questions: from flags, from the defaults, or asked until they fit. */
const answerAll = async (flags: Flags, prompt: Prompt): Promise<Map<string, string>> => {
  const answers = new Map<string, string>();
  for (const question of QUESTIONS) {
    const { flag, text, otherwise, takes } = question;
    const given = flags.answers.get(flag);
    if (!isAsked(question, answers)) {
      if (given === undefined) continue;
      throw new Stop(EXIT_CONFIG, `--${flag} means nothing with input type ${answers.get(INPUT_TYPE.flag)}.`);
    }
    let answer = given ?? (flags.yes ? otherwise : undefined);
    if (answer !== undefined && !question.fits(answer)) {
      throw new Stop(EXIT_CONFIG, given === undefined ? `--${flag} is needed.` : `--${flag}: that is not ${takes}.`);
    }
    while (answer === undefined) {
      const line = await prompt.ask(`${text}${otherwise === "" ? "" : ` [${otherwise}]`}: `, question);
      const said = (line ?? ended()) || otherwise;
      if (question.fits(said)) answer = said;
      else prompt.say(`  That is not ${takes}.\n`);
    }
    answers.set(flag, flag === "path" ? resolve(answer) : answer);
  }
  return answers;
};

/** What the start would say to these variables. */
const check = (variables: ReadonlyMap<string, string>): void => {
  const env = Object.fromEntries([...variables].filter(([name]) => !/^(?:HOST_VIDEO_PATH|APP_PORT)$/.test(name)));
  try {
    readSettings({ ROLES: "packager", ...env });
  } catch (error) {
    if (error instanceof ConfigError) throw new Stop(EXIT_CONFIG, error.message);
    throw error;
  }
};

const write = (file: string, text: string): void => {
  writeFileSync(`${file}.new`, text, { mode: 0o600 }); // it may hold passwords
  renameSync(`${file}.new`, file);
};

const wayOn = (variables: ReadonlyMap<string, string>, file: string): string => {
  const base = `http://localhost:${variables.get("APP_PORT")}`;
  const docker =
    "Start it with Docker    docker compose --project-directory . -f deploy/compose.packager.yml up --build";
  const lines = [
    ...(file === ".env" ? [docker] : []), // Compose looks for that name
    `Start it with Node      ROLES=packager npm start -- --env ${file}`,
    `Play a file             ${base}/i/<file>.mp4/master.m3u8`,
    `in the test page        ${base}/testing/test_player.html`,
  ];
  return `\n${lines.join("\n")}\n`;
};

const run = async (flags: Flags, prompt: Prompt): Promise<void> => {
  const before = existsSync(flags.file) ? readFileSync(flags.file, "utf8") : "";
  const replaced = [...namesIn(before)].filter((name) => WRITTEN.has(name));
  if (replaced.length > 0 && !flags.force) {
    if (flags.yes) throw new Stop(1, `${flags.file} has settings of a packager already; --force replaces them.`);
    const word = await prompt.ask(`${flags.file} has settings of a packager already. Replace them? [n]: `);
    if (!/^y(?:es)?$/i.test(word ?? ended())) throw new Stop(1, "nothing was changed.");
  }
  const answers = await answerAll(flags, prompt);
  const variables = variablesOf(answers);
  check(variables);
  const folder = answers.get("path");
  if (folder !== undefined && !statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    prompt.say(`  ${folder} is no folder yet: make it before the start.\n`);
  }
  write(
    flags.file,
    withVariables(before, variables, (name) => WRITTEN.has(name)),
  );
  prompt.say(`\n${resolve(flags.file)} is written.\n${wayOn(variables, flags.file)}`);
};

/** Runs the wizard; its exit status. */
export const setup = async (
  args: readonly string[],
  streams: Streams = { input: process.stdin, output: process.stdout },
): Promise<number> => {
  const prompt = openPrompt(streams);
  try {
    const flags = readFlags(args);
    if (flags.help) prompt.say(HELP);
    else await run(flags, prompt);
    return 0;
  } catch (error) {
    const known = error instanceof Stop || error instanceof Unwritable;
    if (!known) throw error;
    process.stderr.write(`castellan: ${error.message}\n`);
    return error instanceof Stop ? error.status : 1;
  } finally {
    prompt.close();
  }
};
