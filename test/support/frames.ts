/** Reads the frame counters that the test picture carries, out of segments as an origin serves them. */
import { spawn } from "node:child_process";
import { readFrameCounter } from "../../lib/demo/frame-counter.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";

const bytesOf = async (url: string): Promise<Buffer> => {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
};

/** The first frame of a piece of media, decoded by ffmpeg to 8-bit luma. */
const firstFrame = async (media: Buffer, size: { width: number; height: number }): Promise<Uint8Array> => {
  const { path } = await findFfmpeg(null);
  const args = "-v error -i pipe:0 -frames:v 1 -pix_fmt gray -f rawvideo pipe:1".split(" ");
  const child = spawn(path, args, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {}); // it stops reading after the first frame
  child.stdin.end(media);
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout) chunks.push(chunk as Buffer);
  const luma = Buffer.concat(chunks);
  if (luma.length !== size.width * size.height) throw new Error(`ffmpeg gave ${luma.length} bytes of picture`);
  return luma;
};

/** The counter in the first frame of a segment. `base`: the folder of a rendition. */
export const counterOf = async (
  base: string,
  segmentNumber: number,
  size: { width: number; height: number },
): Promise<number | null> => {
  const [init, segment] = await Promise.all([bytesOf(`${base}/init.mp4`), bytesOf(`${base}/${segmentNumber}.m4s`)]);
  return readFrameCounter({ ...size, luma: await firstFrame(Buffer.concat([init, segment]), size) });
};

/** Numbers that a media playlist lists. */
export const listedNumbers = async (base: string): Promise<number[]> => {
  const text = (await bytesOf(`${base}/media.m3u8`)).toString();
  return [...text.matchAll(/^(\d+)\.m4s$/gm)].map(([, number]) => Number(number));
};
