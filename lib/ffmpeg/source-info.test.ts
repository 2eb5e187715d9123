import assert from "node:assert/strict";
import { test } from "node:test";
import { frameRateOf, type SourceInfo, SourceInfoReader } from "./source-info.ts";

const learn = (...lines: string[]): SourceInfo | null => {
  const reader = new SourceInfoReader();
  for (const line of lines) reader.push(line);
  return reader.info;
};

test("rate, size and tracks are learnt from the lines about the input, not from those about the outputs", () => {
  const lines = [
    "[h264 @ 0x55] [error] non-existing PPS 0 referenced",
    "[info] Input #0, mpegts, from 'udp://239.7.7.7:5007?fifo_size=50000':",
    "[info]   Stream #0:0[0x100]: Video: h264 (High) ([27][0][0][0] / 0x001B), yuv420p(progressive), 640x360 [SAR 1:1 DAR 16:9], 29.97 fps, 29.97 tbr, 90k tbn",
    "[info]   Stream #0:1[0x101]: Audio: aac (LC) ([15][0][0][0] / 0x000F), 48000 Hz, stereo, fltp, 97 kb/s",
  ];
  assert.equal(learn(...lines), null);
  const info = learn(...lines, "[info] Stream mapping:", "[info]   Stream #0:0: Video: h264, yuv420p, 320x180, 25 fps");
  assert.deepEqual(info, {
    hasVideo: true,
    hasAudio: true,
    width: 640,
    height: 360,
    frameRate: { num: 30_000, den: 1001 },
    interlaced: false,
    durationMs: null,
  });
});

test("a source without audio, interlaced, or whose size probing missed", () => {
  const none = "Stream #0:0[0x100]: Video: h264 ([27][0][0][0] / 0x001B), none, 25 fps, 25 tbr, 90k tbn";
  const missed = learn("Input #0, mpegts, from 'x':", none, "[fatal] Stream map '0:a:0' matches no streams.");
  assert.deepEqual([missed?.hasAudio, missed?.width, missed?.frameRate?.num], [false, null, 25]);
  const interlaced = learn(
    "Input #0, mpegts, from 'x':",
    "Stream #0:0[0x100]: Video: h264 (High), yuv420p(tv, bt709, top first), 1920x1080 [SAR 1:1 DAR 16:9], 25 fps, 50 tbr, 90k tbn",
    "Stream mapping:",
  );
  assert.deepEqual([interlaced?.interlaced, interlaced?.frameRate], [true, { num: 25, den: 1 }]);
});

test("a file's duration is learnt too", () => {
  const info = learn(
    "[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'demo.mp4':",
    "[info]   Duration: 01:02:16.02, start: 0.000000, bitrate: 808 kb/s",
    "[fatal] At least one output file must be specified",
  );
  assert.equal(info?.durationMs, 3_736_020);
});

test("printed rates become the exact ones", () => {
  const cases: readonly [number, string | null][] = [
    [25, "25/1"],
    [23.98, "24000/1001"],
    [29.97, "30000/1001"],
    [59.94, "60000/1001"],
    [12.5, "25/2"],
    [14.99, "1499/100"],
    [90_000, null],
    [0, null],
    [Number.NaN, null],
  ];
  for (const [printed, expected] of cases) {
    const rate = frameRateOf(printed);
    assert.equal(rate && `${rate.num}/${rate.den}`, expected, String(printed));
  }
});
