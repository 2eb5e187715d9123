import assert from "node:assert/strict";
import { test } from "node:test";
import { composeChannels, segmentMsOf } from "./compose.ts";
import type { OriginRow } from "./fleet.store.ts";

const row = (more: Partial<OriginRow> = {}): OriginRow => ({
  streamId: "one.stream",
  chunkDuration: "2s",
  originId: 1,
  kind: "castellan",
  baseUrl: "http://streamer-1:8082",
  playbackUrl: null,
  trusted: false,
  status: "active",
  draining: false,
  ...more,
});

test("an origin of ours lies below its streamer's address, under tenant and stream id", () => {
  assert.deepEqual(composeChannels("acme", [row({ baseUrl: "http://streamer-1:8082/" })]), [
    {
      tenant: "acme",
      streamId: "one.stream",
      segmentMs: 2_000,
      origins: [{ originId: 1, kind: "castellan", base: "http://streamer-1:8082/live/acme/one.stream" }],
    },
  ]);
});

test("a castis origin lies where its playback URL says, and its playlist keeps its name", () => {
  const origins = (playbackUrl: string | null) =>
    composeChannels("acme", [row({ kind: "castis", playbackUrl })])[0]?.origins;
  assert.deepEqual(origins("http://castis/hls/one.stream/master.m3u8"), [
    { originId: 1, kind: "castis", base: "http://castis/hls/one.stream" },
  ]);
  assert.deepEqual(origins("https://castis:444/one/playlist.m3u8?token=a/b#top"), [
    { originId: 1, kind: "castis", base: "https://castis:444/one", master: "playlist.m3u8?token=a/b" },
  ]);
  for (const unusable of [null, "", "http://castis", "http://castis/one/", "ftp://castis/one/master.m3u8"]) {
    assert.deepEqual(origins(unusable), [], String(unusable));
  }
});

test("edges are told which castis nodes a platform admin named", () => {
  const playbackUrl = "http://castis/one/master.m3u8";
  const rows = [row({ kind: "castis", playbackUrl, trusted: true }), row({ originId: 2, trusted: true })];
  const origins = composeChannels("acme", rows)[0]?.origins;
  assert.deepEqual(
    origins?.map(({ kind, trusted }) => [kind, trusted]),
    [
      ["castellan", undefined],
      ["castis", true],
    ],
  );
});

test("ours come before castis nodes, then those that work before failed ones, then those that stay", () => {
  const rows = [
    row({ originId: 1, kind: "castis", playbackUrl: "http://castis/a/master.m3u8" }),
    row({ originId: 2, status: "failed" }),
    row({ originId: 3, draining: true }),
    row({ originId: 4, status: "pending" }),
    row({ originId: 5 }),
  ];
  assert.deepEqual(
    composeChannels("acme", rows)[0]?.origins.map(({ originId }) => originId),
    [4, 5, 3, 2, 1],
  );
});

test("a channel without a usable origin is known all the same; one whose streamer lost its address waits", () => {
  const none = composeChannels("acme", [row({ originId: null })]);
  assert.deepEqual(none[0]?.origins, []);
  assert.deepEqual(composeChannels("acme", [row({ baseUrl: "http://streamer-1:8082#was-7" })])[0]?.origins, []);
});

test("segment durations are read as the playback document writes them, within what streamers make", () => {
  const cases = [
    ["4000ms", 4_000],
    ["2s", 2_000],
    ["2.5s", 2_500],
    ["1ms", 1_000],
    ["60s", 10_000],
    [null, 4_000],
    ["soon", 4_000],
  ] as const;
  for (const [text, ms] of cases) assert.equal(segmentMsOf(text), ms, String(text));
});
