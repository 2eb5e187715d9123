/**
 * A moving test picture with a frame counter that people and programs can read: large digits (in the font that ffmpeg's
 * testsrc2 brings along: none is needed on the machine) and a row of black and white blocks along the lower edge.
 * The blocks, left to right: white and black for reference, 16 bits of the frame number (highest first), its parity,
 * the parity's opposite. They survive scaling down to 160x90.
 */

const BITS = 16;
const BLOCKS = 2 + BITS + 2;
/** The counter starts again from 0 after so many frames. */
export const COUNTER_FRAMES = 2 ** BITS;
/** Height of the row as a share of the picture's. */
const ROW_SHARE = 1 / 15;

export interface TestPicture {
  readonly width: number;
  readonly height: number;
  /** Frames per second, as ffmpeg writes it: `25`, `30000/1001`. */
  readonly rate: string;
  /** Endless when absent. */
  readonly seconds?: number;
}

/** Sum of the frame number's bits, as an ffmpeg expression. */
const parityExpression = (): string =>
  `mod(${Array.from({ length: BITS }, (_, i) => `floor(N/${2 ** i})`).join("+")},2)`;

/** One pixel per block, drawn by number and blown up: 20 pixels a frame cost nothing. */
const blockExpression = (): string => {
  const bit = `mod(floor(N/pow(2,${BITS + 1}-X)),2)`;
  const parity = parityExpression();
  return `255*if(eq(X,0),1,if(eq(X,1),0,if(lt(X,${BITS + 2}),${bit},if(eq(X,${BITS + 2}),${parity},1-${parity}))))`;
};

/** A picture graph for `-filter_complex`, without an input; its output is labelled `[v]`. */
export const testPictureGraph = ({ width, height, rate, seconds }: TestPicture): string => {
  const length = seconds === undefined ? "" : `:d=${seconds}`;
  const rowHeight = 2 * Math.max(1, Math.round((height * ROW_SHARE) / 2));
  const digits = Math.max(1, Math.floor(width / 213)); // testsrc2's own are 104 samples wide
  return [
    `testsrc2=s=${width}x${height}:r=${rate}${length},split[picture][copy]`,
    `[copy]crop=104:38:0:0,scale=iw*${digits}:ih*${digits}:flags=neighbor[digits]`,
    `color=black:s=${BLOCKS}x1:r=${rate}${length},format=gray,geq=lum='${blockExpression()}',` +
      `scale=${width}:${rowHeight}:flags=neighbor[row]`,
    "[picture][digits]overlay=(W-w)/2:(H-h)/2[counted]",
    "[counted][row]overlay=0:H-h,format=yuv420p[v]",
  ].join(";");
};

/** A tone with a beep every second, as a lavfi input. */
export const testTone = (seconds?: number): string =>
  `sine=frequency=440:beep_factor=4:sample_rate=48000${seconds === undefined ? "" : `:d=${seconds}`}`;

/** The luma plane of a decoded frame (`-pix_fmt gray`), one byte per sample, rows without padding. */
export interface GrayFrame {
  readonly width: number;
  readonly height: number;
  readonly luma: Uint8Array;
}

/** Mean luma of the middle of a block. */
const blockLuma = ({ width, height, luma }: GrayFrame, block: number): number => {
  const middle = (start: number, length: number): readonly [number, number] => [
    Math.floor(start + length * 0.35),
    Math.max(Math.floor(start + length * 0.35) + 1, Math.ceil(start + length * 0.65)),
  ];
  const rowHeight = height * ROW_SHARE;
  const [left, right] = middle((block * width) / BLOCKS, width / BLOCKS);
  const [top, bottom] = middle(height - rowHeight, rowHeight);
  let sum = 0;
  for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += luma[y * width + x] ?? 0;
  return sum / ((bottom - top) * (right - left));
};

/** The frame number in a decoded picture; null when there is none to be read. */
export const readFrameCounter = (frame: GrayFrame): number | null => {
  const white = blockLuma(frame, 0);
  const black = blockLuma(frame, 1);
  if (white - black < 100) return null;
  const bits = Array.from({ length: BITS + 2 }, (_, i) => (blockLuma(frame, 2 + i) > (white + black) / 2 ? 1 : 0));
  const [opposite = 0, parity = 0] = [bits.pop(), bits.pop()];
  const counter = bits.reduce<number>((value, bit) => value * 2 + bit, 0);
  return parity !== opposite && parityOf(counter) === parity ? counter : null;
};

/** 1 when the number of its bits that are set is odd. */
const parityOf = (value: number): number => {
  let parity = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 2)) parity ^= rest % 2;
  return parity;
};

/**
 * A live MPEG-TS source for tests and demonstrations, paced in real time. `target` is an output URL such as
 * `udp://239.0.0.1:5000?pkt_size=1316&localaddr=127.0.0.1` or a file.
 */
export const liveSourceArguments = (
  target: string,
  options: TestPicture & { readonly audio?: boolean; readonly gopFrames?: number; readonly offsetSeconds?: number },
): string[] => {
  const audio = options.audio ?? true;
  return [
    ...["-hide_banner", "-nostats", "-nostdin", "-loglevel", "level+warning"],
    // lavfi inputs of their own: filter_complex sources can't be paced by -re
    ...["-re", "-f", "lavfi", "-i", testPictureGraph(options).replace(/\[v\]$/, "[out0]")],
    ...(audio ? ["-re", "-f", "lavfi", "-i", testTone(options.seconds)] : []),
    ...["-map", "0:v", ...(audio ? ["-map", "1:a", "-c:a", "aac", "-b:a", "96k", "-ac", "2"] : [])],
    ...["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-b:v", "1200k", "-bf", "0"],
    ...["-g", String(options.gopFrames ?? 25), "-sc_threshold", "0"],
    ...(options.offsetSeconds === undefined ? [] : ["-output_ts_offset", String(options.offsetSeconds)]),
    ...["-muxdelay", "0", "-muxpreload", "0", "-flush_packets", "1", "-f", "mpegts", target],
  ];
};
