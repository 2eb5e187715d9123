/** Reads one `trak` (ISO/IEC 14496-12 §8.3). */
import { type BoxView, boxesIn, ownCopy } from "./box-view.ts";
import { readCodec } from "./codec.ts";
import { editShift } from "./edit-list.ts";
import type { Track } from "./movie.ts";
import { CompactTable } from "./sample-table.ts";
import { isEnabled, rotationOf, timescaleOf, trackId } from "./track-header.ts";

export interface MovieContext {
  readonly movieTimescale: number;
  readonly fileBytes: number;
}
export interface FoundTrack {
  readonly track: Track;
  readonly enabled: boolean;
}

/** The track, or what its sample entry is called where it can't be served. */
export const readTrack = (trak: BoxView, context: MovieContext): FoundTrack | string => {
  const tkhd = trak.need("tkhd");
  const mdia = trak.need("mdia");
  const handler = mdia.need("hdlr").slice(8, 4).toString("latin1");
  const stbl = mdia.need("minf", "stbl");
  const [entry] = boxesIn(stbl.need("stsd").body, 8, "stsd");
  if (!entry) return handler;
  const codec = readCodec(entry, handler);
  if (!codec) return entry.type;
  const timescale = timescaleOf(mdia.need("mdhd"));
  const table = new CompactTable(stbl, context.fileBytes);
  if (table.sampleCount === 0) return entry.type;
  const elst = trak.find("edts", "elst");
  return {
    enabled: isEnabled(tkhd),
    track: {
      id: trackId(tkhd),
      codec,
      timescale,
      shift: editShift(elst, { movie: context.movieTimescale, track: timescale }),
      language: "und",
      name: "",
      rotation: rotationOf(tkhd),
      trackHeader: ownCopy(tkhd.whole),
      table,
    },
  };
};
