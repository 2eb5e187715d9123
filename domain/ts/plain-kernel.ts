/** kernel.wat in JavaScript, for machines without SIMD: the same bytes. */

/**
 * Copies `count` payloads of 184 bytes from `source` on into packets from `target` on. `header`: sync byte and PID as
 * they lie in memory, little endian. Gives the next continuity counter, unmasked.
 */
export type PacketKernel = (source: number, target: number, count: number, header: number, counter: number) => number;

const PACKET_BYTES = 188;
const HEADER_BYTES = 4;
const PAYLOAD_ONLY = 0x10;

/**
 * A DataView, because packets don't lie on multiples of 8; big integers, because no other move of it takes 8 bytes as
 * they are: 12,000 MB/s, against 4,500 of `set` and 1,100 byte by byte.
 */
export const plainKernel = (memory: ArrayBuffer | SharedArrayBuffer): PacketKernel => {
  const view = new DataView(memory);
  return (source, target, count, header, counter) => {
    let from = source;
    let to = target;
    let next = counter;
    for (let packet = 0; packet < count; packet += 1) {
      view.setUint32(to, header | ((PAYLOAD_ONLY | (next & 15)) << 24), true);
      to += HEADER_BYTES;
      for (const end = target + (packet + 1) * PACKET_BYTES; to < end; to += 8, from += 8) {
        view.setBigUint64(to, view.getBigUint64(from, true), true);
      }
      next += 1;
    }
    return next;
  };
};
