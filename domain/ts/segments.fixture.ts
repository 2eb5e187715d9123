/** Makes segments out of files on disk, for tests. */
import { readFile } from "node:fs/promises";
import type { Movie, RangeReader, Samples, VideoTrack } from "../mp4/movie.ts";
import { openMovie } from "../mp4/open-movie.ts";
import { cutMovie } from "../vod/cut.ts";
import type { CutMovie, TrackCuts } from "../vod/plan.ts";
import { TsMemory } from "./memory.ts";
import { type ProgramTracks, type TsProgram, tsProgram } from "./program.ts";
import { type SegmentInput, TsSegment } from "./segment.ts";
import type { SourceRoom } from "./source-window.ts";

export interface OpenFile {
  readonly reader: RangeReader;
  readonly movie: Movie;
  readonly cut: CutMovie;
}

export const openFileBytes = async (bytes: Buffer, segmentSeconds = 2): Promise<OpenFile> => {
  const reader = {
    sizeBytes: bytes.length,
    read: async (offset: number, lengthBytes: number) => Buffer.from(bytes.subarray(offset, offset + lengthBytes)),
  };
  const movie = await openMovie(reader);
  const cut = cutMovie(movie, segmentSeconds);
  if (!cut) throw new Error("no samples");
  return { reader, movie, cut };
};
/** The whole of a small file, in memory. */
export const openFile = async (path: string, segmentSeconds?: number): Promise<OpenFile> =>
  openFileBytes(await readFile(path), segmentSeconds);

const MiB = 2 ** 20;
export const newMemory = (kernel?: "simd" | "plain", slotBytes = 8 * MiB): TsMemory =>
  new TsMemory({ sourceCount: 2, sourceBytes: 16 * MiB, slotCount: 2, slotBytes, ...(kernel && { kernel }) });
const shared = newMemory();

export interface MakeOptions {
  readonly memory?: TsMemory;
  /** Of one `fill`. */
  readonly slotBytes?: number;
  /** Of one source area. */
  readonly sourceBytes?: number;
  readonly gapBytes?: number;
  readonly wantedBytes?: number;
  /** The source area is given up after each `fill`. */
  readonly releases?: boolean;
}

/** All bytes of a segment. */
export const makeSegment = async (
  file: RangeReader,
  input: SegmentInput,
  options: MakeOptions = {},
): Promise<Buffer> => {
  const { memory = shared, releases = false } = options;
  const sourceAt = memory.sources.take();
  const slotAt = memory.slots.take();
  if (sourceAt === null || slotAt === null) throw new Error("no memory left");
  const room: SourceRoom = {
    byteLength: options.sourceBytes ?? memory.sources.byteLength,
    ...(options.gapBytes !== undefined && { gapBytes: options.gapBytes }),
    ...(options.wantedBytes !== undefined && { wantedBytes: options.wantedBytes }),
  };
  const out = { at: slotAt, capacity: options.slotBytes ?? memory.slots.byteLength };
  const segment = new TsSegment(input);
  const pieces: Buffer[] = [];
  try {
    while (!segment.isDone) {
      if (segment.needsSource) {
        memory.bytes.fill(0xee, sourceAt, sourceAt + Math.min(room.byteLength, 4 * MiB)); // nothing old is used
        for (const { fileOffset, lengthBytes, at } of segment.nextSource(room))
          memory.bytes.set(await file.read(fileOffset, lengthBytes), sourceAt + at);
      }
      const bytes = segment.fill(memory, sourceAt, out);
      pieces.push(Buffer.from(memory.bytes.subarray(out.at, out.at + bytes)));
      if (releases) segment.releaseSource();
    }
  } finally {
    memory.sources.give(sourceAt);
    memory.slots.give(slotAt);
  }
  return Buffer.concat(pieces);
};

const samplesOf = (cuts: TrackCuts | null | undefined, segment: number): Samples | null =>
  cuts ? cuts.track.table.samples(cuts.firsts[segment]!, cuts.firsts[segment + 1]!) : null;

/** Throws where a track has no mapping. */
export const programOf = (tracks: ProgramTracks): TsProgram => {
  const program = tsProgram(tracks);
  if (program.kind !== "program") throw new Error(program.reason);
  return program;
};

export interface Wanted {
  readonly video: boolean;
  readonly audio: boolean;
}
export const AV: Wanted = { video: true, audio: true };

/** The segments of a file, not made yet. */
export const segmentInputs = ({ cut }: OpenFile, wanted: Wanted = AV): SegmentInput[] => {
  const video = wanted.video ? cut.video : null;
  const audio = wanted.audio ? (cut.audio[0] ?? null) : null;
  const program = programOf({
    video: (video?.track ?? null) as VideoTrack | null, // of the plan's video cuts
    audio: cut.movie.audio.find((track) => track === audio?.track) ?? null,
  });
  return Array.from({ length: cut.plan.count }, (_, segmentIndex) => ({
    program,
    segmentIndex,
    video: samplesOf(video, segmentIndex),
    audio: samplesOf(audio, segmentIndex),
  }));
};

/** All segments of a file in turn. */
export const makeSegments = async (
  file: OpenFile,
  wanted: Wanted = AV,
  options: MakeOptions = {},
): Promise<Buffer[]> => {
  const made: Buffer[] = [];
  for (const input of segmentInputs(file, wanted)) made.push(await makeSegment(file.reader, input, options));
  return made;
};
