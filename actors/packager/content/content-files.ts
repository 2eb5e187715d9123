/** Objects that are served as they are: pictures of titles, storyboards, previews and trailers. */
import { fail } from "../../../contracts/errors.ts";
import type { RawExchange } from "../../../lib/http/exchange.ts";
import type { ObjectName, ObjectStore } from "../../../lib/objects/port.ts";
import { type Freshness, headerLines } from "../caching.ts";
import { inTime } from "./look-up.ts";

const TYPES: Readonly<Record<string, string>> = {
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  png: "image/png",
  webp: "image/webp",
  avif: "image/avif",
  vtt: "text/vtt; charset=utf-8",
  mp4: "video/mp4",
};
const WAIT_MS = 4_000;

export interface ServedObject {
  readonly name: ObjectName;
  /** Of its name: what it is. */
  readonly extension: string;
  readonly freshness: Extract<Freshness, "versioned" | "unversioned">;
}

const late = (): never => fail("OBJECT_STORE_DOWN");

/** Answers with an object, or the range of it that is asked for. NOT_FOUND, OBJECT_STORE_DOWN. */
export const answerObject = async (
  exchange: RawExchange,
  objects: ObjectStore,
  { name, extension, freshness }: ServedObject,
): Promise<void> => {
  const stat = await inTime(objects.head(name, { signal: exchange.signal }), { ms: WAIT_MS, late });
  const type = TYPES[extension];
  if (stat === null || type === undefined) return fail("NOT_FOUND");
  const etag = stat.etag.replace(/^(?:W\/)?"|"$/g, "");
  const lines = headerLines({ type, freshness, etag, modifiedMs: stat.modifiedMs });
  const part = exchange.beginPart(`${lines}Accept-Ranges: bytes\r\n`, stat.sizeBytes);
  if (!part) return; // answered: nobody wants its bytes
  const { start, end, writer } = part;
  if (exchange.method === "HEAD" || start >= end) return writer.end();
  try {
    const range = { offset: start, lengthBytes: end - start };
    const { body } = await objects.get(name, { range, ifMatch: stat.etag, signal: exchange.signal });
    for await (const bytes of body) await writer.write(bytes as Uint8Array); // of a stream of bytes
    await writer.end();
  } catch (error) {
    writer.abort(); // no short answer looks whole
    if (!exchange.isGone) throw error;
  }
};
