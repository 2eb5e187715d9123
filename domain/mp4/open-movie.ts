/** Opens an MP4 by its boxes, whatever its size: its `moov` is read, its media is not (ISO/IEC 14496-12). */
import { BoxView, boxHeader, damaged, unsupported } from "./box-view.ts";
import { fragmentParts, type Part, readParts } from "./fragment-index.ts";
import { type FragmentTrack, NO_DEFAULTS, readFragment, readTrex } from "./fragment-reader.ts";
import { SampleBudget, SampleCollector } from "./fragmented-table.ts";
import {
  type AudioTrack,
  type Movie,
  MovieError,
  type RangeReader,
  type TextTrack,
  type Track,
  type VideoTrack,
} from "./movie.ts";
import {
  type DescribedTable,
  type FoundTrack,
  readTrackBoxes,
  type TrackBoxes,
  trackOf,
  type UnservedTrack,
  unservedTrack,
} from "./read-track.ts";
import { CompactTable } from "./sample-table.ts";
import { FileWalk, readMoov } from "./top-level.ts";
import { timescaleOf } from "./track-header.ts";

const TRACKS_MAX = 64;
/** 10 days. What is longer is a damaged table of durations. */
const DURATION_SECONDS_MAX = 864_000;
/** Samples behind the last in decode order whose picture may still come later. */
const REORDER_MAX = 32;
/** Objects of a track around its tables and buffers. */
const OBJECT_BYTES = 2048;

/** Presentation time at which the last sample of a track ends, in seconds. */
const endSeconds = ({ table, shift, timescale }: Track): number => {
  let end = table.endDts;
  for (let sample = Math.max(0, table.sampleCount - REORDER_MAX); sample < table.sampleCount; sample += 1) {
    const duration = table.dtsOf(sample + 1) - table.dtsOf(sample);
    end = Math.max(end, table.ptsOf(sample) + duration);
  }
  return (end + shift) / timescale;
};

/** Bytes of a track beside its table. */
const headerBytes = ({ codec, trackHeader }: Track): number => {
  const sets = codec.kind === "video" ? codec.parameterSets.reduce((sum, set) => sum + set.length, 0) : 0;
  return codec.sampleEntry.length + trackHeader.length + sets + OBJECT_BYTES;
};

/** `moov` and the file around it. */
interface Opened {
  readonly reader: RangeReader;
  readonly moov: BoxView;
  readonly mvex: BoxView | undefined;
  readonly fragmentsFrom: number;
}

/** The table that `moov` itself has of a track; null: only fragments have its samples. */
const tableOf = ({ stbl }: TrackBoxes, { mvex, reader }: Opened): CompactTable | null => {
  const sizes = stbl.child("stsz") ?? stbl.child("stz2");
  if (mvex && (!sizes || sizes.u32(8) === 0)) return null;
  return new CompactTable(stbl, reader.sizeBytes);
};

interface Tables {
  readonly tables: readonly (DescribedTable | null)[];
  /** Bytes of `moov` that the tables hold on to. */
  readonly moovBytes: number;
}

/** Tables hold on to the whole `moov` where they are most of it, and to copies of theirs where they are not. */
const plainTables = (tracks: readonly TrackBoxes[], opened: Opened): Tables => {
  const tables = tracks.map((track) => tableOf(track, opened));
  const kept = tables.filter((table) => table !== null && table.sampleCount > 0);
  const rawBytes = kept.reduce((sum, table) => sum + (table?.rawBytes ?? 0), 0);
  const { length } = opened.moov.whole;
  if (rawBytes >= length / 2) return { tables, moovBytes: length - rawBytes };
  for (const table of tables) table?.detach();
  return { tables, moovBytes: 0 };
};

/** Reads the fragments of these parts of the file, behind what `moov` has of each track. */
const collect = async (tracks: readonly TrackBoxes[], opened: Opened, parts: readonly Part[]): Promise<Tables> => {
  const budget = new SampleBudget();
  const collectors = tracks.map((track) => {
    const collector = new SampleCollector(budget);
    const table = tableOf(track, opened);
    if (table) collector.addTable(table);
    return collector;
  });
  const trexes = new Map(
    opened.mvex
      ?.children()
      .filter(({ type }) => type === "trex")
      .map(readTrex),
  );
  const fragmentTracks = new Map<number, FragmentTrack>();
  for (const [id, defaults] of trexes) fragmentTracks.set(id, { defaults, collector: null });
  for (const [index, { id }] of tracks.entries())
    fragmentTracks.set(id, { defaults: trexes.get(id) ?? NO_DEFAULTS, collector: collectors[index] ?? null });
  const fileBytes = opened.reader.sizeBytes;
  const context = { tracks: fragmentTracks, fileBytes };
  await readParts(opened.reader, parts, (fragment) => readFragment(fragment, context));
  return { tables: collectors.map((collector) => collector.table(fileBytes)), moovBytes: 0 };
};

