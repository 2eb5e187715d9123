/** Init segments (CMAF header of ISO/IEC 23000-19 §7.3.1): the same bytes for HLS and DASH. */
import { box, cString, fullBox, uint16s, uint32s } from "./box-writer.ts";
import { isThreeLetterLanguage, packedLanguage } from "./language.ts";
import type { Codec, Track } from "./movie.ts";

/** What an init segment says of encryption (`domain/cenc`). */
export interface InitProtection {
  /** The sample entry of a protected track in place of its clear one; the clear one for tracks that are not. */
  readonly sampleEntry: (clear: Buffer, codec: Codec) => Buffer;
  /** `pssh` boxes. */
  readonly systems: readonly Buffer[];
}

const MOVIE_TIMESCALE = 1_000; // nothing is told in it
const TRACK_ENABLED_IN_MOVIE = 0x3; // §8.3.2.3
const SELF_CONTAINED = 1; // §8.7.2.3
export const MATRIX = uint32s(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000);
/** From `reserved` before `layer` to `height`: the same in both versions of `tkhd`, and the end of it. */
const TRACK_HEADER_TAIL_BYTES = 60;

/** `cmfc` is for one track alone (23000-19 §7.2); `iso6` for `tfdt` and offsets from the moof. */
const fileType = (trackCount: number): Buffer => {
  const brands = trackCount === 1 ? "iso6cmfcdash" : "iso6dashmp41";
  return box("ftyp", Buffer.from("iso6"), uint32s(0), Buffer.from(brands));
};

const movieHeader = (trackCount: number): Buffer =>
  fullBox(
    { type: "mvhd" },
    uint32s(0, 0, MOVIE_TIMESCALE, 0, 0x10000),
    uint16s(0x100, 0),
    uint32s(0, 0),
    MATRIX,
    Buffer.alloc(24),
    uint32s(trackCount + 1),
  );

const plainTail = ({ codec }: Track): Buffer =>
  Buffer.concat([
    uint32s(0, 0),
    uint16s(0, 0, codec.kind === "audio" ? 0x100 : 0, 0),
    MATRIX,
    codec.kind === "video" ? uint32s(codec.width * 2 ** 16, codec.height * 2 ** 16) : uint32s(0, 0),
  ]);

/** Layer, group, volume, matrix and display size of a track as they were: the end of its `tkhd`. */
export const trackHeaderTail = (track: Track): Buffer => {
  const { trackHeader: source } = track;
  return source.length < TRACK_HEADER_TAIL_BYTES ? plainTail(track) : source.subarray(-TRACK_HEADER_TAIL_BYTES);
};

/** No times, and no duration: fragments have it. */
const trackHeader = (track: Track, trackId: number): Buffer =>
  fullBox({ type: "tkhd", flags: TRACK_ENABLED_IN_MOVIE }, uint32s(0, 0, trackId, 0, 0), trackHeaderTail(track));

const TEXT_HANDLERS: Readonly<Record<string, string>> = { stpp: "subt", tx3g: "sbtl", c608: "clcp", c708: "clcp" };
const handlerOf = ({ kind, fourcc }: Codec): string =>
  ({ video: "vide", audio: "soun", text: TEXT_HANDLERS[fourcc] ?? "text" })[kind];

/** §12.1.2, §12.2.2, §12.5.2, §12.6.2. */
const mediaHeader = ({ kind, fourcc }: Codec): Buffer => {
  if (kind === "video") return fullBox({ type: "vmhd", flags: 1 }, uint16s(0, 0, 0, 0));
  if (kind === "audio") return fullBox({ type: "smhd" }, uint16s(0, 0));
  return fullBox({ type: fourcc === "stpp" ? "sthd" : "nmhd" });
};

/** No samples here: they come in fragments. */
const sampleTable = (entry: Buffer): Buffer =>
  box(
    "stbl",
    fullBox({ type: "stsd" }, uint32s(1), entry),
    ...["stts", "stsc"].map((type) => fullBox({ type }, uint32s(0))),
    fullBox({ type: "stsz" }, uint32s(0, 0)),
    fullBox({ type: "stco" }, uint32s(0)),
  );

/** §8.4.6: only where `mdhd` can't say it. */
const extendedLanguage = (tag: string): Buffer[] =>
  isThreeLetterLanguage(tag) ? [] : [fullBox({ type: "elng" }, cString(tag))];

/** `mdia` of a track (§8.4): its times and its sample table are given. */
export const media = (track: Track, mdhd: Buffer, stbl: Buffer): Buffer => {
  const { codec, language, name } = track;
  const reference = fullBox({ type: "dref" }, uint32s(1), fullBox({ type: "url ", flags: SELF_CONTAINED }));
  return box(
    "mdia",
    mdhd,
    fullBox({ type: "hdlr" }, uint32s(0), Buffer.from(handlerOf(codec)), uint32s(0, 0, 0), cString(name)),
    ...extendedLanguage(language),
    box("minf", mediaHeader(codec), box("dinf", reference), stbl),
  );
};

const timelessHeader = ({ language, timescale }: Track): Buffer =>
  fullBox({ type: "mdhd" }, uint32s(0, 0, timescale, 0), uint16s(packedLanguage(language), 0));

/**
 * How long after its decode time the first picture is shown, in ticks: what pictures are reordered by. Players that
 * take `tfdt` for the beginning of what is shown (shaka-player and hls.js do) show pictures too late by as much, so it
 * is in the decode times that are sent, and an edit list takes it off, the one that CMAF allows (ISO/IEC 14496-12
 * §8.6.6).
 */
export const reorderingTicks = ({ table }: Pick<Track, "table">): number =>
  table.sampleCount === 0 ? 0 : Math.max(0, table.ptsOf(0) - table.dtsOf(0));

/** §8.6.6: from there to the end. */
const editList = (mediaTime: number): Buffer =>
  box("edts", fullBox({ type: "elst" }, uint32s(1, 0, mediaTime, 0x10000)));

/** All defaults are told by the fragments themselves. */
const trackExtends = (trackId: number): Buffer => fullBox({ type: "trex" }, uint32s(trackId, 1, 0, 0, 0));

/**
 * `ftyp` and `moov` of some tracks of a file, numbered from 1 in their order. Without the file's edit list: the times
 * of the fragments have it in them (`movie-fragment.ts`).
 */
export const initSegment = (tracks: readonly Track[], protection?: InitProtection): Buffer => {
  const traks = tracks.map((track, index) => {
    const clear = track.codec.sampleEntry;
    const entry = protection ? protection.sampleEntry(clear, track.codec) : clear;
    const reordering = reorderingTicks(track);
    const edits = reordering === 0 ? [] : [editList(reordering)];
    return box(
      "trak",
      trackHeader(track, index + 1),
      ...edits,
      media(track, timelessHeader(track), sampleTable(entry)),
    );
  });
  return Buffer.concat([
    fileType(tracks.length),
    box(
      "moov",
      movieHeader(tracks.length),
      ...traks,
      box("mvex", ...tracks.map((_, index) => trackExtends(index + 1))),
      ...(protection?.systems ?? []),
    ),
  ]);
};
