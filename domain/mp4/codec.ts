/** Which codec a track has: its sample entry (ISO/IEC 14496-12 §8.5.2). The one place where codec strings are made. */
import { readAudioEntry } from "./audio-entry.ts";
import { type BoxView, printable, unsupported } from "./box-view.ts";
import type { Codec } from "./movie.ts";
import { plainBox } from "./plain-box.ts";
import { readVideoEntry } from "./video-entry.ts";

const ENCRYPTED = new Set(["encv", "enca", "enct", "encs", "drms", "drmi"]); // ISO/IEC 23001-7 §4.1, FairPlay
const TEXT = new Set(["tx3g", "wvtt", "stpp", "c608"]);
const TEXT_HANDLERS = new Set(["text", "sbtl", "subt", "clcp"]);

export interface EntryContext {
  /** `handler_type` of the track (§8.4.3). */
  readonly handler: string;
  /** Version of `stsd`. */
  readonly stsdVersion: number;
}

/** The codec of a sample entry; a text names one that is not served. */
export const readCodec = (entry: BoxView, { handler, stsdVersion }: EntryContext): Codec | string => {
  if (ENCRYPTED.has(entry.type)) unsupported("its tracks are encrypted");
  const name = printable(entry.type);
  if (handler === "vide") return readVideoEntry(entry) ?? name;
  if (handler === "soun") return readAudioEntry(entry, stsdVersion);
  if (!TEXT_HANDLERS.has(handler) || !TEXT.has(entry.type)) return name;
  return { kind: "text", fourcc: entry.type, codecs: entry.type, sampleEntry: plainBox(entry.type, entry.body) };
};
