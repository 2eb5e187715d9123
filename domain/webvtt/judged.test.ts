/** ffmpeg's own readers judge what is written, and what is read of the same files. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { gridOf, renditionOf } from "../../test/support/rendition.ts";
import { segmentInterval } from "../vod/selection.ts";
import { type TimedText, timestamp } from "./cue.ts";
import { readSubtitle } from "./read.ts";
import { cuesOfSamples } from "./samples.ts";
import { webvttFile, webvttSegment } from "./write.ts";

const convert = async (args: readonly string[], input: string | Buffer): Promise<Buffer> => {
  const { path } = await findFfmpeg(null);
  const child = spawn(path, ["-v", "error", ...args], { stdio: ["pipe", "pipe", "pipe"] });
  const [out, errors]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on("data", (bytes: Buffer) => out.push(bytes));
  child.stderr.on("data", (bytes: Buffer) => errors.push(bytes));
  child.stdin.on("error", () => {}); // it may end before it has read all
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  assert.equal(Buffer.concat(errors).toString(), "");
  assert.equal(code, 0);
  return Buffer.concat(out);
};
const read = (bytes: string | Buffer): TimedText => readSubtitle(Buffer.from(bytes)) ?? assert.fail("not read");
const shown = ({ cues }: TimedText): string[] =>
  cues.map(({ startSeconds, endSeconds, text }) => `${timestamp(startSeconds)} ${timestamp(endSeconds)} ${text}`);

const SUBRIP = `1
00:00:00,500 --> 00:00:02,000
<i>One</i> & only

2
00:00:05,000 --> 00:00:13,250
It spans
two lines

3
01:00:00,001 --> 01:00:01,999
<b>late</b>
`;

test("ffmpeg and we read the same cues of a SubRip file", async () => {
  const theirs = await convert(["-f", "srt", "-i", "pipe:0", "-f", "webvtt", "pipe:1"], SUBRIP);
  assert.deepEqual(shown(read(SUBRIP)), shown(read(theirs.toString().replaceAll(" & ", " &amp; "))));
});

test("ffmpeg reads back every cue of the file and of each segment that was written", async () => {
  const text = read(SUBRIP);
  const subrip = async (webvtt: string): Promise<string[]> =>
    shown(read(await convert(["-f", "webvtt", "-i", "pipe:0", "-f", "srt", "pipe:1"], webvtt)));
  assert.deepEqual(await subrip(webvttFile(text, { startSeconds: 0, endSeconds: 4_000 })), shown(text));
  const { plan } = renditionOf({ starts: gridOf(18, 6) });
  const [one, two] = shown(text);
  for (const [n, cues] of [[one, two], [two], [two]].entries()) {
    assert.deepEqual(await subrip(webvttSegment(text, segmentInterval(plan, n))), cues, `segment ${n}`);
  }
});

test("samples of text tracks that ffmpeg wrote are the cues that went in", async () => {
  const raw = await convert(
    ["-f", "srt", "-i", "pipe:0", "-c:s", "mov_text", "-f", "data", "-map", "0:s", "pipe:1"],
    SUBRIP,
  );
  // The data muxer writes one sample after the other: a length, the text, and boxes of styles.
  const samples: Buffer[] = [];
  for (let at = 0; at + 2 <= raw.length; ) {
    let end = at + 2 + raw.readUInt16BE(at);
    while (end + 8 <= raw.length && /^(?:styl|hlit|hclr|tbox|twrp)$/.test(raw.toString("latin1", end + 4, end + 8))) {
      end += raw.readUInt32BE(end);
    }
    samples.push(raw.subarray(at, end));
    at = end;
  }
  const cues = cuesOfSamples(
    "tx3g",
    samples.map((bytes, n) => ({ startSeconds: n, endSeconds: n + 1, bytes })),
  );
  const spoken = cues?.cues.map(({ text }) => text).filter((text) => text !== "");
  assert.deepEqual(spoken, ["One &amp; only", "It spans\ntwo lines", "late"]);
});