/** What an index says of the fragments' places is tried first; the boxes decide. */
const fragmentedTables = async (tracks: readonly TrackBoxes[], opened: Opened): Promise<Tables> => {
  const parts = await fragmentParts(opened.reader, opened.fragmentsFrom);
  try {
    return await collect(tracks, opened, parts);
  } catch (error) {
    if (!(error instanceof MovieError) || parts.length === 1) throw error;
    return collect(tracks, opened, [[opened.fragmentsFrom, opened.reader.sizeBytes]]);
  }
};

/** Whole seconds, exact in each timescale, by which the fragments of a live recording begin late. */
const lateSeconds = (tracks: readonly Track[]): number => {
  const starts = tracks.map(({ table, shift, timescale }) => (table.dtsOf(0) + shift) / timescale);
  return Math.max(0, Math.round(Math.min(...starts)));
};

const byKind = (tracks: readonly Track[]): Pick<Movie, "video" | "audio" | "text"> => ({
  video: tracks.filter((track): track is VideoTrack => track.codec.kind === "video"),
  audio: tracks.filter((track): track is AudioTrack => track.codec.kind === "audio"),
  text: tracks.filter((track): track is TextTrack => track.codec.kind === "text"),
});

const unservedIn = (traks: readonly BoxView[], described: readonly (TrackBoxes | string)[]): UnservedTrack[] =>
  traks.flatMap((trak, index) => {
    const reason = described[index];
    return typeof reason === "string" ? (unservedTrack(trak, reason) ?? []) : [];
  });

/**
 * A film none of whose pictures can be served is refused (C-14), as the seed's packager does: sound alone in its place
 * looks like a player's fault to viewers, and like nothing at all to operators. Other tracks are left out and told of.
 */
const assertPictured = (served: readonly FoundTrack[], unserved: readonly UnservedTrack[]): void => {
  if (served.some(({ track }) => track.codec.kind === "video")) return;
  const pictures = unserved.filter(({ isPicture }) => isPicture).map(({ text }) => text);
  if (pictures.length > 0) unsupported(`none of its pictures can be served: ${pictures.join(", ")}`);
};

/** Rejects with a MovieError where the file can't be served, and with what the reader rejects with. */
export const openMovie = async (reader: RangeReader): Promise<Movie> => {
  const { moov: bytes, fragmentsFrom } = await readMoov(new FileWalk(reader));
  const moov = new BoxView("moov", bytes, boxHeader(bytes, 0)?.headerBytes ?? 8);
  if (moov.child("cmov")) unsupported("its moov is compressed");
  const opened = { reader, moov, mvex: moov.child("mvex"), fragmentsFrom };
  const traks = moov.children().filter(({ type }) => type === "trak");
  if (traks.length > TRACKS_MAX) unsupported(`it has ${traks.length} tracks: ${TRACKS_MAX} are taken`);
  const movieTimescale = timescaleOf(moov.need("mvhd"));
  const described = traks.map(readTrackBoxes);
  const boxes = described.filter((one): one is TrackBoxes => typeof one !== "string");
  const { tables, moovBytes } = await (opened.mvex ? fragmentedTables : plainTables)(boxes, opened);
  const found = boxes.map((one, index) => trackOf(one, tables[index] ?? null, movieTimescale));
  const ignored = [...described, ...found].filter((one) => typeof one === "string");
  const served = found.filter((one): one is FoundTrack => typeof one !== "string");
  if (served.length === 0) unsupported(`it has no track that is served (${ignored.join(", ") || "none at all"})`);
  const unserved = unservedIn(traks, described);
  assertPictured(served, unserved);
  const inOrder = [...served.filter(({ enabled }) => enabled), ...served.filter(({ enabled }) => !enabled)];
  const late = opened.mvex ? lateSeconds(inOrder.map(({ track }) => track)) : 0;
  const tracks = inOrder.map(({ track }) => ({ ...track, shift: track.shift - late * track.timescale }));
  const durationSeconds = Math.max(...tracks.map(endSeconds));
  if (!(durationSeconds <= DURATION_SECONDS_MAX)) damaged(`it lasts ${durationSeconds} s`);
  const heapBytes = tracks.reduce((sum, track) => sum + track.table.heapBytes + headerBytes(track), moovBytes);
  const told = { ignored, unserved: unserved.map(({ text }) => text) };
  return { ...byKind(tracks), ...told, durationSeconds: Math.max(0, durationSeconds), heapBytes };
};
