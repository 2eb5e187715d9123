/**
 * The rungs of a stored title. At each height H.264 has the higher rate and HEVC the lower one; 480p is common to both
 * when both are made, so that `all` of a 4K source are seven.
 */

export type LadderCodec = "h264" | "hevc" | "all";
export type RungCodec = "h264" | "hevc";

export interface SourceSize {
  readonly width: number;
  readonly height: number;
}
export interface AbrRung {
  /** `4k`, `1080p`, `720p`, `480p`; with `-hevc` the second set; `source` for the one rung of a smaller source. */
  readonly name: string;
  readonly codec: RungCodec;
  /** Even, never more than the source has (but two, of which 4:2:0 pictures can't have less). */
  readonly width: number;
  readonly height: number;
  /** Of the video; never exceeded over the length of a segment. */
  readonly kbps: number;
}

interface Box {
  readonly name: string;
  readonly long: number;
  readonly short: number;
  readonly kbps: Readonly<Record<RungCodec, number>>;
}

const BOXES: readonly Box[] = [
  { name: "4k", long: 3840, short: 2160, kbps: { h264: 20_000, hevc: 12_000 } },
  { name: "1080p", long: 1920, short: 1080, kbps: { h264: 8_000, hevc: 5_000 } },
  { name: "720p", long: 1280, short: 720, kbps: { h264: 4_000, hevc: 2_000 } },
  { name: "480p", long: 854, short: 480, kbps: { h264: 1_000, hevc: 1_000 } },
];
const COMMON = "480p";
const SIDE_MIN = 2;
/** Of a source under 480p: a thumbnail-sized picture needs less, but never so little that it falls apart. */
const SMALL_KBPS_MAX = 1_000;
const SMALL_KBPS_MIN = 100;
const SMALL_FULL_PIXELS = 854 * 480;

/** The largest even length that is not over it; a hair over an even number counts as that number. */
const even = (length: number): number => Math.max(SIDE_MIN, 2 * Math.floor(length / 2 + 1e-6));

/** As it is shown: upright, with square pixels. The width takes the sample aspect ratio, as players do it. */
export const shownSize = (coded: {
  readonly width: number;
  readonly height: number;
  readonly sampleAspectRatio?: { readonly num: number; readonly den: number };
  /** Clockwise degrees, a multiple of 90. */
  readonly rotation?: number;
}): SourceSize => {
  const { num, den } = coded.sampleAspectRatio ?? { num: 1, den: 1 };
  const width = Math.max(1, Math.round((coded.width * num) / den));
  const isTurned = Math.abs(coded.rotation ?? 0) % 180 === 90;
  return isTurned ? { width: coded.height, height: width } : { width, height: coded.height };
};

/** The source in a box that lies as the source does; null where it would have to grow. */
const fitted = (source: SourceSize, box: Box): SourceSize | null => {
  const isUpright = source.height > source.width;
  const [across, down] = isUpright ? [box.short, box.long] : [box.long, box.short];
  // In the box's own proportions at least one side reaches the box: a 1920x800 film is 1080p, 1600x900 is 720p.
  const scale = Math.min(across / source.width, down / source.height);
  if (scale > 1) return null;
  return { width: even(source.width * scale), height: even(source.height * scale) };
};

const smallKbps = ({ width, height }: SourceSize): number => {
  const share = Math.min(1, (width * height) / SMALL_FULL_PIXELS) ** 0.75; // bits grow slower than pixels
  return Math.min(SMALL_KBPS_MAX, Math.max(SMALL_KBPS_MIN, Math.round(SMALL_KBPS_MAX * share)));
};

/**
 * The ladder of a source as it is shown, largest first, H.264 before HEVC. No rung is wider or higher than the source,
 * and there is always one: of a source under 480p a single rung at its own size.
 */
export const smartAbrLadder = (codec: LadderCodec, width: number, height: number): AbrRung[] => {
  const source = { width: Math.max(1, Math.floor(width)), height: Math.max(1, Math.floor(height)) };
  const wanted: readonly RungCodec[] = codec === "all" ? ["h264", "hevc"] : [codec];
  const rungs = BOXES.flatMap(({ name, kbps, ...box }) => {
    const size = fitted(source, { name, kbps, ...box });
    if (size === null) return [];
    const codecs = codec === "all" && name === COMMON ? (["h264"] as const) : wanted;
    return codecs.map((made, i) => ({
      name: i === 0 ? name : `${name}-${made}`,
      codec: made,
      ...size,
      kbps: kbps[made],
    }));
  });
  if (rungs.length > 0) return rungs;
  const [only = "h264"] = wanted;
  const size = { width: even(source.width), height: even(source.height) };
  return [{ name: "source", codec: only, ...size, kbps: smallKbps(size) }];
};
