/** PES packets as transport packets (ISO/IEC 13818-1 §2.4.3). */
import { writeClockReference, writeTimestamp } from "./clock.ts";
import type { TsMemory } from "./memory.ts";
import { PACKET_BYTES, PAYLOAD_BYTES } from "./psi.ts";

/** Continuity counters have four bits: with a multiple of 16 packets per segment each begins at 0, and none jumps. */
export const COUNTER_CYCLE = 16;
/** Adaptation field with a clock reference: its length, flags, 48 bits. */
export const CLOCK_BYTES = 8;
/** PTS alone, or with DTS. */
export const PES_HEADER_BYTES = { pts: 14, ptsAndDts: 19 } as const;
const PES_LENGTH_AT = 6; // PES_packet_length counts what is behind it
const SYNC_BYTE = 0x47;
const UNIT_START = 0x40;
const FLAG = { randomAccess: 0x40, clock: 0x10 } as const;

/** How many are missing to a whole cycle. */
export const missingPackets = (packets: number): number => -packets & (COUNTER_CYCLE - 1);
/** How many can be put in at a PES packet that needs `needed`, so that its header stays whole in the first one. */
export const spareRoom = (payloadBytes: number, needed: number): number => Math.max(0, payloadBytes + 1 - needed);

/** Packets of one PID in one segment. */
export class PacketStream {
  readonly pid: number;
  /** Sync byte and PID as they lie in memory, little endian: what kernels put before the counter. */
  readonly header: number;
  /** Packets with payload so far. */
  count = 0;
  /** Packets that are still to be put in, so that a whole cycle comes out. */
  #spare: number;

  /** `packets`: how many there will be without those. */
  constructor(pid: number, packets: number) {
    this.pid = pid;
    this.header = SYNC_BYTE | ((pid >> 8) << 8) | ((pid & 255) << 16);
    this.#spare = missingPackets(packets);
  }
  /** Takes as many of them as there is room for. */
  takeSpare(room: number): number {
    const taken = Math.min(this.#spare, room);
    this.#spare -= taken;
    return taken;
  }
  /** Undoes a PES packet, of which `packets` were written. */
  giveBack(packets: number, spare: number): void {
    this.count -= packets;
    this.#spare += spare;
  }
}

export interface PesHeader {
  readonly streamId: number;
  /** Bytes behind the header; 0: not told, which only video may do. */
  readonly payloadBytes: number;
  readonly pts: number;
  /** As PTS: none is written. */
  readonly dts: number;
}

/** PES header (§2.4.3.6), payload aligned with it; gives where the payload goes. */
export const writePesHeader = (bytes: Uint8Array, at: number, header: PesHeader): number => {
  const { streamId, payloadBytes, pts, dts } = header;
  const hasDts = dts !== pts;
  const end = at + PES_HEADER_BYTES[hasDts ? "ptsAndDts" : "pts"];
  const length = payloadBytes === 0 ? 0 : payloadBytes + end - at - PES_LENGTH_AT;
  bytes[at] = 0;
  bytes[at + 1] = 0;
  bytes[at + 2] = 1;
  bytes[at + 3] = streamId;
  bytes[at + 4] = length >> 8;
  bytes[at + 5] = length;
  bytes[at + 6] = 0x84; // data_alignment_indicator
  bytes[at + 7] = hasDts ? 0xc0 : 0x80;
  bytes[at + 8] = end - at - 9;
  writeTimestamp(bytes, at + 9, pts);
  bytes[at + 9]! |= hasDts ? 0x30 : 0x20;
  if (hasDts) {
    writeTimestamp(bytes, at + 14, dts);
    bytes[at + 14]! |= 0x10;
  }
  return end;
};

/** A packet with a clock reference and no payload: it does not count (§2.4.3.3). Gives its end. */
export const writeClockPacket = (bytes: Uint8Array, at: number, clock: { stream: PacketStream; ticks: number }) => {
  const { pid, count } = clock.stream;
  bytes[at] = SYNC_BYTE;
  bytes[at + 1] = pid >> 8;
  bytes[at + 2] = pid;
  bytes[at + 3] = 0x20 | ((count - 1) & (COUNTER_CYCLE - 1));
  bytes[at + 4] = PAYLOAD_BYTES - 1;
  bytes[at + 5] = FLAG.clock;
  writeClockReference(bytes, at + 6, clock.ticks);
  bytes.fill(0xff, at + 4 + CLOCK_BYTES, at + PACKET_BYTES);
  return at + PACKET_BYTES;
};

/**
 * The PES packet that is being written: a prefix and a body somewhere in memory, over a number of packets that is
 * decided beforehand. What they have too much is stuffing in adaptation fields: in the last packet, or in as many of
 * the last ones as must be, one byte of payload each. Fields are set before `start`; nothing is allocated.
 */
export class PesPackets {
  stream: PacketStream;
  /** Transport packets to be filled: enough for prefix and body, and at most as many as they have bytes. */
  packets = 0;
  /** Those of them that complete a cycle. */
  sparePackets = 0;
  prefixAt = 0;
  prefixBytes = 0;
  bodyAt = 0;
  bodyBytes = 0;
  /** Packets that have a clock reference, at even distances from the first one on; at most as many as there are. */
  clockCount = 0;
  /** The first one, and by how much each is later than the one before it. */
  clockTicks = 0;
  clockStepTicks = 0;
  isRandomAccess = false;
  #total = 0;
  #clocksSent = 0;

