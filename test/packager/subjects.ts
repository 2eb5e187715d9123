/** The inputs of `test/media/inputs.ts` behind a packager that cuts them every two seconds. */
import { basename } from "node:path";
import { after, before } from "node:test";
import { startTestPackager } from "../../actors/packager/packager.fixture.ts";
import { INPUTS } from "../media/inputs.ts";
import { makeInput, sharedMediaDir } from "../media/make.ts";
import { type KeyServer, type Truth, type TruthOptions, truthOf } from "./truth.ts";

/** One file that is served, and what is in it. */
export interface Subject {
  readonly name: string;
  /** Of its file or its set: `http://host/i/file.mp4`. */
  readonly url: string;
  readonly path: string;
  readonly truth: Truth;
  /** By so much what is served is later than what was read of the source. */
  readonly lateSeconds: number;
  /** For samples that are encrypted by themselves. */
  readonly keyServer?: KeyServer;
  /** Sound that is cut where others have key frames: a segment begins with the next frame, so much later at most. */
  readonly frameSeconds?: number;
  /** Its number in a set; 0 where absent. */
  readonly rendition?: number;
}

/** What an input is read by, where mediabunny stops early. */
const READERS: Readonly<Record<string, TruthOptions["reader"]>> = { "fragmented-after-moov-samples": "ffprobe" };
/** Whole seconds of a late start are left out. */
const LATE: Readonly<Record<string, number>> = { "fragmented-late-start": -3_600 };

/** Inputs whose codecs have no place in a transport stream. */
export const NOT_IN_TS: ReadonlySet<string> = new Set(["av1", "av1-10-bit-coloured", "vp9", "opus", "flac"]);
const isServed = (name: string): boolean => INPUTS[name]?.expected.refused === undefined;
export const SERVED: readonly string[] = Object.keys(INPUTS).filter(isServed);
export const REFUSED: readonly string[] = Object.keys(INPUTS).filter((name) => !isServed(name));

export interface InputServer {
  /** The packager's: `http://host`. */
  readonly url: string;
  /** Where an input is served. */
  addressOf(name: string): Promise<string>;
  subject(name: string): Promise<Subject>;
}

const serveInputs = async (closing: (() => Promise<void>)[], env: Env): Promise<InputServer> => {
  const folder = await sharedMediaDir();
  const settings = { CASTERPAK_OUTPUT_SEGMENTDURATION: "2", ...env };
  const { url } = await startTestPackager({ after: (clean) => void closing.push(clean) }, { folder, env: settings });
  const pathOf = (name: string): Promise<string> => makeInput(name, folder);
  const at = (path: string): string => `${url}/i/${encodeURIComponent(basename(path))}`;
  return {
    url,
    addressOf: async (name) => at(await pathOf(name)),
    subject: async (name) => {
      const path = await pathOf(name);
      const truth = await truthOf(path, { reader: READERS[name] ?? "mediabunny" });
      return { name, url: at(path), path, truth, lateSeconds: LATE[name] ?? 0 };
    },
  };
};

type Env = Readonly<Record<string, string>>;

/** Serves the folder of all inputs while a suite runs; each input is made when it is asked for. */
export const inputsServed = (env: Env = {}): (() => InputServer) => {
  const closing: (() => Promise<void>)[] = [];
  let server: InputServer | undefined;
  before(async () => {
    server = await serveInputs(closing, env);
  });
  after(async () => {
    for (const close of closing.reverse()) await close();
  });
  return () => {
    if (!server) throw new Error("not before the suite runs");
    return server;
  };
};
