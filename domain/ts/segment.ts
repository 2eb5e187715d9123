import type { SourceRange } from "./extents.ts";
import type { TsMemory } from "./memory.ts";
import { CLOCK_LEAD_TICKS, MuxOrder, type SegmentSamples } from "./order.ts";
import { countPackets, segmentBytes } from "./packet-count.ts";
import { COUNTER_CYCLE, writeClockPacket } from "./pes.ts";
import { PesMaker } from "./pes-maker.ts";
import type { TsProgram } from "./program.ts";
import { PACKET_BYTES } from "./psi.ts";
import type { SampleCipher } from "./sample-aes.ts";
import { type SourceRoom, SourceWindow, TS_SCRATCH_BYTES } from "./source-window.ts";

export interface SegmentInput extends SegmentSamples {
  readonly program: TsProgram;
  /** 0-based: the counters of PAT and PMT follow it. */
  readonly segmentIndex: number;
  /** A timed ID3 tag (`artworkTag`), if the program lists their stream. */
  readonly tag?: Buffer | null;
  /** Of a program whose media is encrypted. */
  readonly cipher?: SampleCipher | null;
}

/** Where packets go. */
export interface PacketRoom {
  readonly at: number;
  readonly capacity: number;
}

/**
 * One segment as a transport stream, made in as many steps as memory allows; the bytes don't depend on the steps.
 *
 *     while (!segment.isDone) {
 *       if (segment.needsSource) for (const { fileOffset, lengthBytes, at } of segment.nextSource(room)) …read to it
 *       send(out, segment.fill(memory, area, out));
 *     }
 *
 * The area belongs to the segment from `nextSource` until it is asked for again, or given up by `releaseSource`: what
 * is not written by then is read once more. Each segment stands alone and goes on with the counters of the one before
 * it: PAT and PMT count segments, other PIDs have a multiple of 16 packets.
 */
export class TsSegment {
  /**
   * Size of the whole segment; null where that depends on the media: NAL lengths of 1 or 2 bytes, SAMPLE-AES of video.
   */
  readonly exactBytes: number | null;
  readonly #input: SegmentInput;
  readonly #order: MuxOrder;
  readonly #window: SourceWindow;
  readonly #maker: PesMaker;
  #tablesLeft = 2;
  #tagIsDue: boolean;
  #hasArea = false;
  /** Packets of the PES packet that is being written. */
  #pesPackets = 0;
  #isTag = false;
  /** The PES packet at which the source was given up is made again, and this many of its packets are not sent. */
  #skipped = 0;
  #repeats = false;

  constructor(input: SegmentInput) {
    if (isEncrypted(input.program) && !input.cipher)
      throw new Error("bug: a segment that is to be encrypted has no cipher");
    const counts = countPackets(input.program, input, input.tag?.length ?? 0);
    this.exactBytes = segmentBytes(counts);
    this.#input = input;
    this.#order = new MuxOrder(input.program, input);
    this.#window = new SourceWindow(input.program, input);
    this.#maker = new PesMaker(input, counts);
    this.#tagIsDue = (input.tag?.length ?? 0) > 0;
  }

  /** All is written. */
  get isDone(): boolean {
    return this.#tablesLeft === 0 && this.#isIdle && this.#window.isAtEnd;
  }
  /** Nothing can be written before more of the file is read. */
  get needsSource(): boolean {
    return !this.isDone && (!this.#hasArea || (this.#isIdle && !this.#window.isAtEnd));
  }
  get #isIdle(): boolean {
    return this.#maker.pes.packets === 0 && !this.#tagIsDue && this.#window.eventCount === 0;
  }

  /**
   * What is to be read before `fill`, and where to: as much as has room, one access unit at least. Throws a MovieError
   * when that has none.
   */
  nextSource(room: SourceRoom): SourceRange[] {
    if (!this.needsSource) throw new Error("bug: what was read is not used up");
    this.#hasArea = true;
    return this.#window.take(room);
  }

  /** The area is wanted for something else. */
  releaseSource(): void {
    if (!this.#hasArea || this.isDone) return;
    const { pes } = this.#maker;
    const isOpen = pes.packets > 0;
    this.#hasArea = false;
    this.#skipped = isOpen ? this.#pesPackets - pes.packets : 0;
    this.#tagIsDue ||= isOpen && this.#isTag;
    this.#repeats = isOpen && !this.#isTag;
    if (isOpen) pes.abandon(this.#skipped);
    this.#window.rewind(this.#order, { repeats: this.#repeats });
  }

  /** Writes packets until `out` is full or what was read to the area at `areaAt` is used up; gives their bytes. */
  fill(memory: TsMemory, areaAt: number, out: PacketRoom): number {
    if (this.needsSource) throw new Error("bug: nothing is read yet");
    const { pes } = this.#maker;
    const end = out.at + out.capacity;
    this.#window.areaAt = areaAt;
    let to = this.#writeTables(memory.bytes, out.at, end);
    for (;;) {
      to = pes.write(memory, to, end);
      if (pes.packets > 0 || this.#tablesLeft > 0 || to + PACKET_BYTES > end || this.#isIdle) return to - out.at;
      to = this.#begin(memory, to);
    }
  }

  #writeTables(bytes: Buffer, at: number, end: number): number {
    const { program, segmentIndex } = this.#input;
    let to = at;
    while (this.#tablesLeft > 0 && to + PACKET_BYTES <= end) {
      bytes.set(this.#tablesLeft === 2 ? program.pat : program.pmt, to);
      bytes[to + COUNTER_AT]! |= segmentIndex % COUNTER_CYCLE;
      this.#tablesLeft -= 1;
      to += PACKET_BYTES;
    }
    return to;
  }

  /** Begins what comes next; a packet with nothing but a clock reference is written at once. */
  #begin(memory: TsMemory, to: number): number {
    const [order, maker] = [this.#order, this.#maker];
    this.#isTag = this.#tagIsDue;
    if (this.#isTag) this.#beginTag(memory);
    else {
      if (!this.#repeats) order.next();
      this.#repeats = false;
      this.#window.eventCount -= 1;
      if (order.kind === "clock") {
        const clock = { stream: maker.clockStream, ticks: order.dts - CLOCK_LEAD_TICKS };
        return writeClockPacket(memory.bytes, to, clock);
      }
      if (order.kind === "video") maker.unit(memory, order, this.#window);
      else maker.group(memory, order, this.#window);
    }
    maker.pes.start();
    this.#pesPackets = maker.pes.packets;
    maker.pes.skip(memory, this.#skipped, this.#window.scratchAt + TS_SCRATCH_BYTES - PACKET_BYTES);
    this.#skipped = 0;
    return to;
  }

  #beginTag(memory: TsMemory): void {
    this.#tagIsDue = false;
    const first = new MuxOrder(this.#input.program, this.#input);
    const pts = first.next() === "video" ? first.pts : first.dts;
    this.#maker.tag(memory, this.#window, { tag: this.#input.tag ?? NO_TAG, pts });
  }
}

const isEncrypted = ({ video, audio }: TsProgram): boolean => (video ?? audio)?.isEncrypted === true;

const COUNTER_AT = 3;
const NO_TAG = Buffer.alloc(0);
