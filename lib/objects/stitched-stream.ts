/**
 * The bytes of a stitched movie from its parts, for `put`. Extents of the final layout are short where tracks of sound
 * lie sample by sample beside each other: a window of them is read in few long ranges, and then put in order.
 */
import { Readable } from "node:stream";
import type { Extent, Stitched } from "../../domain/mp4/stitch.ts";
import type { ContentSource } from "../source/port.ts";
import { PartReader } from "./part-reader.ts";
import type { Part } from "./parts.ts";

const WINDOW_BYTES = 4 * 1024 * 1024;
const GAP_BYTES = 16 * 1024;
/** So that what is read in gaps is never more than 16 MiB of a window. */
const EXTENTS_MAX = 1024;

/** Extents in their order, those longer than a window cut, as lists of a window each. */
function* windowsOf(extents: Iterable<Extent>): Generator<Extent[]> {
  let window: Extent[] = [];
  let bytes = 0;
  for (const { part, offset, lengthBytes } of extents) {
    for (let done = 0; done < lengthBytes; ) {
      const length = Math.min(lengthBytes - done, WINDOW_BYTES - bytes);
      window.push({ part, offset: offset + done, lengthBytes: length });
      done += length;
      bytes += length;
      if (bytes < WINDOW_BYTES && window.length < EXTENTS_MAX) continue;
      yield window;
      [window, bytes] = [[], 0];
    }
  }
  if (window.length > 0) yield window;
}

interface Range {
  readonly part: number;
  readonly offset: number;
  end: number;
}

/** The ranges that hold all extents of a window, in the order of parts and places. */
const rangesOf = (window: readonly Extent[]): Range[] => {
  const ranges: Range[] = [];
  const inPlace = [...window].sort((one, other) => one.part - other.part || one.offset - other.offset);
  for (const { part, offset, lengthBytes } of inPlace) {
    const last = ranges.at(-1);
    if (last?.part === part && offset - last.end <= GAP_BYTES) last.end = Math.max(last.end, offset + lengthBytes);
    else ranges.push({ part, offset, end: offset + lengthBytes });
  }
  return ranges;
};

const holds = (range: Range, { part, offset }: Extent): boolean =>
  range.part === part && range.offset <= offset && offset < range.end;

/** What a window of the movie is. */
const readWindow = async (reader: PartReader, window: readonly Extent[], signal: AbortSignal): Promise<Buffer> => {
  const read = rangesOf(window).map((range) => ({ range, bytes: Buffer.allocUnsafe(range.end - range.offset) }));
  for (const { range, bytes } of read) await reader.read(range.part, range.offset, bytes, { signal });
  const [only] = read;
  if (only && window.length === 1) return only.bytes;
  const out = Buffer.allocUnsafe(window.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0));
  let at = 0;
  for (const extent of window) {
    const from = read.find(({ range }) => holds(range, extent));
    if (!from) throw new Error("bug: an extent was not read");
    const start = extent.offset - from.range.offset;
    at += from.bytes.copy(out, at, start, start + extent.lengthBytes);
  }
  return out;
};

/** `head`, then windows; the next one is read while the reader is busy with one. */
async function* pieces(source: ContentSource, parts: readonly Part[], stitched: Stitched): AsyncGenerator<Buffer> {
  const reader = new PartReader(source, parts);
  const stop = new AbortController();
  let next: Promise<Buffer> | undefined;
  try {
    yield stitched.head;
    for (const window of windowsOf(stitched.extents)) {
      const bytes = await next;
      next = readWindow(reader, window, stop.signal);
      next.catch(() => {}); // it is awaited later
      if (bytes) yield bytes;
    }
    if (next) yield await next;
  } finally {
    stop.abort();
    await next?.catch(() => {});
    await reader.close();
  }
}

/** Memory: two windows, and what is read for them. Fails as the source fails; SOURCE_CHANGED for a part that is new. */
export const stitchedStream = (source: ContentSource, parts: readonly Part[], stitched: Stitched): Readable =>
  Readable.from(pieces(source, parts, stitched), { objectMode: false, highWaterMark: 1 });
