/** Titles as the transcoder leaves them in the object store: made by ffmpeg, chunk by chunk, and put together here. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createReadStream, rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type ContentSet, SEGMENT_SECONDS, type SetRung, setPath } from "../../../contracts/content-set.ts";
import { fail } from "../../../contracts/errors.ts";
import { stitch } from "../../../domain/mp4/stitch.ts";
import { type Clock, systemClock } from "../../../lib/clock.ts";
import { readSettings } from "../../../lib/config/config.ts";
import type { ContentKey } from "../../../lib/crypto/content-keys.ts";
import { findFfmpeg } from "../../../lib/ffmpeg/binary.ts";
import type { RawExchange } from "../../../lib/http/exchange.ts";
import { type Log, quietLog } from "../../../lib/log/log.ts";
import { openObjects } from "../../../lib/objects/open.ts";
import { openParts } from "../../../lib/objects/parts.ts";
import type { ObjectStore } from "../../../lib/objects/port.ts";
import { stitchedStream } from "../../../lib/objects/stitched-stream.ts";
import { tempDir } from "../../../test/support/platform.ts";
import { listenFor } from "../packager.fixture.ts";
import { openPackager } from "../packager.ts";
import type { ContentKeys, NumberedKey, TitleName, ToldKeys } from "./content-keys.ts";

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

const RATE = 25;
export const CHUNK_COUNT = 4;
/** The last chunk is shorter than the grid. */
export const DURATION_SECONDS = 22;
export const FRAME_COUNT = DURATION_SECONDS * RATE;
const SIZES = [
  { name: "480p", width: 256, height: 144, kbps: 120 },
  { name: "720p", width: 384, height: 216, kbps: 250 },
] as const;
const LANGUAGES = [
  { language: "en", name: "English", hertz: 440, channels: 2 },
  { language: "de", name: "Deutsch", hertz: 880, channels: 2 },
  { language: "en", name: "English", hertz: 300, channels: 6 },
] as const;

const run = async (args: readonly string[]): Promise<void> => {
  const { path } = await findFfmpeg(null);
  await promisify(execFile)(path, ["-v", "error", "-nostdin", "-y", ...args], { timeout: 60_000 });
};

const framesIn = (chunk: number): number =>
  (Math.min(DURATION_SECONDS, (chunk + 1) * SEGMENT_SECONDS) - chunk * SEGMENT_SECONDS) * RATE;

const chunkName = (rung: string, chunk: number): string => `${rung}-${chunk}.mp4`;

/** One decode of a chunk's frames, every rung from it, as the transcoder does. */
const makeChunk = (folder: string, chunk: number): Promise<void> => {
  const from = chunk * SEGMENT_SECONDS * RATE;
  const part = `trim=start_frame=${from}:end_frame=${from + framesIn(chunk)}`;
  const head = `testsrc2=s=384x216:r=${RATE}:d=${DURATION_SECONDS},${part}`;
  const graph = `${head},setpts=PTS-STARTPTS,split=2[a][b];[a]scale=256:144[o0];[b]null[o1]`;
  const h264 =
    "-c:v libx264 -preset ultrafast -bf 2 -x264-params keyint=50:min-keyint=50:scenecut=0:open-gop=0:stitchable=1";
  const outputs = SIZES.flatMap(({ name, kbps }, n) => [
    ...["-map", `[o${n}]`],
    ...h264.split(" "),
    ...["-pix_fmt", "yuv420p", "-b:v", `${kbps}k`, "-maxrate", `${kbps}k`, "-bufsize", `${kbps}k`],
    join(folder, chunkName(name, chunk)),
  ]);
  return run(["-filter_complex", graph, ...outputs]);
};

const makeAudio = (folder: string): Promise<void> =>
  run([
    ...LANGUAGES.flatMap(({ hertz }) => ["-f", "lavfi", "-i", `sine=${hertz}:d=${DURATION_SECONDS}:r=48000`]),
    ...LANGUAGES.flatMap(({ language, channels }, n) => [
      ...["-map", `${n}:a`, `-ac:a:${n}`, String(channels), `-metadata:s:a:${n}`, `language=${language}`],
    ]),
    ...["-c:a", "aac", "-b:a", "96k", join(folder, "audio.mp4")],
  ]);

let made: Promise<string> | undefined;

