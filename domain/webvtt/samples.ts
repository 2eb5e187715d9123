/** Samples of timed text tracks as cues: `tx3g` (3GPP TS 26.245), `wvtt` and `stpp` (ISO/IEC 14496-30). */
import { type Cue, CueList, escapedText, type TimedText } from "./cue.ts";
import { readTtml } from "./ttml.ts";

/** One sample, with its presentation time in seconds after edit lists. */
export interface TextSample {
  readonly startSeconds: number;
  readonly endSeconds: number;
  readonly bytes: Uint8Array;
}

/** Sample entries that can be read. */
export const TEXT_FOURCCS: readonly string[] = ["tx3g", "wvtt", "stpp"];

const utf8 = new TextDecoder("utf-8");
const textOf = (bytes: Uint8Array): string => {
  const isUtf16 = bytes[0] === 0xfe && bytes[1] === 0xff; // TS 26.245 §5.17: with a byte order mark, else UTF-8
  return isUtf16 ? new TextDecoder("utf-16be").decode(bytes) : utf8.decode(bytes);
};

/** A length and as many bytes of text; the boxes of styles behind it are left out (§5.17). */
const addTx3g = (cues: CueList, { startSeconds, endSeconds, bytes }: TextSample): void => {
  if (bytes.length < 2) return;
  const length = (bytes[0]! << 8) | bytes[1]!;
  const text = textOf(bytes.subarray(2, 2 + length)).replace(/\r\n?|\u2028/g, "\n");
  cues.add({ startSeconds, endSeconds, text: escapedText(text) });
};

/** Boxes within some bytes, as far as they are whole. */
function* boxesIn(bytes: Uint8Array): Generator<{ readonly type: string; readonly body: Uint8Array }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at);
    if (size < 8 || at + size > bytes.length) return;
    yield { type: String.fromCharCode(...bytes.subarray(at + 4, at + 8)), body: bytes.subarray(at + 8, at + size) };
    at += size;
  }
}

/** `vttc` boxes are cues with payload, settings and identifier (ISO/IEC 14496-30 §6.6); `vtte` is nothing shown. */
const addWvtt = (cues: CueList, { startSeconds, endSeconds, bytes }: TextSample): void => {
  for (const cue of boxesIn(bytes)) {
    if (cue.type !== "vttc") continue;
    const parts = new Map<string, string>();
    for (const { type, body } of boxesIn(cue.body)) parts.set(type, utf8.decode(body).replace(/\r\n?/g, "\n"));
    const oneLine = (name: string): string => (parts.get(name) ?? "").replace(/\s+/g, " ").trim();
    cues.add({
      startSeconds,
      endSeconds,
      text: parts.get("payl") ?? "",
      settings: oneLine("sttg"),
      id: oneLine("iden"),
    });
  }
};

/** A whole document in each sample, whose times are the track's; what it shows outside of its sample is not shown. */
const addStpp = (cues: CueList, { startSeconds, endSeconds, bytes }: TextSample): void => {
  for (const cue of readTtml(utf8.decode(bytes))?.cues ?? []) {
    const start = Math.max(startSeconds, cue.startSeconds);
    cues.add({ ...cue, startSeconds: start, endSeconds: Math.min(endSeconds, cue.endSeconds) });
  }
};

const TOUCHING_SECONDS = 0.0005;

/** A cue that goes on in the next sample is one cue. */
const merged = (cues: readonly Cue[]): readonly Cue[] => {
  const whole: Cue[] = [];
  const open = new Map<string, number>();
  for (const cue of cues) {
    const key = `${cue.id}\n${cue.settings}\n${cue.text}`;
    const at = open.get(key);
    const earlier = at === undefined ? undefined : whole[at];
    if (at !== undefined && earlier && Math.abs(earlier.endSeconds - cue.startSeconds) < TOUCHING_SECONDS) {
      whole[at] = { ...earlier, endSeconds: cue.endSeconds };
    } else {
      open.set(key, whole.length);
      whole.push(cue);
    }
  }
  return whole;
};

/** The cues of a track's samples; null: the sample entry is none that can be read. */
export const cuesOfSamples = (fourcc: string, samples: Iterable<TextSample>): TimedText | null => {
  const adders: Readonly<Record<string, typeof addTx3g>> = { tx3g: addTx3g, wvtt: addWvtt, stpp: addStpp };
  const add = adders[fourcc];
  if (!add) return null;
  const cues = new CueList();
  for (const sample of samples) add(cues, sample);
  return { blocks: [], cues: merged(cues.sorted()) };
};
