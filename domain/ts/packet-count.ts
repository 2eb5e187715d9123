/** How many packets the parts of a segment take: known from the index, without reading the media. */
import { MuxOrder, type SegmentSamples } from "./order.ts";
import { CLOCK_BYTES, missingPackets, PES_HEADER_BYTES, spareRoom } from "./pes.ts";
import type { TsProgram } from "./program.ts";
import { PACKET_BYTES, PAYLOAD_BYTES } from "./psi.ts";
import type { VideoStream } from "./video-stream.ts";

/** With lengths of four bytes a sample keeps its size when they become start codes. */
const SAME_SIZE_LENGTH_BYTES = 4;
/** A sample has as many bytes in the stream as in the file. */
export const keepsSize = ({ nalLengthBytes, isEncrypted }: VideoStream): boolean =>
  nalLengthBytes === SAME_SIZE_LENGTH_BYTES && !isEncrypted;

export interface UnitShape {
  readonly size: number;
  readonly hasDts: boolean;
  /** Parameter sets go before it. */
  readonly hasSets: boolean;
}
/**
 * Packets of an access unit. Room for a delimiter and parameter sets is counted whether the sample has its own or not:
 * so the number follows from its size alone, and what is too much is stuffed.
 */
export const unitPackets = ({ syntax, setBytes }: VideoStream, { size, hasDts, hasSets }: UnitShape): number => {
  const header = PES_HEADER_BYTES[hasDts ? "ptsAndDts" : "pts"] + syntax.delimiter.length + (hasSets ? setBytes : 0);
  return Math.ceil((CLOCK_BYTES + header + size) / PAYLOAD_BYTES);
};

/** Packets of a PES packet with PTS alone, some of which have clock references. */
export const pesPackets = (payloadBytes: number, clockCount: number): number =>
  Math.max(clockCount, Math.ceil((clockCount * CLOCK_BYTES + PES_HEADER_BYTES.pts + payloadBytes) / PAYLOAD_BYTES));

/** Packets of a segment, before any are put in to complete a cycle of 16. */
export interface PacketCounts {
  /** Null where NAL lengths of one or two bytes, or encryption, make it depend on the media. */
  readonly video: number | null;
  readonly audio: number;
  /** Of a timed ID3 tag. */
  readonly tag: number;
  /** With nothing but a clock reference. */
  readonly clock: number;
  /** How many can be put in among those of audio: only a segment with one short frame has no room for all. */
  readonly audioRoom: number;
}

export const countPackets = (program: TsProgram, samples: SegmentSamples, tagBytes: number): PacketCounts => {
  const [stream, video] = [program.video, samples.video];
  const order = new MuxOrder(program, samples);
  let [units, groups, clocks, audioRoom] = [0, 0, 0, 0];
  for (let kind = order.next(); kind !== "end"; kind = order.next()) {
    if (kind === "clock") clocks += 1;
    else if (kind === "audio") {
      const needed = pesPackets(order.groupBytes, order.clockCount);
      groups += needed;
      audioRoom += spareRoom(order.groupBytes, needed);
    } else if (video && stream) {
      const hasSets = order.isFirstUnit || video.sync[order.sample] === 1;
      units += unitPackets(stream, { size: video.size[order.sample]!, hasDts: order.pts !== order.dts, hasSets });
    }
  }
  const isUnknown = stream !== null && units > 0 && !keepsSize(stream);
  const tag = tagBytes === 0 ? 0 : pesPackets(tagBytes, 0);
  return { video: isUnknown ? null : units, audio: groups, tag, clock: clocks, audioRoom };
};

const TABLE_PACKETS = 2;

/** Size of a segment; null where it is not known before the media is read. */
export const segmentBytes = ({ video, audio, tag, clock, audioRoom }: PacketCounts): number | null => {
  if (video === null) return null;
  const spare = missingPackets(video) + Math.min(missingPackets(audio), audioRoom) + missingPackets(tag);
  return PACKET_BYTES * (TABLE_PACKETS + video + audio + tag + clock + spare);
};