/** Made once in a process. */
const media = (): Promise<string> => {
  made ??= makeMedia();
  return made;
};

const makeMedia = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), "castellan-titles-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  await makeAudio(folder);
  for (let chunk = 0; chunk < CHUNK_COUNT; chunk += 1) await makeChunk(folder, chunk);
  return folder;
};

export const SUBTITLES = `WEBVTT

00:00:01.000 --> 00:00:03.000
first

00:00:05.000 --> 00:00:08.000
over a cut

00:00:20.000 --> 00:00:21.500
last
`;

export interface TitleOptions {
  readonly encryption?: ContentSet["encryption"];
  readonly tenantId?: string;
  readonly revision?: number;
  readonly contentId?: string;
}

type RungFiles = Pick<SetRung, "path" | "chunks">;

/** One title in a store. Nothing of it is told before it grows or is complete. */
export class TestTitle {
  readonly contentId: string;
  readonly tenantId: string;
  readonly #encryption: ContentSet["encryption"];
  readonly #revision: number;
  readonly #objects: ObjectStore;

  constructor(objects: ObjectStore, options: TitleOptions) {
    this.#objects = objects;
    this.contentId = options.contentId ?? randomUUID();
    this.tenantId = options.tenantId ?? randomUUID();
    this.#encryption = options.encryption ?? "none";
    this.#revision = options.revision ?? 1;
  }