  constructor(stream: PacketStream) {
    this.stream = stream;
  }

  start(): void {
    this.#total = this.packets;
    this.#clocksSent = 0;
  }
  /** Forgets it, and the packets of it that were written. */
  abandon(packets: number): void {
    this.stream.giveBack(packets, this.sparePackets);
    this.packets = 0;
  }
  /** Goes on behind packets that have been written already; their bytes are made once more at `spare`. */
  skip(memory: TsMemory, packets: number, spare: number): void {
    for (let packet = 0; packet < packets; packet += 1) this.write(memory, spare, spare + PACKET_BYTES);
  }

  /** Writes whole packets from `at` on, none beyond `end`; gives where they end. `packets` says what is left. */
  write(memory: TsMemory, at: number, end: number): number {
    let to = at;
    while (this.packets > 0 && to + PACKET_BYTES <= end) {
      const full = this.#fullPackets(end - to);
      to = full > 0 ? this.#copy(memory, to, full) : this.#assemble(memory.bytes, to);
    }
    return to;
  }

  /** How many can be filled with the body alone, so that a byte is left for each one behind them. */
  #fullPackets(room: number): number {
    if (this.packets === this.#total || this.prefixBytes > 0) return 0;
    const full = Math.floor((this.bodyBytes - this.packets) / (PAYLOAD_BYTES - 1));
    return Math.min(full, this.packets, Math.floor(room / PACKET_BYTES), this.#packetsToClock());
  }
  #packetsToClock(): number {
    if (this.#clocksSent >= this.clockCount) return this.packets;
    return Math.floor((this.#clocksSent * this.#total) / this.clockCount) - (this.#total - this.packets);
  }

  #copy(memory: TsMemory, to: number, count: number): number {
    const { stream } = this;
    memory.packets(this.bodyAt, to, count, stream.header, stream.count);
    stream.count += count;
    this.packets -= count;
    this.bodyAt += count * PAYLOAD_BYTES;
    this.bodyBytes -= count * PAYLOAD_BYTES;
    return to + count * PACKET_BYTES;
  }

  /** One packet with an adaptation field, or with bytes of the prefix. */
  #assemble(bytes: Uint8Array, at: number): number {
    const { stream } = this;
    const isFirst = this.packets === this.#total;
    const hasClock = this.#clocksSent < this.clockCount && this.#packetsToClock() === 0;
    const flags = (hasClock ? FLAG.clock : 0) | (isFirst && this.isRandomAccess ? FLAG.randomAccess : 0);
    const fieldMin = hasClock ? CLOCK_BYTES : flags === 0 ? 0 : 2;
    const payload = Math.min(PAYLOAD_BYTES - fieldMin, this.prefixBytes + this.bodyBytes - this.packets + 1);
    const field = PAYLOAD_BYTES - payload;
    bytes[at] = SYNC_BYTE;
    bytes[at + 1] = (isFirst ? UNIT_START : 0) | (stream.pid >> 8);
    bytes[at + 2] = stream.pid;
    bytes[at + 3] = (field > 0 ? 0x30 : 0x10) | (stream.count & (COUNTER_CYCLE - 1));
    const payloadAt = at + 4 + field;
    if (field > 0) bytes[at + 4] = field - 1;
    if (field > 1) {
      bytes[at + 5] = flags;
      if (hasClock) writeClockReference(bytes, at + 6, this.clockTicks + this.#clocksSent * this.clockStepTicks);
      bytes.fill(0xff, at + 4 + Math.max(2, fieldMin), payloadAt);
    }
    this.#take(bytes, payloadAt, payload);
    if (hasClock) this.#clocksSent += 1;
    stream.count += 1;
    this.packets -= 1;
    return at + PACKET_BYTES;
  }

  #take(bytes: Uint8Array, at: number, length: number): void {
    const fromPrefix = Math.min(this.prefixBytes, length);
    bytes.copyWithin(at, this.prefixAt, this.prefixAt + fromPrefix);
    this.prefixAt += fromPrefix;
    this.prefixBytes -= fromPrefix;
    const fromBody = length - fromPrefix;
    bytes.copyWithin(at + fromPrefix, this.bodyAt, this.bodyAt + fromBody);
    this.bodyAt += fromBody;
    this.bodyBytes -= fromBody;
  }
}
