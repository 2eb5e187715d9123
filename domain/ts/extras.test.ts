import assert from "node:assert/strict";
import { test } from "node:test";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { mediaFile, runFfmpeg } from "../../test/support/media-file.ts";
import { keyFrameSamples } from "../mp4/movie-fragment.ts";
import { artworkTag } from "./id3.ts";
import { decodedFrames, probedStreams } from "./judge.fixture.ts";
import { TsSegment } from "./segment.ts";
import { makeSegment, openFile, programOf, segmentInputs } from "./segments.fixture.ts";
import { assertClock, assertContinuous, packetsOf, pesOf } from "./walk.fixture.ts";

const fileOf = async (name: string) => openFile(await makeInput(name, await sharedMediaDir()));

test("artwork is a timed ID3 tag at the start of a segment, and ffmpeg finds the picture in it", async () => {
  const picture = await mediaFile("-f lavfi -i testsrc2=s=320x320 -frames:v 1 -q:v 2 -f mjpeg");
  const tag = artworkTag({ type: "image/jpeg", bytes: picture }) ?? assert.fail("too large");
  const file = await fileOf("audio-only");
  const program = programOf({ video: null, audio: file.movie.audio[0] ?? null, id3: true });
  const segments: Buffer[] = [];
  for (const input of segmentInputs(file)) {
    const tagged = { ...input, program, tag };
    const whole = await makeSegment(file.reader, tagged);
    assert.equal(new TsSegment(tagged).exactBytes, whole.length);
    for (const releases of [false, true])
      assert.ok((await makeSegment(file.reader, tagged, { slotBytes: 1_880, releases })).equals(whole));
    segments.push(whole);
  }
  const stream = Buffer.concat(segments);
  assertContinuous(stream);
  assertClock(stream);
  assert.deepEqual(
    (await probedStreams(stream)).map(({ codec_name }) => codec_name),
    ["aac", "timed_id3"],
  );
  const [first, sound] = pesOf(stream);
  assert.deepEqual([first?.pid, first?.pts, first?.payload.equals(tag)], [0x102, sound?.pts, true]);
  const sounds = pesOf(stream).filter(({ pid }) => pid === 0x101);
  const tagBeforeSound = Buffer.concat([tag, ...sounds.map(({ payload }) => payload)]);
  const { out } = await runFfmpeg("-v error -f aac -i in -map 0:v -c copy -f mjpeg out", tagBeforeSound);
  assert.ok(out?.equals(picture));
});

test("a picture that is too large for one packet is none", () => {
  assert.ok(artworkTag({ type: "image/png", bytes: Buffer.alloc(60_000) }));
  assert.equal(artworkTag({ type: "image/png", bytes: Buffer.alloc(65_000) }), null);
});

test("a key frame alone is a segment that decodes to one picture", async () => {
  for (const name of ["b-frames-3", "hevc-hvc1"]) {
    const file = await fileOf(name);
    const [track] = file.movie.video;
    assert.ok(track);
    const program = programOf({ video: track, audio: null });
    const keys = track.table.syncSamples ?? assert.fail();
    const made: Buffer[] = [];
    for (const [segmentIndex, key] of keys.entries()) {
      const video = keyFrameSamples(track.table, key, track.table.endDts);
      made.push(
        await makeSegment(file.reader, {
          program,
          segmentIndex,
          video: { ...video, dts: video.dts.slice() },
          audio: null,
        }),
      );
    }
    assertContinuous(Buffer.concat(made));
    for (const frame of made) {
      const video = name.startsWith("hevc") ? "hevc" : "h264";
      assert.deepEqual(await decodedFrames(frame, { container: "ts", video, audio: null }), [1]);
      const packets = packetsOf(frame);
      assert.equal(packets[2]?.randomAccess, true);
      assert.equal(packets.filter(({ clock }) => clock !== null).length, 1);
    }
  }
});
