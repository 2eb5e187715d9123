/** Program specific information: PAT and PMT (ISO/IEC 13818-1 §2.4.4), each one packet. */

export const PACKET_BYTES = 188;
export const PAYLOAD_BYTES = 184;
const SECTION_AT = 5; // 4 bytes of header, a pointer field of 0
const SECTION_BYTES_MAX = PACKET_BYTES - SECTION_AT;

/** PIDs as most packagers have them. */
export const PID = { pat: 0, pmt: 0x1000, video: 0x100, audio: 0x101, metadata: 0x102 } as const;
const NO_PCR_PID = 0x1fff;
const PROGRAM_NUMBER = 1;
const TRANSPORT_STREAM_ID = 1;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc;
});

/** CRC-32 of ISO/IEC 13818-1 Annex A. */
const crc32 = (bytes: readonly number[]): number => {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = ((crc << 8) ^ (CRC_TABLE[((crc >>> 24) ^ byte) & 255] ?? 0)) >>> 0;
  return crc;
};

const uint16 = (value: number): number[] => [(value >> 8) & 255, value & 255];
const text = (value: string): number[] => [...Buffer.from(value, "latin1")];

/** A descriptor (§2.6). */
export const descriptor = (tag: number, body: readonly number[]): number[] => [tag, body.length, ...body];
/** registration_descriptor (§2.6.8). */
export const registration = (format: string, more: readonly number[] = []): number[] =>
  descriptor(0x05, [...text(format), ...more]);
/** ISO_639_language_descriptor (§2.6.18): three letters, no audio type. */
export const languageDescriptor = (letters: string): number[] => descriptor(0x0a, [...text(letters), 0]);

/** One section in one packet, whose continuity counter is written when it is sent. */
const sectionPacket = (pid: number, tableId: number, body: readonly number[]): Buffer => {
  const section = [tableId, ...uint16(0xb000 | (body.length + 4)), ...body];
  const crc = crc32(section);
  section.push(...uint16(crc >>> 16), ...uint16(crc));
  if (section.length > SECTION_BYTES_MAX) throw new Error(`bug: a section of ${section.length} bytes`);
  const packet = Buffer.alloc(PACKET_BYTES, 0xff);
  packet.set([0x47, 0x40 | (pid >> 8), pid & 255, 0x10, 0]);
  packet.set(section, SECTION_AT);
  return packet;
};

/** Version 0, current, section 0 of 0. */
const SECTION_NUMBERS = [0xc1, 0, 0];

export const patPacket = (): Buffer =>
  sectionPacket(PID.pat, 0, [
    ...uint16(TRANSPORT_STREAM_ID),
    ...SECTION_NUMBERS,
    ...uint16(PROGRAM_NUMBER),
    ...uint16(0xe000 | PID.pmt),
  ]);

/** An elementary stream as the PMT lists it (§2.4.4.8). */
export interface ListedStream {
  readonly pid: number;
  /** Table 2-34. */
  readonly streamType: number;
  readonly descriptors: readonly number[];
}

export interface ProgramMap {
  readonly pcrPid: number | null;
  readonly descriptors: readonly number[];
  readonly streams: readonly ListedStream[];
}

export const pmtPacket = ({ pcrPid, descriptors, streams }: ProgramMap): Buffer =>
  sectionPacket(PID.pmt, 2, [
    ...uint16(PROGRAM_NUMBER),
    ...SECTION_NUMBERS,
    ...uint16(0xe000 | (pcrPid ?? NO_PCR_PID)),
    ...uint16(0xf000 | descriptors.length),
    ...descriptors,
    ...streams.flatMap(({ pid, streamType, descriptors: own }) => [
      streamType,
      ...uint16(0xe000 | pid),
      ...uint16(0xf000 | own.length),
      ...own,
    ]),
  ]);
