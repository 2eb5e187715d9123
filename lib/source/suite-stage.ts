/** What each statement of the contract suite stands on. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import pino from "pino";
import type { Log } from "../log/log.ts";
import { openSource } from "./open.ts";
import type { ContentSource, SourceObject } from "./port.ts";
import type { SourceSettings, SourceTools } from "./settings.ts";
import type { Place, Subject } from "./suite-place.ts";

/** Names that a path, a shell, a URL, a pattern or a protocol's command could trip over. */
export const ODD_NAMES = [
  "two words  and two spaces.mp4",
  "é漢字😀.mp4",
  "50% 100%25.mp4",
  "a#b.mp4",
  "1+1=2&x;y,z.mp4",
  `it's "quoted" \`so\`.mp4`,
  "what?.mp4",
  "[a-z]*.mp4",
  "$HOME \\ back|pipe<>.mp4",
  "-rf",
  "--delete.mp4",
  "!bang~.mp4",
  "{a,b}.mp4",
  "(1) @host:colon^.mp4",
  " space before",
  ".hidden.mp4",
  `${"long-".repeat(40)}`,
] as const;

/** Bytes that look random and are the same for the same seed. */
export const bytesOf = (seed: number, length: number): Buffer => {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13; // xorshift32
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return Buffer.from(words.buffer, 0, length);
};

export const readAll = async (object: SourceObject): Promise<Buffer> => {
  const target = Buffer.alloc(object.stat.sizeBytes);
  await object.readRange(0, target);
  return target;
};

export const tempDir = async (t: TestContext): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-source-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
};

export interface Stage {
  readonly t: TestContext;
  readonly subject: Subject;
  readonly place: Place;
  /** Of the place, with the limits of a plain installation. */
  readonly source: ContentSource;
  /** Everything that the sources of this stage logged. */
  readonly logged: string[];
  /** Another source of the place. */
  open(tools: Partial<SourceTools>, settings?: SourceSettings): Promise<ContentSource>;
}

export type It = (sentence: string, run: (stage: Stage) => Promise<void>) => void;

const logTo = (lines: string[]): Log => pino({ level: "trace" }, { write: (line: string) => void lines.push(line) });

/** `it` registers a statement; `finish` looks that everything a server is said to lack was a statement. */
export const statements = (title: string, subject: Subject): { readonly it: It; readonly finish: () => void } => {
  const sentences = new Set<string>();
  const lacks = subject.lacks ?? {};
  const it: It = (sentence, run) => {
    sentences.add(sentence);
    const lack = lacks[sentence];
    const skip = subject.skip || (lack === undefined ? false : `this server can't show it: ${lack}`);
    test(`${title}: ${sentence}`, { skip }, async (t) => {
      const place = await subject.place(t);
      const logged: string[] = [];
      const open: Stage["open"] = async (tools, settings = place.settings) => {
        const source = await openSource(settings, { log: logTo(logged), ...tools });
        t.after(() => source.close());
        return source;
      };
      try {
        await run({ t, subject, place, logged, open, source: await open({}) });
      } catch (error) {
        for (const line of logged.slice(-5)) t.diagnostic(line.trim());
        throw error;
      }
    });
  };
  const finish = (): void => {
    test(`${title}: what the server is said to lack are statements of the suite`, () => {
      assert.deepEqual(
        Object.keys(lacks).filter((sentence) => !sentences.has(sentence)),
        [],
      );
    });
  };
  return { it, finish };
};
