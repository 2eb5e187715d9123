/** An object of a bucket that the operator's own S3 settings reach, read window by window. */

import type { Log } from "../../lib/log/log.ts";
import type { ObjectSettings } from "../../lib/objects/open.ts";
import { openSource } from "../../lib/source/open.ts";
import type { ContentSource } from "../../lib/source/port.ts";

const WINDOW_BYTES = 8 * 1024 * 1024; // one is read while one is written

export type S3Place = Omit<Extract<ObjectSettings, { kind: "s3" }>, "kind" | "bucketPrefix">;

/** The whole of a bucket. */
export const openBucket = (place: S3Place, bucket: string, log: Log): Promise<ContentSource> =>
  openSource({ kind: "s3", bucket, prefix: "", ...place }, { log });

export interface S3Fetched {
  readonly sizeBytes: number;
  readonly etag: string | null;
  /** From an offset on. */
  bytes(offset: number): AsyncGenerator<Buffer>;
  close(): Promise<void>;
}

export const fetchObject = async (source: ContentSource, key: string, signal: AbortSignal): Promise<S3Fetched> => {
  const object = await source.open(key, { signal });
  const { sizeBytes, etag } = object.stat;
  const read = async (offset: number): Promise<Buffer> => {
    const window = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, sizeBytes - offset));
    await object.readRange(offset, window, { signal });
    return window;
  };
  return {
    sizeBytes,
    etag,
    async *bytes(offset) {
      let next = offset < sizeBytes ? read(offset) : null;
      for (let at = offset; next; ) {
        const window: Buffer = await next;
        at += window.length;
        next = at < sizeBytes ? read(at) : null;
        next?.catch(() => {}); // thrown when it is waited for
        yield window;
      }
    },
    close: () => object.close(),
  };
};
