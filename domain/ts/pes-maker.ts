/** Prepares PES packets: headers, delimiters and parameter sets go to the scratch, media stays where it was read to. */
import { AccessUnit, type GrowingSample } from "./access-unit.ts";
import { sealAdts } from "./adts.ts";
import type { TsMemory } from "./memory.ts";
import { CLOCK_LEAD_TICKS, type MuxOrder, type SegmentSamples } from "./order.ts";
import { keepsSize, type PacketCounts, pesPackets, unitPackets } from "./packet-count.ts";
import { CLOCK_BYTES, missingPackets, PacketStream, PesPackets, spareRoom, writePesHeader } from "./pes.ts";
import type { TsProgram } from "./program.ts";
import { PAYLOAD_BYTES, PID } from "./psi.ts";
import { type SampleCipher, SampleEncryption } from "./sample-aes.ts";
import type { SourceWindow } from "./source-window.ts";
import type { VideoStream } from "./video-stream.ts";

const VIDEO_STREAM_ID = 0xe0;
const PRIVATE_STREAM_1 = 0xbd;
/** Where `nuh_temporal_id_plus1` of a delimiter is, behind its start code (ITU-T H.265 §7.3.1.2). */
const TEMPORAL_ID_AT = 5;

/** What PES packets are made of. */
export interface EncodedMedia extends SegmentSamples {
  readonly program: TsProgram;
  readonly cipher?: SampleCipher | null;
}

export class PesMaker {
  /** The one that was prepared last. */
  readonly pes: PesPackets;
  readonly clockStream: PacketStream;
  readonly #program: TsProgram;
  readonly #samples: SegmentSamples;
  readonly #video: PacketStream;
  readonly #audio: PacketStream;
  readonly #metadata: PacketStream;
  readonly #encryption: SampleEncryption | null;
  readonly #unit: AccessUnit | null;
  readonly #header = { streamId: 0, payloadBytes: 0, pts: 0, dts: 0 };

  constructor(media: EncodedMedia, counts: PacketCounts) {
    const { program } = media;
    this.#program = program;
    this.#samples = media;
    this.#encryption = media.cipher ? new SampleEncryption(media.cipher) : null;
    this.#unit = program.video && new AccessUnit(program.video.syntax);
    this.#video = new PacketStream(PID.video, counts.video ?? 0);
    this.#audio = new PacketStream(PID.audio, counts.audio);
    this.#metadata = new PacketStream(PID.metadata, counts.tag);
    this.clockStream = program.video ? this.#video : this.#audio;
    this.pes = new PesPackets(this.clockStream);
  }

