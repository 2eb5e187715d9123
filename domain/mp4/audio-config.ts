/** Decoder configurations of audio codecs other than AAC: `dac3`, `dec3`, `dOps`, `dfLa`. */
import { Bits } from "./bits.ts";
import { type BoxView, damaged } from "./box-view.ts";

/** What a player must know before the first access unit. */
export interface AudioFormat {
  readonly sampleRate: number;
  readonly channelCount: number;
  /** Samples per access unit; 0 where the codec does not fix them. */
  readonly samplesPerFrame: number;
}

const AC3_RATES = [48_000, 44_100, 32_000];
const AC3_CHANNELS = [2, 1, 2, 3, 3, 4, 4, 5]; // by acmod
const AC3_FRAME_SAMPLES = 1536; // six blocks of 256; an E-AC-3 sample holds six blocks too (ETSI TS 102 366 annex F)

const ac3Rate = (fscod: number): number => AC3_RATES[fscod] ?? damaged(`AC-3: sampling rate code ${fscod}`);

/** `dac3` (ETSI TS 102 366 §F.4). */
export const readDac3 = (dac3: BoxView): AudioFormat => {
  const bits = new Bits(dac3.body, "dac3");
  const sampleRate = ac3Rate(bits.read(2));
  bits.read(5 + 3); // bsid, bsmod
  const channelCount = (AC3_CHANNELS[bits.read(3)] ?? 0) + bits.read(1);
  return { sampleRate, channelCount, samplesPerFrame: AC3_FRAME_SAMPLES };
};

/** Channels of `chan_loc` (§F.6.2.13), from its highest bit: pairs count twice. */
const LOCATION_CHANNELS = [1, 2, 2, 1, 1, 2, 2, 1, 1].reverse();

/** `dec3` (ETSI TS 102 366 §F.6): the first independent substream with what depends on it. */
export const readDec3 = (dec3: BoxView): AudioFormat => {
  const bits = new Bits(dec3.body, "dec3");
  bits.read(13 + 3); // data rate, number of independent substreams
  const sampleRate = ac3Rate(bits.read(2));
  bits.read(5 + 1 + 1 + 3); // bsid, reserved, asvc, bsmod
  let channelCount = (AC3_CHANNELS[bits.read(3)] ?? 0) + bits.read(1);
  bits.read(3);
  if (bits.read(4) > 0) for (const channels of LOCATION_CHANNELS) channelCount += bits.read(1) * channels;
  return { sampleRate, channelCount, samplesPerFrame: AC3_FRAME_SAMPLES };
};

/** `dOps` (Encapsulation of Opus in ISO Base Media File Format §4.3.2); its output is always at 48 kHz. */
export const readDOps = (dOps: BoxView): AudioFormat => ({
  sampleRate: 48_000,
  channelCount: dOps.u8(1) || damaged("dOps: no channels"),
  samplesPerFrame: 0,
});

const STREAMINFO_BYTES = 34;

/** `dfLa` (Encapsulation of FLAC in ISO Base Media File Format §3.3.2): its first metadata block is STREAMINFO. */
export const readDfLa = (dfLa: BoxView): AudioFormat => {
  if ((dfLa.u8(4) & 0x7f) !== 0 || dfLa.u24(5) !== STREAMINFO_BYTES) damaged("dfLa without STREAMINFO");
  const bits = new Bits(dfLa.slice(8, STREAMINFO_BYTES), "STREAMINFO");
  const smallest = bits.read(16);
  const largest = bits.read(16);
  bits.read(24 + 24); // frame sizes
  const sampleRate = bits.read(20) || damaged("dfLa: a sampling rate of 0");
  return { sampleRate, channelCount: bits.read(3) + 1, samplesPerFrame: smallest === largest ? largest : 0 };
};
