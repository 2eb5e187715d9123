/** A transcoder with a real database, object store and ffmpeg, and what tests ask of it. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import { contentDeleted, contentSourceAttached } from "../../contracts/catalog.ts";
import { type ContentSet, ContentSet as Schema, setPath } from "../../contracts/content-set.ts";
import { transcodeComplete, transcodeFailed, transcodePlayable, transcodeStarted } from "../../contracts/transcoder.ts";
import { systemClock } from "../../lib/clock.ts";
import { pgEvents, publishFact } from "../../lib/events/events.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { openJobs } from "../../lib/jobs/jobs.ts";
import { quietLog } from "../../lib/log/log.ts";
import { openObjects } from "../../lib/objects/open.ts";
import type { Bucket, ObjectStore } from "../../lib/objects/port.ts";
import { probe } from "../../test/media/ffprobe.ts";
import { newTenant } from "../../test/support/control.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { startTranscoder } from "./transcoder.service.ts";

export interface Told {
  readonly name: string;
  readonly titleId: string;
  readonly payload: Readonly<Record<string, unknown>>;
}
export interface Scene {
  readonly db: TestDatabase;
  readonly objects: ObjectStore;
  readonly tenantId: string;
  readonly dir: string;
  /** Of the object store. */
  readonly root: string;
  /** Facts of all titles, in the order in which they were told. */
  readonly told: readonly Told[];
  /** Puts a file as the source of a new title, or of a further revision; gives the title. */
  attach(file: string, options?: AttachOptions): Promise<string>;
  delete(titleId: string): Promise<void>;
  /** The fact that ends a transcode. */
  ended(titleId: string, deadlineMs?: number): Promise<Told>;
  until<T>(look: () => Promise<T | undefined>, what: string, deadlineMs?: number): Promise<T>;
  set(titleId: string): Promise<ContentSet | undefined>;
  /** An object of the bucket `segments` as a local file. */
  file(key: string): string;
  keys(bucket: Bucket, prefix: string): Promise<string[]>;
}
interface AttachOptions {
  readonly titleId?: string;
  readonly revision?: number;
  readonly codec?: "h264" | "hevc" | "all";
}

const DEADLINE_MS = 180_000;
const TOLD = [transcodeStarted, transcodePlayable, transcodeComplete, transcodeFailed] as const;

const waitFor = async <T>(look: () => Promise<T | undefined>, what: string, deadlineMs: number): Promise<T> => {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

export const startScene = async (
  t: TestContext,
  options: { readonly slots?: number; readonly partsKeptMs?: number } = {},
): Promise<Scene> => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-transcoder-"));
  const db = await testDatabase(t, { poolMax: 10 });
  const { tenantId } = await newTenant(db, "default");
  const events = pgEvents({ db, log: quietLog });
  const root = join(dir, "objects");
  const objects = await openObjects({ kind: "filesystem", root, bucketPrefix: "test" }, { log: quietLog });
  const jobs = openJobs({ db, log: quietLog, clock: systemClock, nodeId: "node-1" });
  const config = {
    ...{ dataDir: dir, ffmpegPath: null, transcodeSlots: options.slots ?? 2 },
    ...({ transcodePreset: "superfast", transcodeCodec: "h264" } as const),
  };
  const kept = options.partsKeptMs === undefined ? {} : { partsKeptMs: options.partsKeptMs };
  const transcoder = await startTranscoder({
    config,
    db,
    events,
    objects,
    jobs,
    clock: systemClock,
    log: quietLog,
    ...kept,
  });
  const told: Told[] = [];
  await events.subscribe("test", TOLD, async ({ name, key, payload }) => {
    told.push({ name, titleId: key, payload: payload as Told["payload"] });
  });
  await events.start();
  await jobs.start();
  t.after(async () => {
    await jobs.stop();
    await events.stop();
    await transcoder.stop();
    await objects.close();
    await rm(dir, { recursive: true, force: true });
  });
  return { db, objects, tenantId, dir, root, told, ...asksOf({ db, objects, tenantId, root, told }) };
};

const asksOf = (at: Pick<Scene, "db" | "objects" | "tenantId" | "told"> & { readonly root: string }) => {
  const { db, objects, tenantId, root, told } = at;
  const tell = (titleId: string, payload: object, fact: typeof contentSourceAttached | typeof contentDeleted) =>
    db.tenantTx(tenantId, async (tx) => void (await publishFact(tx, fact, titleId, payload as never)));
  return {
    attach: async (file: string, { titleId = randomUUID(), revision = 1, codec }: AttachOptions = {}) => {
      const sourceId = randomUUID();
      const path = `${tenantId}/${sourceId}`;
      await objects.putFile({ bucket: "sources", key: path }, file);
      const source = { sourceId, path, filename: "film.bin", encryption: "none", codec: codec ?? null };
      await tell(titleId, { tenantId, titleId, revision, ...source }, contentSourceAttached);
      return titleId;
    },
    delete: (titleId: string) => tell(titleId, { tenantId, titleId }, contentDeleted),
    ended: (titleId: string, deadlineMs = DEADLINE_MS) => {
      const isEnd = (one: Told) => one.titleId === titleId && /complete|failed/.test(one.name);
      return waitFor(async () => told.find(isEnd), `the end of ${titleId}`, deadlineMs);
    },
    until: <T>(look: () => Promise<T | undefined>, what: string, deadlineMs = DEADLINE_MS) =>
      waitFor(look, what, deadlineMs),
    set: async (titleId: string) => {
      const text = await readFile(join(root, "test-segments", setPath(titleId)), "utf8").catch(() => undefined);
      return text === undefined ? undefined : Schema.parse(JSON.parse(text));
    },
    file: (key: string) => join(root, "test-segments", key),
    keys: async (bucket: Bucket, prefix: string) => {
      const keys: string[] = [];
      for await (const { key } of objects.list(bucket, { prefix })) keys.push(key);
      return keys;
    },
  };
};

/** Runs ffmpeg for a test's media; gives what it prints. */
export const ffmpeg = async (...args: readonly string[]): Promise<string> => {
  const { path } = await findFfmpeg(null);
  const all = ["-hide_banner", "-nostdin", "-v", "error", "-y", ...args];
  const { stdout } = await promisify(execFile)(path, all, { timeout: DEADLINE_MS, maxBuffer: 256 * 2 ** 20 });
  return stdout;
};
/** Of a file's picture: when each frame is shown, in order, and when its key frames are, in seconds. */
export const framesOf = async (file: string): Promise<{ readonly shown: number[]; readonly keys: number[] }> => {
  const { streams, packets } = await probe(file);
  const video = streams.find(({ codec_type }) => codec_type === "video");
  const [num = 0, den = 1] = (video?.time_base ?? "0/1").split("/").map(Number);
  const own = packets.filter(({ stream_index }) => stream_index === video?.index);
  const seconds = (of: typeof own): number[] =>
    of.map(({ pts = Number.NaN }) => (pts * num) / den).sort((a, b) => a - b);
  return { shown: seconds(own), keys: seconds(own.filter(({ flags }) => flags.startsWith("K"))) };
};
/** Times of so many frames of a rate, as they must be. */
export const gridOf = (count: number, { num, den }: { readonly num: number; readonly den: number }): number[] =>
  Array.from({ length: count }, (_, frame) => (frame * den) / num);
