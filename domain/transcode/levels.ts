/** The level that a rung says it has: given to the encoder, so that all chunks of a rung have equal parameter sets. */
import type { RungCodec } from "../ladder/smart-abr-ladder.ts";

interface Level {
  readonly name: string;
  /** Of one picture, and per second: macroblocks (H.264) or luma samples (HEVC). */
  readonly pictureMax: number;
  readonly secondMax: number;
  readonly kbpsMax: number;
}

/** Rec. ITU-T H.264 table A-1; rates are those of the High profile (1.25 times the table's). */
const H264: readonly Level[] = [
  { name: "1.3", pictureMax: 396, secondMax: 11_880, kbpsMax: 960 },
  { name: "2.1", pictureMax: 792, secondMax: 19_800, kbpsMax: 5_000 },
  { name: "3.0", pictureMax: 1_620, secondMax: 40_500, kbpsMax: 12_500 },
  { name: "3.1", pictureMax: 3_600, secondMax: 108_000, kbpsMax: 17_500 },
  { name: "3.2", pictureMax: 5_120, secondMax: 216_000, kbpsMax: 25_000 },
  { name: "4.0", pictureMax: 8_192, secondMax: 245_760, kbpsMax: 25_000 },
  { name: "4.2", pictureMax: 8_704, secondMax: 522_240, kbpsMax: 62_500 },
  { name: "5.0", pictureMax: 22_080, secondMax: 589_824, kbpsMax: 168_750 },
  { name: "5.1", pictureMax: 36_864, secondMax: 983_040, kbpsMax: 300_000 },
  { name: "5.2", pictureMax: 36_864, secondMax: 2_073_600, kbpsMax: 300_000 },
  { name: "6.2", pictureMax: 139_264, secondMax: 16_711_680, kbpsMax: 1_000_000 },
];
/** Rec. ITU-T H.265 tables A.8 and A.9, Main tier. */
const HEVC: readonly Level[] = [
  { name: "2.0", pictureMax: 122_880, secondMax: 3_686_400, kbpsMax: 1_500 },
  { name: "3.0", pictureMax: 552_960, secondMax: 16_588_800, kbpsMax: 6_000 },
  { name: "3.1", pictureMax: 983_040, secondMax: 33_177_600, kbpsMax: 10_000 },
  { name: "4.0", pictureMax: 2_228_224, secondMax: 66_846_720, kbpsMax: 12_000 },
  { name: "4.1", pictureMax: 2_228_224, secondMax: 133_693_440, kbpsMax: 20_000 },
  { name: "5.0", pictureMax: 8_912_896, secondMax: 267_386_880, kbpsMax: 25_000 },
  { name: "5.1", pictureMax: 8_912_896, secondMax: 534_773_760, kbpsMax: 40_000 },
  { name: "6.2", pictureMax: 35_651_584, secondMax: 4_278_190_080, kbpsMax: 240_000 },
];
const MACROBLOCK = 16;

export interface Sized {
  readonly codec: RungCodec;
  readonly width: number;
  readonly height: number;
  readonly kbps: number;
}

/** The lowest level with room for pictures of this size, frames and bits a second. A side may be √8 of the square. */
export const levelOf = ({ codec, width, height, kbps }: Sized, framesPerSecond: number): string => {
  const unit = codec === "h264" ? MACROBLOCK : 1;
  const [across, down] = [Math.ceil(width / unit), Math.ceil(height / unit)];
  const picture = across * down;
  const side = Math.max(across, down);
  const levels = codec === "h264" ? H264 : HEVC;
  const fits = ({ pictureMax, secondMax, kbpsMax }: Level): boolean =>
    picture <= pictureMax &&
    side <= Math.sqrt(pictureMax * 8) &&
    picture * framesPerSecond <= secondMax &&
    kbps <= kbpsMax;
  return (levels.find(fits) ?? levels.at(-1))?.name ?? "6.2";
};
