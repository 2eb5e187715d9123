import assert from "node:assert/strict";
import { test } from "node:test";
import HLS from "hls-parser";
import { playlistProblems } from "../../test/support/hls-grammar.ts";
import { renditionOf } from "../../test/support/rendition.ts";
import { type ContentVariant, contentMasterPlaylist } from "./content-master.ts";

HLS.setOptions({ strictMode: true });

const SOUNDS = [
  { language: "en", name: "English" },
  { language: "de", name: "Deutsch" },
];

const variant = (name: string, change: Partial<ContentVariant> & { readonly codecs?: string } = {}): ContentVariant => {
  const { codecs = "avc1.64001f", ...rest } = change;
  const rendition = renditionOf({ uri: name, muxedPeakBps: 1_200_000, video: { codecs }, audio: SOUNDS });
  const uri = `${name}.m3u8`;
  return { rendition, container: "ts", uri, isMuxed: true, range: "SDR", promisedBps: 0, ...rest };
};

const judged = (variants: readonly ContentVariant[], defaultAudio = 0): string => {
  const text = contentMasterPlaylist(variants, { subtitles: [], sessionKeys: [], defaultAudio });
  assert.deepEqual(playlistProblems(text), []);
  assert.ok(HLS.parse(text).isMasterPlaylist);
  return text;
};

test("H.264 in MPEG-TS and HEVC in fMP4 stand in one playlist, each with sound of its own container", () => {
  const hevc = { codecs: "hvc1.2.4.L120.B0", container: "fmp4", range: "PQ" } as const;
  const lines = judged([variant("720p"), variant("1080p"), variant("1080p-hevc", hevc)]).split("\n");
  assert.equal(lines[1], "#EXT-X-VERSION:7");
  assert.deepEqual(
    lines
      .filter((line) => line.includes("TYPE=AUDIO"))
      .map((line) => /GROUP-ID="(\w+)".*?(?:URI="(.+)")?$/.exec(line)?.slice(1)),
    [
      ["audio0", undefined],
      ["audio0", "720p/index_0_a2.m3u8"],
      ["audio1", undefined],
      ["audio1", "1080p-hevc/cmaf_0_a2.m3u8"],
    ],
  );
  const streams = lines.filter((line) => line.startsWith("#EXT-X-STREAM-INF"));
  assert.deepEqual(
    streams.map((line) => [/VIDEO-RANGE=(\w+)/.exec(line)?.[1], /AUDIO="(\w+)"/.exec(line)?.[1]]),
    [
      ["SDR", "audio0"],
      ["SDR", "audio0"],
      ["PQ", "audio1"],
    ],
  );
});

test("the sound that a set calls its default is the default, wherever it stands", () => {
  const defaults = judged([variant("720p", { container: "fmp4", isMuxed: false })], 1).match(/NAME="\w+".*DEFAULT=YES/);
  assert.match(defaults?.[0] ?? "", /^NAME="Deutsch"/);
});

test("while more follows than can be measured, BANDWIDTH is what was promised", () => {
  assert.match(judged([variant("720p", { promisedBps: 4_400_000 })]), /BANDWIDTH=4400000,/);
  assert.match(judged([variant("720p")]), /BANDWIDTH=1\d{6},/);
});
