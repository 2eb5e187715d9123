import assert from "node:assert/strict";
import { test } from "node:test";
import { dashUrlOf, playbackUrlOf } from "./playback-url.ts";

const PLACES = { base: "http://10.0.0.7:8082", tenant: "default", streamId: "bbc_world.stream" };

test("a streamer's template names the playback URL of its origins", () => {
  assert.equal(
    playbackUrlOf("{base}/live/{tenant}/{streamId}/master.m3u8", PLACES),
    "http://10.0.0.7:8082/live/default/bbc_world.stream/master.m3u8",
  );
  assert.equal(
    playbackUrlOf("https://cdn.example/{streamId}/{unknown}/{streamId}.m3u8?t={tenant}", PLACES),
    "https://cdn.example/bbc_world.stream/{unknown}/bbc_world.stream.m3u8?t=default",
  );
});

test("what is filled in is not looked at again", () => {
  assert.equal(playbackUrlOf("{base}", { ...PLACES, base: "http://x/{tenant}" }), "http://x/{tenant}");
});

test("DASH lies beside a master playlist of ours, and nowhere else", () => {
  assert.equal(dashUrlOf("http://x/live/a/b.stream/master.m3u8"), "http://x/live/a/b.stream/manifest.mpd");
  assert.equal(dashUrlOf("http://x/b.stream/playlist.m3u8"), null);
});
