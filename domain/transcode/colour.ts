/** Colour of a source, and what becomes of it: HEVC keeps HDR, H.264 gets BT.709 of eight bits (mission A4). */
import type { ProbedFrame, ProbedStream, SideData } from "./probed.ts";

export type DynamicRange = "sdr" | "hdr10" | "hlg";

export interface Colour {
  readonly dynamicRange: DynamicRange;
  readonly bitDepth: number;
  /** x265's words; null where the source has none (HDR10 without metadata is common). */
  readonly masterDisplay: string | null;
  readonly contentLight: { readonly max: number; readonly average: number } | null;
}

const RANGES: Readonly<Record<string, DynamicRange>> = { smpte2084: "hdr10", "arib-std-b67": "hlg" };

const bitDepthOf = ({ pix_fmt, bits_per_raw_sample }: ProbedStream): number => {
  const named = /(?:p|gray|gbrp|nv|x2rgb|p0)(9|10|12|14|16)(?:le|be)?$/.exec(pix_fmt ?? "")?.[1];
  if (named !== undefined) return Number(named);
  const raw = Number(bits_per_raw_sample ?? 8);
  return raw > 8 && raw <= 16 ? raw : 8;
};

/** `34000/50000` in units of 1/50000 (chromaticity) or 1/10000 (luminance), as SMPTE ST 2086 has them. */
const unitsOf = (value: unknown, unit: number): number | null => {
  const [, num, den] = /^(\d+)\/(\d+)$/.exec(String(value ?? "")) ?? [];
  return den === undefined || Number(den) === 0 ? null : Math.round((Number(num) / Number(den)) * unit);
};

const masterDisplayOf = (sideData: readonly SideData[]): string | null => {
  const found = sideData.find(({ side_data_type }) => /^Mastering display/.test(side_data_type ?? ""));
  if (found === undefined) return null;
  const point = (x: string, y: string): string | null => {
    const [first, second] = [unitsOf(found[x], 50_000), unitsOf(found[y], 50_000)];
    return first === null || second === null ? null : `(${first},${second})`;
  };
  const green = point("green_x", "green_y");
  const blue = point("blue_x", "blue_y");
  const red = point("red_x", "red_y");
  const white = point("white_point_x", "white_point_y");
  const [most, least] = [unitsOf(found.max_luminance, 10_000), unitsOf(found.min_luminance, 10_000)];
  if (green === null || blue === null || red === null || white === null || most === null || least === null) return null;
  return `G${green}B${blue}R${red}WP${white}L(${most},${least})`;
};

const contentLightOf = (sideData: readonly SideData[]): Colour["contentLight"] => {
  const found = sideData.find(({ side_data_type }) => /^Content light level/.test(side_data_type ?? ""));
  const [max, average] = [Number(found?.max_content), Number(found?.max_average)];
  return Number.isInteger(max) && Number.isInteger(average) && max > 0 ? { max, average } : null;
};

export const colourOf = (stream: ProbedStream, frame: ProbedFrame | undefined): Colour => {
  const sideData = [...(frame?.side_data_list ?? []), ...(stream.side_data_list ?? [])];
  const dynamicRange = RANGES[stream.color_transfer ?? frame?.color_transfer ?? ""] ?? "sdr";
  return {
    dynamicRange,
    bitDepth: bitDepthOf(stream),
    masterDisplay: dynamicRange === "hdr10" ? masterDisplayOf(sideData) : null,
    contentLight: dynamicRange === "hdr10" ? contentLightOf(sideData) : null,
  };
};

/** Candela per square metre that BT.709 white stands for: what ffmpeg's own examples of tone mapping take. */
const WHITE_NITS = 100;
const TRANSFER: Readonly<Record<Exclude<DynamicRange, "sdr">, string>> = {
  hdr10: "smpte2084",
  hlg: "arib-std-b67",
};
/** Brightest that is kept apart, in multiples of white: 1000 cd/m2, what most HDR is graded for. */
const PEAK = 10;

/**
 * HDR to BT.709. The source's colours are named, for files leave half of them out; the peak is a fixed one, so that a
 * chunk comes out as the same frames of a whole run do.
 */
export const toneMapFilters = (dynamicRange: Exclude<DynamicRange, "sdr">): string[] => [
  `zscale=tin=${TRANSFER[dynamicRange]}:pin=bt2020:min=bt2020nc:rin=tv:t=linear:npl=${WHITE_NITS}`,
  "format=gbrpf32le",
  "zscale=p=bt709",
  `tonemap=tonemap=hable:desat=0:peak=${PEAK}`,
  "zscale=t=bt709:m=bt709:r=tv",
  "format=yuv420p",
];

/** x265's words that keep the signalling of HDR. */
export const hevcColourParams = ({ dynamicRange, masterDisplay, contentLight }: Colour): string[] => {
  if (dynamicRange === "sdr") return [];
  const bt2100 = ["colorprim=bt2020", `transfer=${TRANSFER[dynamicRange]}`, "colormatrix=bt2020nc", "range=limited"];
  if (dynamicRange === "hlg") return bt2100;
  return [
    ...bt2100,
    "hdr10=1",
    "hdr10-opt=1", // bits go to where PQ needs them
    ...(masterDisplay === null ? [] : [`master-display=${masterDisplay}`]),
    ...(contentLight === null ? [] : [`max-cll=${contentLight.max},${contentLight.average}`]),
  ];
};
