/** Reads `trak` boxes (ISO/IEC 14496-12 §8.3). */
import { type BoxView, damaged, printable, unsupported } from "./box-view.ts";
import { readCodec } from "./codec.ts";
import { editShift } from "./edit-list.ts";
import type { Codec, SampleTable, Track } from "./movie.ts";
import { plainBox } from "./plain-box.ts";
import { isEnabled, languageOf, nameOf, rotationOf, timescaleOf, trackId } from "./track-header.ts";

/** Descriptions of one track; what is read is the first, and what samples use. */
const DESCRIPTIONS_MAX = 64;

/** A track whose codec is served, before its samples are known. */
export interface TrackBoxes {
  readonly id: number;
  readonly trak: BoxView;
  readonly tkhd: BoxView;
  readonly mdia: BoxView;
  readonly stbl: BoxView;
  /** Sample entries, in order. */
  readonly entries: readonly BoxView[];
  readonly handler: string;
}

/** A table that tells which sample entries its samples have, 1-based (§8.5.2). */
export interface DescribedTable extends SampleTable {
  readonly descriptions: ReadonlySet<number>;
}

/** Media in another file (§8.7.2): a QuickTime reference movie. */
const isElsewhere = (mdia: BoxView, entry: BoxView): boolean => {
  const dref = mdia.find("minf", "dinf", "dref");
  const reference = dref ? dref.childrenAfter(8)[entry.u16(6) - 1] : undefined;
  return reference !== undefined && reference.bytes >= 4 && (reference.flags & 1) === 0;
};

const codecOf = ({ stbl, handler }: Pick<TrackBoxes, "stbl" | "handler">, entry: BoxView): Codec | string =>
  readCodec(entry, { handler, stsdVersion: stbl.need("stsd").version });

/** Handlers (§8.4.3) whose tracks may be served; of others no box has to make sense. */
const HANDLERS = new Set(["vide", "soun", "text", "sbtl", "subt", "clcp"]);

/** The boxes of a track; a text names what is not served. */
export const readTrackBoxes = (trak: BoxView): TrackBoxes | string => {
  const tkhd = trak.need("tkhd");
  const mdia = trak.need("mdia");
  const handler = mdia.need("hdlr").slice(8, 4).toString("latin1");
  const stsd = mdia.find("minf", "stbl", "stsd");
  if (!HANDLERS.has(handler)) return printable(stsd?.body.toString("latin1", 12, 16) || handler);
  const stbl = mdia.need("minf", "stbl");
  const entries = stbl.need("stsd").childrenAfter(8).slice(0, DESCRIPTIONS_MAX);
  const [entry] = entries;
  if (!entry) return `${handler} without a sample entry`;
  const codec = codecOf({ stbl, handler }, entry);
  if (typeof codec === "string") return codec;
  if (isElsewhere(mdia, entry)) return `${entry.type} in another file`;
  return { id: trackId(tkhd), trak, tkhd, mdia, stbl, entries, handler };
};

/** Covers, and pictures of chapters: sound that has them is no film. */
const STILLS = new Set(["jpeg", "png "]);

/** A track of pictures or sound that is left out. */
export interface UnservedTrack {
  /** `track 2 (vide): mp4v`. */
  readonly text: string;
  /** Who plays the file sees it. */
  readonly isPicture: boolean;
}

/** What is told of a track that is left out for a reason; null: nobody misses it (time codes, hints, stills). */
export const unservedTrack = (trak: BoxView, reason: string): UnservedTrack | null => {
  const tkhd = trak.need("tkhd");
  const handler = trak.need("mdia", "hdlr").slice(8, 4).toString("latin1");
  if ((handler !== "vide" && handler !== "soun") || STILLS.has(reason)) return null;
  const text = `track ${trackId(tkhd)} (${handler}): ${reason}`;
  return { text, isPicture: handler === "vide" && isEnabled(tkhd) };
};

/** The codec of the samples that are there: all must have the same sample entry. */
const codecOfSamples = (boxes: TrackBoxes, descriptions: ReadonlySet<number>): Codec | string => {
  const used = [...descriptions].map(
    (index) => boxes.entries[index - 1] ?? damaged(`a sample description ${index} of ${boxes.entries.length}`),
  );
  const entry = used[0] ?? damaged("samples without a description");
  if (used.some(({ whole }) => !whole.equals(entry.whole))) unsupported("its codec changes within a track");
  return codecOf(boxes, entry);
};

export interface FoundTrack {
  readonly track: Track;
  readonly enabled: boolean;
}

/** The track with its samples; a text names what is not served. */
export const trackOf = (
  boxes: TrackBoxes,
  table: DescribedTable | null,
  movieTimescale: number,
): FoundTrack | string => {
  const { id, trak, tkhd, mdia } = boxes;
  if (!table || table.sampleCount === 0) return `${boxes.entries[0]?.type} without samples`;
  const codec = codecOfSamples(boxes, table.descriptions);
  if (typeof codec === "string") return codec;
  const timescale = timescaleOf(mdia.need("mdhd"));
  const track = {
    id,
    codec,
    timescale,
    shift: editShift(trak.find("edts", "elst"), { movie: movieTimescale, track: timescale }),
    language: languageOf(mdia),
    name: nameOf(trak),
    rotation: codec.kind === "video" ? rotationOf(tkhd) : 0,
    trackHeader: plainBox("tkhd", tkhd.body),
    table,
  };
  return { track, enabled: isEnabled(tkhd) };
};
