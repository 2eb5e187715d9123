/** AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1). */
import { Bits } from "./bits.ts";
import { damaged } from "./box-view.ts";

/** What it says of a stream. */
export interface AacConfig {
  /** 2: LC, 5: LC with SBR (HE-AAC), 29: LC with SBR and PS (HE-AAC v2); others as numbered in table 1.17. */
  readonly objectType: number;
  /** Of the core codec and of what comes out of the decoder: twice as much where SBR is told. */
  readonly coreSampleRate: number;
  readonly sampleRate: number;
  /** Out of the decoder; 0: told in the stream (a program config element). */
  readonly channelCount: number;
  /** Samples out of the decoder per access unit; 0 where the object type does not fix them. */
  readonly samplesPerFrame: number;
}

/** Sampling frequency indexes (table 1.18). */
const RATES = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
const EXPLICIT_RATE = 15;
/** Channels of a channel configuration (table 1.19). */
const CHANNELS = [0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8];
const ESCAPE = 31;
const SBR = 5;
const PS = 29;
const SBR_SYNC = 0x2b7;
const PS_SYNC = 0x548;
/** Object types whose configuration is a GASpecificConfig (§4.4.1): main, LC, SSR, LTP, scalable, TwinVQ. */
const GENERAL_AUDIO = new Set([1, 2, 3, 4, 6, 7]);

const objectTypeOf = (bits: Bits): number => {
  const type = bits.read(5);
  return type === ESCAPE ? 32 + bits.read(6) : type;
};
const rateOf = (bits: Bits): number => {
  const index = bits.read(4);
  return index === EXPLICIT_RATE ? bits.read(24) : (RATES[index] ?? damaged(`esds: sampling frequency index ${index}`));
};

interface Extension {
  readonly objectType: number;
  readonly sampleRate: number;
}

/** SBR and PS told behind the core's configuration, where decoders that don't know them stop reading (§1.6.5.2). */
const backwardExtension = (bits: Bits): Extension | null => {
  if (bits.left < 16 || bits.read(11) !== SBR_SYNC || objectTypeOf(bits) !== SBR || bits.read(1) === 0) return null;
  const sampleRate = rateOf(bits);
  const hasPs = bits.left >= 12 && bits.read(11) === PS_SYNC && bits.read(1) === 1;
  return { objectType: hasPs ? PS : SBR, sampleRate };
};

/** Reads it; SBR and PS may be told before the core's configuration, behind it, or not at all (§1.6.5). */
export const readAacConfig = (configuration: Uint8Array): AacConfig => {
  const bits = new Bits(configuration, "the AudioSpecificConfig");
  const firstType = objectTypeOf(bits);
  const coreSampleRate = rateOf(bits);
  const channelIndex = bits.read(4);
  let extension: Extension | null = null;
  let coreType = firstType;
  if (firstType === SBR || firstType === PS) {
    extension = { objectType: firstType, sampleRate: rateOf(bits) };
    coreType = objectTypeOf(bits);
  }
  let frame = 0;
  if (GENERAL_AUDIO.has(coreType)) {
    frame = bits.read(1) === 1 ? 960 : 1024;
    if (bits.read(1) === 1) bits.read(14); // coreCoderDelay
    const hasExtensionFlag = bits.read(1) === 1;
    if (channelIndex !== 0 && !hasExtensionFlag) extension ??= backwardExtension(bits);
  }
  const objectType = extension?.objectType ?? coreType;
  const sampleRate = extension?.sampleRate ?? coreSampleRate;
  if (coreSampleRate === 0 || sampleRate === 0) damaged("esds: a sampling frequency of 0");
  return {
    objectType,
    coreSampleRate,
    sampleRate,
    channelCount: objectType === PS ? 2 : (CHANNELS[channelIndex] ?? 0),
    samplesPerFrame: extension ? Math.round((frame * sampleRate) / coreSampleRate) : frame,
  };
};
