/**
 * Takes a transport stream apart, for what ffprobe does not tell: continuity counters, clock references, packet counts.
 */
import assert from "node:assert/strict";

export interface Packet {
  readonly pid: number;
  readonly startsUnit: boolean;
  readonly counter: number;
  readonly payload: Buffer;
  readonly randomAccess: boolean;
  /** Ticks of 90 kHz; null: none. */
  readonly clock: number | null;
}

/** Fails on anything that is no packet. */
export const packetsOf = (stream: Buffer): Packet[] => {
  assert.equal(stream.length % 188, 0);
  return Array.from({ length: stream.length / 188 }, (_, index) => {
    const packet = stream.subarray(index * 188, index * 188 + 188);
    assert.equal(packet[0], 0x47);
    const control = packet[3]! >> 4;
    assert.ok(control >= 1 && control <= 3, "not scrambled");
    const hasField = (control & 2) !== 0;
    const fieldLength = hasField ? packet[4]! : 0;
    const payloadAt = hasField ? 5 + fieldLength : 4;
    assert.ok(payloadAt <= 188 && (control & 1) === (payloadAt < 188 ? 1 : 0), "payload is there as is told");
    const flags = fieldLength > 0 ? packet[5]! : 0;
    const hasClock = (flags & 0x10) !== 0;
    assert.ok(!hasClock || fieldLength >= 7);
    if (fieldLength > 0)
      assert.ok(
        packet.subarray(6 + (hasClock ? 6 : 0), payloadAt).every((byte) => byte === 0xff),
        "stuffing",
      );
    return {
      pid: packet.readUInt16BE(1) & 0x1fff,
      startsUnit: (packet[1]! & 0x40) !== 0,
      counter: packet[3]! & 15,
      payload: packet.subarray(payloadAt),
      randomAccess: (flags & 0x40) !== 0,
      clock: hasClock ? packet.readUInt32BE(6) * 2 + (packet[10]! >> 7) : null,
    };
  });
};

/** Fails where a counter jumps (ISO/IEC 13818-1 §2.4.3.3). */
export const assertContinuous = (stream: Buffer): void => {
  const last = new Map<number, number>();
  for (const { pid, counter, payload } of packetsOf(stream)) {
    const before = last.get(pid);
    if (before !== undefined) assert.equal(counter, (before + (payload.length > 0 ? 1 : 0)) & 15, `PID ${pid}`);
    last.set(pid, counter);
  }
};

const timestamp = (bytes: Buffer, at: number): number =>
  ((bytes[at]! >> 1) & 7) * 2 ** 30 + (bytes.readUInt16BE(at + 1) >> 1) * 2 ** 15 + (bytes.readUInt16BE(at + 3) >> 1);

export interface Pes {
  readonly pid: number;
  readonly streamId: number;
  readonly pts: number;
  readonly dts: number;
  readonly payload: Buffer;
  readonly randomAccess: boolean;
  /** The clock reference before or with its first packet, of any PID. */
  readonly clock: number | null;
}

/** PES packets in the order in which they begin; PSI is left out. */
export const pesOf = (stream: Buffer): Pes[] => {
  const open = new Map<number, Buffer[]>();
  const all: (Omit<Pes, "payload"> & { readonly pieces: Buffer[] })[] = [];
  let clock: number | null = null;
  for (const packet of packetsOf(stream)) {
    clock = packet.clock ?? clock;
    if (packet.pid === 0 || packet.pid === 0x1000) continue;
    if (!packet.startsUnit) {
      const pieces = open.get(packet.pid);
      if (packet.payload.length > 0)
        (pieces ?? assert.fail(`a packet of PID ${packet.pid} before its first unit`)).push(packet.payload);
      continue;
    }
    const head = packet.payload;
    assert.equal(head.readUIntBE(0, 3), 1);
    const hasDts = (head[7]! & 0x40) !== 0;
    const pts = timestamp(head, 9);
    const pieces = [head];
    open.set(packet.pid, pieces);
    all.push({
      pid: packet.pid,
      streamId: head[3]!,
      pts,
      dts: hasDts ? timestamp(head, 14) : pts,
      pieces,
      randomAccess: packet.randomAccess,
      clock,
    });
  }
  return all.map(({ pieces, ...pes }) => {
    const whole = Buffer.concat(pieces);
    const told = whole.readUInt16BE(4);
    if (told !== 0) assert.equal(told, whole.length - 6, "PES_packet_length");
    return { ...pes, payload: whole.subarray(9 + whole[8]!) };
  });
};

/** Fails where clock references are too far apart, go back, or are past what is decoded behind them (§2.7.2). */
export const assertClock = (stream: Buffer, { gapTicks = 9_000 } = {}): void => {
  const clocks = packetsOf(stream).flatMap(({ clock }) => clock ?? []);
  assert.ok(clocks.length > 0);
  for (const [index, clock] of clocks.entries()) {
    const gap = clock - (clocks[index - 1] ?? clock);
    assert.ok(gap >= 0 && gap <= gapTicks, `clock reference ${index}: ${gap} ticks after the last`);
  }
  for (const { pid, clock, dts, pts } of pesOf(stream)) {
    // Metadata comes before the first packet that has a clock.
    assert.ok(clock === null ? pid === 0x102 : clock <= dts, `DTS ${dts} after ${clock}`);
    assert.ok(pts >= dts, `PTS ${pts} before DTS ${dts}`);
  }
};
