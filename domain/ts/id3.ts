/**
 * Timed ID3 tags in a transport stream (Apple, "Timed Metadata for HTTP Live Streaming"), and artwork as such a tag.
 */
import { descriptor, type ListedStream, PID } from "./psi.ts";

/** A tag goes into one PES packet. */
const TAG_BYTES_MAX = 65_000;
const FORMAT = [...Buffer.from("ID3 ", "latin1")];
/** metadata_application_format and metadata_format: told by the identifiers behind them; service 0. */
const METADATA_FORMAT = [0xff, 0xff, ...FORMAT, 0xff, ...FORMAT, 0];

/** metadata_pointer_descriptor (ISO/IEC 13818-1 §2.6.58), to program 1. */
export const ID3_PROGRAM_DESCRIPTOR: readonly number[] = descriptor(0x25, [...METADATA_FORMAT, 0x1f, 0, 1]);
/** Metadata in PES packets, with its metadata_descriptor (§2.6.60). */
export const ID3_STREAM: ListedStream = {
  pid: PID.metadata,
  streamType: 0x15,
  descriptors: descriptor(0x26, [...METADATA_FORMAT, 0x0f]),
};

export interface Artwork {
  readonly type: "image/jpeg" | "image/png";
  readonly bytes: Uint8Array;
}

/** Seven bits in each of four bytes (ID3v2.4.0 structure §6.2). */
const syncSafe = (value: number): number[] => [21, 14, 7, 0].map((shift) => (value >> shift) & 127);

const FRONT_COVER = 3;
/**
 * An ID3v2.4 tag with one attached picture (ID3v2.4.0 native frames §4.14); null when it is too large for one packet.
 */
export const artworkTag = ({ type, bytes }: Artwork): Buffer | null => {
  const head = Buffer.from([0, ...Buffer.from(type, "latin1"), 0, FRONT_COVER, 0]);
  const frameBytes = head.length + bytes.length;
  if (frameBytes + 20 > TAG_BYTES_MAX) return null;
  const frame = [...Buffer.from("APIC", "latin1"), ...syncSafe(frameBytes), 0, 0];
  const tag = [...Buffer.from("ID3", "latin1"), 4, 0, 0, ...syncSafe(frame.length + frameBytes)];
  return Buffer.concat([Buffer.from(tag), Buffer.from(frame), head, bytes]);
};
