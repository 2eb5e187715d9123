/** Makes the inputs of `inputs.ts`, each once. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { INPUTS } from "./inputs.ts";

const DEADLINE_MS = 60_000;
/** Nothing of the clock or of the build goes into a file. */
const ALWAYS = "-hide_banner -nostdin -v error -y";
const EXACT = "-fflags +bitexact -flags:v +bitexact -flags:a +bitexact";

const SUBTITLES = `1
00:00:00,500 --> 00:00:02,000
first

2
00:00:03,000 --> 00:00:05,500
second, <i>slanted</i>
over two lines

3
00:00:06,500 --> 00:00:07,500
thïrd
`;
const CHAPTERS = `;FFMETADATA1
[CHAPTER]
TIMEBASE=1/1000
START=0
END=4000
title=one
[CHAPTER]
TIMEBASE=1/1000
START=4000
END=8000
title=two
`;

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );

/** Files of all inputs of this table, kept between runs. */
export const sharedMediaDir = async (): Promise<string> => {
  const table = JSON.stringify(INPUTS, (_, value: unknown) => (typeof value === "function" ? String(value) : value));
  const patches = await readFile(path.join(import.meta.dirname, "patches.ts"), "utf8");
  const version = createHash("sha256").update(table).update(patches).digest("hex").slice(0, 12);
  const dir = path.resolve(import.meta.dirname, "../../node_modules/.cache/castellan-media", version);
  await mkdir(dir, { recursive: true });
  return dir;
};

const run = async (command: string, files: Readonly<Record<string, string>>): Promise<void> => {
  const { path: ffmpeg } = await findFfmpeg(null);
  const place = command.lastIndexOf(" OUT");
  const line = `${ALWAYS} ${command.slice(0, place)} ${EXACT}${command.slice(place)}`;
  const words = line.split(/\s+/).map((word) => files[word] ?? word);
  await promisify(execFile)(ffmpeg, words, { timeout: DEADLINE_MS });
};

const make = async (name: string, file: string, folder: string): Promise<void> => {
  const input = INPUTS[name];
  if (!input) throw new Error(`no input is called ${name}`);
  const files = { SUBTITLES: path.join(folder, "subtitles.srt"), CHAPTERS: path.join(folder, "chapters.txt") };
  await writeFile(files.SUBTITLES, SUBTITLES);
  await writeFile(files.CHAPTERS, CHAPTERS);
  let made = "";
  for (const [index, step] of input.steps.entries()) {
    const next = path.join(folder, `${index}${path.extname(file)}`);
    if (typeof step === "string") await run(step, { ...files, IN: made, OUT: next });
    else await writeFile(next, step(await readFile(made)));
    made = next;
  }
  await rename(made, file); // whole, or not there
};

/** The path of an input in `dir`; it is made when it is not there yet. Rejects where ffmpeg can't make it. */
export const makeInput = async (name: string, dir: string): Promise<string> => {
  const file = path.join(dir, `${name}.${INPUTS[name]?.extension ?? "mp4"}`);
  if (await exists(file)) return file;
  const folder = await mkdtemp(path.join(dir, ".making-"));
  try {
    await make(name, file, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return file;
};
