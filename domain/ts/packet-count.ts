/** How many packets the parts of a segment take: known from the index, without reading the media. */
import { MuxOrder, type SegmentSamples } from "./order.ts";
import { CLOCK_BYTES, COUNTER_CYCLE, PES_HEADER_BYTES } from "./pes.ts";
import type { TsProgram } from "./program.ts";
import { PACKET_BYTES, PAYLOAD_BYTES } from "./psi.ts";
import type { VideoStream } from "./video-stream.ts";

/** With lengths of four bytes a sample keeps its size when they become start codes. */
const SAME_SIZE_LENGTH_BYTES = 4;
export const keepsSize = ({ nalLengthBytes }: VideoStream): boolean => nalLengthBytes === SAME_SIZE_LENGTH_BYTES;

export interface UnitShape {
  readonly size: number;
  readonly hasDts: boolean;
  /** Parameter sets go before it. */
  readonly hasSets: boolean;
}
/**
 * Packets of an access unit. Room for a delimiter and parameter sets is counted whether the sample has its own or not: so
 * the number follows from its size alone, and what is too much is stuffed.
 */
export const unitPackets = ({ syntax, setBytes }: VideoStream, { size, hasDts, hasSets }: UnitShape): number => {
  const header = PES_HEADER_BYTES[hasDts ? "ptsAndDts" : "pts"] + syntax.delimiter.length + (hasSets ? setBytes : 0);
  return Math.ceil((CLOCK_BYTES + header + size) / PAYLOAD_BYTES);
};

/** Packets of a PES packet with PTS alone. */
export const pesPackets = (payloadBytes: number, fieldBytes: number): number =>
  Math.ceil((fieldBytes + PES_HEADER_BYTES.pts + payloadBytes) / PAYLOAD_BYTES);

const wholeCycles = (packets: number): number => Math.ceil(packets / COUNTER_CYCLE) * COUNTER_CYCLE;

const TABLE_PACKETS = 2;

export interface SegmentShape extends SegmentSamples {
  readonly program: TsProgram;
  /** Of a timed ID3 tag; 0: none. */
  readonly tagBytes: number;
}

/** Size of a segment; null where NAL lengths of one or two bytes make it depend on the media. */
export const segmentBytes = ({ program, video, audio, tagBytes }: SegmentShape): number | null => {
  const stream = program.video;
  if (video && stream && !keepsSize(stream)) return null;
  const order = new MuxOrder(program, { video, audio });
  const clockBytes = stream ? 0 : CLOCK_BYTES;
  let [units, groups, clocks] = [0, 0, 0];
  for (let kind = order.next(); kind !== "end"; kind = order.next()) {
    if (kind === "clock") clocks += 1;
    else if (kind === "audio") groups += pesPackets(order.groupBytes, clockBytes);
    else if (video && stream) {
      const hasSets = order.isFirstUnit || video.sync[order.sample] === 1;
      units += unitPackets(stream, { size: video.size[order.sample]!, hasDts: order.pts !== order.dts, hasSets });
    }
  }
  const tag = tagBytes === 0 ? 0 : wholeCycles(pesPackets(tagBytes, 0));
  return PACKET_BYTES * (TABLE_PACKETS + wholeCycles(units) + wholeCycles(groups) + clocks + tag);
};
