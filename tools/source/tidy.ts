/** What the linter can't hold: rules about the project as a whole. Each check gives a line per violation. */
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { filesUnder, importsOf, isOurFile, isTestFile, packageOf, ROOT, textOf } from "./source.ts";

/** A file's path and its text. */
export interface Source {
  readonly file: string;
  readonly text: string;
}

const FILE_LINES_MAX = 400;
const LINE_COLUMNS_MAX = 120;
const SERVICE_LINES_MAX = 120;

/** One piece of text that would have to be cut: a log line in a test, a URL. */
const LONG_TEXT = /(["'`])(?:(?!\1).){90,}\1|https?:\/\/\S{60,}/;

/** Source files of the project. */
export const sources = (...endings: readonly string[]): Source[] =>
  filesUnder(ROOT, ".", ...endings).map((file) => ({ file, text: textOf(file) }));

const linesOf = (text: string): string[] => text.replace(/\n$/, "").split("\n");

/** Files and lines that are longer than a reader likes. */
export const tooLong = ({ file, text }: Source): string[] => {
  const lines = linesOf(text);
  const isService = file.startsWith("actors/") && file.endsWith(".service.ts");
  const limit = isService ? SERVICE_LINES_MAX : FILE_LINES_MAX;
  const over = lines.length > limit ? [`${file} has ${lines.length} lines, ${limit} are the limit`] : [];
  const wide = lines.flatMap((line, index) =>
    line.length > LINE_COLUMNS_MAX && !LONG_TEXT.test(line)
      ? [`${file}:${index + 1} is ${line.length} columns wide`]
      : [],
  );
  return [...over, ...wide];
};

/** A test that runs alone leaves all others out. */
export const runsAlone = ({ file, text }: Source): string[] =>
  /\b(?:test|it|describe|suite)\.only\(|\bonly:\s*true\b/.test(text) ? [`${file} runs one test alone`] : [];

/** A note to oneself without a reason: `TODO: why it waits and for what` is a reason. */
export const unreasoned = ({ file, text }: Source): string[] =>
  linesOf(text).flatMap((line, index) =>
    /\b(?:TOD[O]|FIXM[E]|XX[X])\b(?!: \S+(?: \S+){3,})/.test(line)
      ? [`${file}:${index + 1} puts off without a reason`]
      : [],
  );

/** Paths that exist on one machine only. */
export const machinePaths = ({ file, text }: Source): string[] =>
  linesOf(text).flatMap((line, index) =>
    /(?<![\w.:/-])\/(?:work|root|home\/\w+|Users\/\w+|tmp\/\w+)\//.test(line)
      ? [`${file}:${index + 1} names a path of one machine`]
      : [],
  );

/** Action names as text, past the contracts. */
export const bareCalls = ({ file, text }: Source): string[] =>
  isTestFile(file) || file.startsWith("bench/")
    ? []
    : [...text.matchAll(/\.(?:call|emit|broadcast)\(\s*"[\w-]+\.\w+"/g)].map(([call]) => `${file}: ${call}`);

/** The tables that the migrations make. */
export const tablesOf = (migrations: readonly Source[]): string[] =>
  migrations
    .flatMap(({ text }) => [...(text.split("-- Down Migration")[0] ?? "").matchAll(/create table (\w+)/gi)])
    .map(([, table = ""]) => table)
    .sort();

const WRITES = /\b(?:insert\s+into|update(?:\s+only)?|delete\s+from|truncate(?:\s+table)?|merge\s+into)\s+"?(\w+)"?/gi;

/** Table → the files that write it. Only words that are tables count. */
export const writersOf = (code: readonly Source[], tables: readonly string[]): ReadonlyMap<string, string[]> => {
  const writers = new Map<string, string[]>(tables.map((table) => [table, []]));
  for (const { file, text } of code) {
    if (isTestFile(file)) continue;
    const written = new Set([...text.matchAll(WRITES)].map(([, table = ""]) => table.toLowerCase()));
    for (const table of written) writers.get(table)?.push(file);
  }
  return writers;
};

/** An actor's tables are written by its one store; those of a tool in lib by the files of its folder. */
const isOneOwner = (files: readonly string[]): boolean => {
  const [first = "", ...others] = files;
  if (first.startsWith("lib/")) return others.every((file) => dirname(file) === dirname(first));
  return others.length === 0 && first.endsWith(".store.ts");
};

/** Tables that have another writer than one store, or none. Those in `inSql` may be written by migrations alone. */
export const sharedTables = (
  code: readonly Source[],
  migrations: readonly Source[],
  inSql: readonly string[],
): string[] =>
  [...writersOf(code, tablesOf(migrations))].flatMap(([table, files]) => {
    if (files.length === 0) return inSql.includes(table) ? [] : [`${table} is written by nobody`];
    return isOneOwner(files) ? [] : [`${table} is written by ${files.join(" and ")}: not by one store`];
  });

const README_WORDS = ["owns", "answers", "announces", "asks", "limits"];
const KIND = /\b(?:pool|keyed|node-bound|singleton)\b/i;

/** What an actor's folder lacks. */
export const missingRooms = (actor: string, root: string = ROOT): string[] => {
  const dir = join(root, "actors", actor);
  const files = readdirSync(dir);
  const problems: string[] = [];
  if (!existsSync(join(dir, `${actor}.service.ts`))) problems.push(`${actor}.service.ts`);
  if (!files.some((file) => file.endsWith(".test.ts"))) problems.push("tests");
  if (!files.includes("README.md")) return [...problems, "README.md"].map((what) => `actors/${actor} lacks ${what}`);
  const readme = textOf(`actors/${actor}/README.md`, root);
  const head = readme.split("\n").slice(0, 4).join(" ");
  if (!KIND.test(head)) problems.push("its kind in the first lines of README.md");
  for (const word of README_WORDS) {
    if (!new RegExp(`\\b${word}\\b`, "i").test(readme)) problems.push(`"${word}" in README.md`);
  }
  return problems.map((what) => `actors/${actor} lacks ${what}`);
};

/** The actors of the project. */
export const actorNames = (root: string = ROOT): string[] =>
  readdirSync(join(root, "actors"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);

/** Dependencies that are not pinned to one version. */
export const loosePins = (packageJson: Record<string, unknown>): string[] =>
  ["dependencies", "devDependencies", "optionalDependencies"].flatMap((group) =>
    Object.entries((packageJson[group] ?? {}) as Record<string, string>)
      .filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))
      .map(([name, version]) => `${name} is "${version}", not one version`),
  );

const RUNS_IN_DEVELOPMENT = /^(?:test|bench|tools\/(?!doctor\/))/;

/** Packages that a production install would lack: imported by what runs there, but no dependency. */
export const undeclaredPackages = (code: readonly Source[], packageJson: Record<string, unknown>): string[] => {
  const declared = new Set(
    ["dependencies", "optionalDependencies"].flatMap((group) => Object.keys((packageJson[group] ?? {}) as object)),
  );
  return code.flatMap(({ file, text }) => {
    if (isTestFile(file) || RUNS_IN_DEVELOPMENT.test(file)) return [];
    return importsOf(file, text)
      .filter(({ target, typeOnly }) => !typeOnly && !isOurFile(target) && !target.startsWith("node:"))
      .filter(({ target }) => !declared.has(packageOf(target)))
      .map(({ target }) => `${file} imports ${target}, which is no dependency`);
  });
};

/** Relative links of a Markdown file that lead nowhere. */
export const deadLinks = ({ file, text }: Source, root: string = ROOT): string[] =>
  [...text.matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !existsSync(join(root, dirname(file), target)))
    .map((target) => `${basename(file)} links to ${target}, which is not there`);
