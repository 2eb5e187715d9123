/** Opens an MP4 by its boxes, whatever its size: its `moov` is read, its media is not (ISO/IEC 14496-12). */
import { BoxView, boxHeader, unsupported } from "./box-view.ts";
import type { AudioTrack, Movie, RangeReader, TextTrack, Track, VideoTrack } from "./movie.ts";
import { type FoundTrack, readTrack } from "./read-track.ts";
import { FileWalk, readMoov } from "./top-level.ts";
import { timescaleOf } from "./track-header.ts";

const TRACKS_MAX = 64;
/** Samples behind the last in decode order whose picture may still come later. */
const REORDER_MAX = 32;

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
  return codec.sampleEntry.length + trackHeader.length + sets;
};

/** Rejects with a MovieError where the file can't be served, and with what the reader rejects with. */
export const openMovie = async (reader: RangeReader): Promise<Movie> => {
  const walk = new FileWalk(reader);
  const { moov: bytes } = await readMoov(walk);
  const moov = new BoxView("moov", bytes, boxHeader(bytes, 0)?.headerBytes ?? 8);
  const traks = moov.children().filter(({ type }) => type === "trak");
  if (traks.length > TRACKS_MAX) unsupported(`it has ${traks.length} tracks: ${TRACKS_MAX} are taken`);
  const context = { movieTimescale: timescaleOf(moov.need("mvhd")), fileBytes: reader.sizeBytes };
  const found = traks.map((trak) => readTrack(trak, context));
  const ignored = found.filter((one) => typeof one === "string");
  const served = found.filter((one): one is FoundTrack => typeof one !== "string");
  const tracks = [...served.filter(({ enabled }) => enabled), ...served.filter(({ enabled }) => !enabled)].map(
    ({ track }) => track,
  );
  if (tracks.length === 0) unsupported(`no track that can be served: ${ignored.join(", ") || "none"}`);
  return {
    video: tracks.filter((track): track is VideoTrack => track.codec.kind === "video"),
    audio: tracks.filter((track): track is AudioTrack => track.codec.kind === "audio"),
    text: tracks.filter((track): track is TextTrack => track.codec.kind === "text"),
    ignored,
    durationSeconds: Math.max(...tracks.map(endSeconds)),
    heapBytes: bytes.length + tracks.reduce((sum, track) => sum + headerBytes(track), 0),
  };
};
