/** Reads the body of an answer: into memory that the caller gave, or into a file. */
import type { FileHandle } from "node:fs/promises";
import type { Readable } from "node:stream";
import { writeAll } from "./copy.ts";
import type { Watch } from "./watch.ts";

/** What was read, and whether the body ended as it should; more than the memory takes is an error. */
export interface BodyRead {
  readonly bytes: number;
  readonly isWhole: boolean;
}

/**
 * Fills `target` from its beginning. Nothing is written to it after the promise has settled: a body that is left is
 * destroyed, and what it still gives is dropped.
 */
export const readInto = (body: Readable, target: Uint8Array, watch: Watch): Promise<BodyRead> =>
  new Promise((resolve, reject) => {
    let bytes = 0;
    let isSettled = false;
    const settle = (act: () => void): void => {
      if (isSettled) return;
      isSettled = true;
      watch.signal.removeEventListener("abort", abort);
      act();
    };
    const refuse = (error: unknown): void =>
      settle(() => {
        body.destroy();
        reject(error);
      });
    const abort = () => refuse(watch.signal.reason);
    body.on("data", (chunk: Uint8Array) => {
      if (isSettled) return;
      if (bytes + chunk.length > target.length) return refuse(new Error("it sends more bytes than it was asked for"));
      target.set(chunk, bytes);
      bytes += chunk.length;
      watch.progress();
    });
    body.on("end", () => settle(() => resolve({ bytes, isWhole: true })));
    // A connection that ends in the middle, whether by FIN or by RST, looks the same here.
    body.on("error", () => settle(() => resolve({ bytes, isWhole: false })));
    body.on("close", () => settle(() => resolve({ bytes, isWhole: false })));
    watch.signal.addEventListener("abort", abort, { once: true });
    if (watch.signal.aborted) abort();
  });

/** Writes a body to a file from its beginning, as fast as the disk takes it; gives the number of bytes. */
export const writeBody = async (body: Readable, handle: FileHandle, watch: Watch): Promise<BodyRead> => {
  let bytes = 0;
  const abort = () => void body.destroy();
  watch.signal.addEventListener("abort", abort, { once: true });
  if (watch.signal.aborted) abort();
  try {
    const chunks = body[Symbol.asyncIterator]();
    for (;;) {
      const next: IteratorResult<Uint8Array> | null = await chunks.next().catch(() => null);
      if (next === null || next.done) return { bytes, isWhole: next !== null && !watch.signal.aborted };
      await writeAll(handle, next.value, bytes);
      bytes += next.value.length;
      watch.progress();
    }
  } finally {
    watch.signal.removeEventListener("abort", abort);
    body.destroy();
  }
};
