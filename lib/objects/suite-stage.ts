/** What the statements of the object store's contract stand on. */
import { Readable } from "node:stream";
import type { TestContext } from "node:test";
import type { ObjectName, ObjectStat, ObjectStore } from "./port.ts";

export interface StoreSubject {
  /** A store of its own for each statement, with its buckets made; closed by the test. */
  readonly open: (t: TestContext) => Promise<ObjectStore>;
  /** The same store behind nothing: what it is when its server or its disk is gone. */
  readonly openDown: (t: TestContext) => Promise<ObjectStore>;
  /** Bytes of a put that is made in several pieces. */
  readonly largeBytes: number;
  readonly keepsContentType: boolean;
  /** Statements that this store, or the server behind it, can't show, and why. */
  readonly lacks?: Readonly<Record<string, string>>;
  readonly skip?: string | false;
}

export interface Stage {
  readonly t: TestContext;
  readonly store: ObjectStore;
  readonly subject: StoreSubject;
  /** A folder for local files. */
  readonly folder: string;
}

export type It = (sentence: string, run: (stage: Stage) => Promise<void>) => void;

export const at = (key: string): ObjectName => ({ bucket: "segments", key });
export const text = (value: string): Buffer => Buffer.from(value);
export const LIMIT = { bytesMax: 64 * 2 ** 20 };

export const keysOf = async (list: AsyncIterable<ObjectStat>): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of list) keys.push(key);
  return keys;
};

export const read = async (store: ObjectStore, key: string): Promise<Buffer> =>
  (await store.getBytes(at(key), LIMIT)).bytes;

/** Chunks of all sizes. */
export const streamOf = (bytes: Buffer): Readable => {
  const chunks: Buffer[] = [];
  for (let from = 0, size = 1; from < bytes.length; from += size, size = (size * 7) % 300_007) {
    chunks.push(bytes.subarray(from, from + size));
  }
  return Readable.from(chunks, { objectMode: false });
};

/** Gives `bytes` and then breaks. */
export const brokenStream = (bytes: Buffer, error: Error): Readable =>
  Readable.from(
    (async function* () {
      yield bytes;
      throw error;
    })(),
    { objectMode: false },
  );