  /** The access unit that `order` is at. */
  unit({ bytes }: TsMemory, order: MuxOrder, window: SourceWindow): void {
    const { pes } = this;
    const [stream, samples, unit] = [this.#program.video, this.#samples.video, this.#unit];
    if (!stream || !samples || !unit) return;
    const size = samples.size[order.sample]!;
    const at = window.addressOf(samples.offset[order.sample]!);
    if (keepsSize(stream)) unit.inPlace(bytes, at, size);
    else unit.expanded(bytes, this.#growing(stream, { at, size, target: window.expansionAt }));
    pes.isRandomAccess = samples.sync[order.sample] === 1;
    pes.clockCount = 1;
    pes.clockTicks = order.dts - CLOCK_LEAD_TICKS;
    const hasSets = pes.isRandomAccess || order.isFirstUnit;
    let to = this.#writeUnitHeader(bytes, window.scratchAt, order);
    to = this.#writeDelimiter(bytes, to, unit);
    // A sample that is shorter than them has none worth keeping; room for them was counted.
    if (hasSets) to = writeSets(bytes, to, { stream, present: size < stream.setBytes ? 0 : unit.setKinds });
    pes.stream = this.#video;
    pes.prefixAt = window.scratchAt;
    pes.prefixBytes = to - window.scratchAt;
    pes.bodyAt = unit.at;
    pes.bodyBytes = unit.end - unit.at;
    const needed = keepsSize(stream)
      ? unitPackets(stream, { size, hasDts: order.pts !== order.dts, hasSets })
      : Math.ceil((CLOCK_BYTES + pes.prefixBytes + pes.bodyBytes) / PAYLOAD_BYTES);
    const room = spareRoom(unit.delimiterBytes + pes.bodyBytes, needed);
    // The last one completes the cycle whatever it is: in a sample that is not damaged there is room.
    pes.sparePackets = order.isLastUnit ? missingPackets(this.#video.count + needed) : this.#video.takeSpare(room);
    pes.packets = needed + pes.sparePackets;
  }

  #growing({ nalLengthBytes, isEncrypted }: VideoStream, sample: Omit<GrowingSample, "lengthBytes" | "encryption">) {
    return { ...sample, lengthBytes: nalLengthBytes, encryption: isEncrypted ? this.#encryption : null };
  }

  #writeUnitHeader(bytes: Uint8Array, at: number, { pts, dts }: MuxOrder): number {
    const header = this.#header;
    header.streamId = VIDEO_STREAM_ID;
    header.payloadBytes = 0;
    header.pts = pts;
    header.dts = dts;
    return writePesHeader(bytes, at, header);
  }

  /** The sample's own delimiter, or one with the picture's temporal identifier (H.265 §7.4.2.2). */
  #writeDelimiter(bytes: Uint8Array, at: number, unit: AccessUnit): number {
    if (unit.delimiterBytes > 0) {
      bytes.copyWithin(at, unit.delimiterAt, unit.delimiterAt + unit.delimiterBytes);
      return at + unit.delimiterBytes;
    }
    const { delimiter, isHevc } = unit.syntax;
    bytes.set(delimiter, at);
    if (isHevc) bytes[at + TEMPORAL_ID_AT] = unit.temporalIdPlus1;
    return at + delimiter.length;
  }

  /** The group of audio frames that `order` is at. */
  group({ bytes }: TsMemory, order: MuxOrder, window: SourceWindow): void {
    const [stream, samples] = [this.#program.audio, this.#samples.audio];
    if (!stream || !samples) return;
    const { frameHeader, frameBytesMax } = stream;
    const { pes } = this;
    pes.isRandomAccess = order.clockCount > 0;
    pes.clockCount = order.clockCount;
    pes.clockTicks = order.dts - CLOCK_LEAD_TICKS;
    pes.clockStepTicks = order.clockStepTicks;
    const header = this.#header;
    header.streamId = stream.streamId;
    header.payloadBytes = order.groupBytes;
    header.pts = order.pts;
    let to = this.#startCounted(bytes, window.scratchAt, this.#audio);
    for (let index = order.sample; index < order.sampleEnd; index += 1) {
      const size = Math.min(samples.size[index]!, frameBytesMax);
      const from = window.addressOf(samples.offset[index]!);
      const frameAt = to;
      if (frameHeader.length > 0) {
        bytes.set(frameHeader, to);
        sealAdts(bytes, to, frameHeader.length + size);
        to += frameHeader.length;
      }
      bytes.copyWithin(to, from, from + size);
      to += size;
      if (stream.isEncrypted) this.#encryption?.adtsFrame(bytes, frameAt, to);
    }
  }

  /** A timed ID3 tag. */
  tag({ bytes }: TsMemory, window: SourceWindow, { tag, pts }: { readonly tag: Buffer; readonly pts: number }): void {
    this.pes.isRandomAccess = false;
    this.pes.clockCount = 0;
    const header = this.#header;
    header.streamId = PRIVATE_STREAM_1;
    header.payloadBytes = tag.length;
    header.pts = pts;
    bytes.set(tag, this.#startCounted(bytes, window.scratchAt, this.#metadata));
  }

  /** Header of a packet whose length is told, from what is set in `#header`; gives where the payload goes. */
  #startCounted(bytes: Uint8Array, at: number, stream: PacketStream): number {
    const { pes } = this;
    const header = this.#header;
    const { payloadBytes } = header;
    const needed = pesPackets(payloadBytes, pes.clockCount);
    pes.sparePackets = stream.takeSpare(spareRoom(payloadBytes, needed));
    pes.packets = needed + pes.sparePackets;
    header.dts = header.pts;
    const to = writePesHeader(bytes, at, header);
    pes.stream = stream;
    pes.prefixBytes = 0;
    pes.bodyAt = at;
    pes.bodyBytes = to + payloadBytes - at;
    return to;
  }
}

/** Copies parameter sets of the kinds that the sample has none of. */
const writeSets = (bytes: Uint8Array, at: number, of: { readonly stream: VideoStream; readonly present: number }) => {
  let to = at;
  for (const { kind, bytes: set } of of.stream.sets) {
    if ((kind & of.present) !== 0) continue;
    bytes.set(set, to);
    to += set.length;
  }
  return to;
};