  async upload(folder: string): Promise<void> {
    const put = (key: string, file: string) =>
      this.#objects.put({ bucket: "segments", key }, createReadStream(join(folder, file)));
    for (const { name } of SIZES) {
      for (let chunk = 0; chunk < CHUNK_COUNT; chunk += 1) await put(this.#chunk(name, chunk), chunkName(name, chunk));
    }
    await put(this.#home("audio.mp4"), "audio.mp4");
    await this.#objects.put({ bucket: "segments", key: this.#home("en.vtt") }, Buffer.from(SUBTITLES));
  }

  /** Chunks from 0 on are there; the set says so. */
  async grow(chunkCount: number): Promise<ContentSet> {
    const chunksOf = (name: string) =>
      Array.from({ length: chunkCount }, (_, chunk) => ({
        path: this.#chunk(name, chunk),
        frameCount: framesIn(chunk),
      }));
    const rungs = SIZES.map(({ name }) => ({ path: null, chunks: chunksOf(name) }));
    const set = this.#set("growing", rungs);
    await this.write(set);
    return set;
  }

  /** The rungs are stitched, and the set says so. */
  async complete(changes: Partial<ContentSet> = {}): Promise<ContentSet> {
    const paths = await Promise.all(SIZES.map(({ name }) => this.#stitched(name)));
    const rungs = paths.map((path) => ({ path, chunks: [] }));
    const set = { ...this.#set("complete", rungs), ...changes };
    await this.write(set);
    return set;
  }

  async write(set: unknown): Promise<void> {
    const bytes = Buffer.from(typeof set === "string" ? set : JSON.stringify(set));
    await this.#objects.put({ bucket: "segments", key: setPath(this.contentId) }, bytes);
  }

  #home(name: string): string {
    return `${this.contentId}/r${this.#revision}/${name}`;
  }

  #chunk(rung: string, chunk: number): string {
    return this.#home(`chunks/${chunkName(rung, chunk)}`);
  }

  #set(state: ContentSet["state"], files: readonly RungFiles[]): ContentSet {
    const { contentId, tenantId } = this;
    return {
      ...{ format: 1, contentId, tenantId, revision: this.#revision, state, encryption: this.#encryption },
      ...{ durationSeconds: DURATION_SECONDS, frameCount: FRAME_COUNT, frameRate: { num: RATE, den: 1 } },
      rungs: SIZES.map(({ name, width, height, kbps }, n) => ({
        ...{ name, width, height, codec: "h264", maxBitsPerSecond: kbps * 1_000, dynamicRange: "sdr" },
        ...(files[n] ?? { path: null, chunks: [] }),
      })),
      audio: LANGUAGES.map(({ language, name, channels }, n) => ({ language, name, channels, isDefault: n === 0 })),
      audioPath: state === "growing" ? this.#home("audio.mp4") : null,
      subtitles: [
        {
          ...{ id: 0, language: "en", name: "English", path: this.#home("en.vtt") },
          ...{ isForced: false, isDefault: false, isSdh: true },
        },
      ],
      storyboardPath: null,
    };
  }

  async #stitched(name: string): Promise<string> {
    const source = this.#objects.source("segments");
    const chunks = Array.from({ length: CHUNK_COUNT }, (_, chunk) => this.#chunk(name, chunk));
    const { movies, all } = await openParts(source, { chunks, audio: this.#home("audio.mp4") });
    const whole = stitch(movies, { layout: "final", segmentSeconds: SEGMENT_SECONDS });
    const key = this.#home(`${name}.mp4`);
    await this.#objects.put({ bucket: "segments", key }, stitchedStream(source, all, whole));
    return key;
  }
}

export const makeTitle = async (objects: ObjectStore, options: TitleOptions = {}): Promise<TestTitle> => {
  const title = new TestTitle(objects, options);
  await title.upload(await media());
  return title;
};

/** A key server's part: a key for each title, which a test may renew. */
export class TestKeys implements ContentKeys {
  readonly #keys = new Map<string, NumberedKey>();
  /** The latest first. */
  readonly #former = new Map<string, NumberedKey[]>();
  isDown = false;

  async keyOf(title: TitleName): Promise<ToldKeys> {
    if (this.isDown) fail("STARTING", { what: "The key server" });
    return { ...this.now(title), former: this.#former.get(nameOf(title)) ?? [] };
  }

  now(title: TitleName): NumberedKey {
    const name = nameOf(title);
    const known = this.#keys.get(name) ?? { generation: 1, key: fresh() };
    this.#keys.set(name, known);
    return known;
  }

  renew(title: TitleName): void {
    const [name, before] = [nameOf(title), this.now(title)];
    this.#former.set(name, [before, ...(this.#former.get(name) ?? [])]);
    this.#keys.set(name, { generation: before.generation + 1, key: fresh() });
  }
}

const nameOf = ({ tenantId, contentId }: TitleName): string => `${tenantId} ${contentId}`;

const bytes16 = (): Buffer => Buffer.from(randomUUID().replaceAll("-", ""), "hex");
const fresh = (): ContentKey => ({ key: bytes16(), keyId: bytes16() });

/** A clock that a test moves. */
export class HandClock implements Clock {
  #aheadMs = 0;
  nowMs(): number {
    return systemClock.nowMs() + this.#aheadMs;
  }
  pass(ms: number): void {
    this.#aheadMs += ms;
  }
}

export interface TitlePackager {
  readonly url: string;
  readonly objects: ObjectStore;
  readonly keys: TestKeys;
  readonly clock: HandClock;
  /** What goes between it and its object store. */
  through(change: (objects: ObjectStore) => ObjectStore): void;
}

export interface TitlePackagerOptions {
  readonly log?: Log;
  /** Answers before the packager does, as who stands in front of it: true when it has. */
  readonly front?: (exchange: RawExchange) => boolean;
  /** Another one, before whose titles and keys it stands too. */
  readonly beside?: TitlePackager;
}

/** A packager over an object store of its own. */
export const startTitlePackager = async (t: Cleaner, options: TitlePackagerOptions = {}): Promise<TitlePackager> => {
  const dataDir = await tempDir(t);
  const { log = quietLog, front, beside } = options;
  const own = { kind: "filesystem", root: join(dataDir, "objects"), bucketPrefix: "test" } as const;
  const objects = beside?.objects ?? (await openObjects(own, { log }));
  const keys = beside?.keys ?? new TestKeys();
  const clock = new HandClock();
  const { packager: config } = readSettings({ ROLES: "packager", DATA_DIR: dataDir }, false);
  if (!config) throw new Error("no packager among the roles");
  let seen: ObjectStore = objects;
  const content = { objects: async () => seen, keys, hasKeys: true };
  const tools = { dataDir, allowPrivateSources: [], log, cacheLog: quietLog, clock, content };
  const packager = await openPackager({ config, ...tools });
  const listener = await listenFor((exchange) => (front?.(exchange) ? undefined : packager.handle(exchange)));
  t.after(async () => {
    await listener.close(0);
    await packager.stop();
    if (!beside) await objects.close();
  });
  return {
    url: `http://127.0.0.1:${listener.port}`,
    objects,
    keys,
    clock,
    through(change) {
      seen = change(objects);
    },
  };
};
