import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "../../test/support/lavfi.ts";
import { seeded } from "../../test/support/seeded.ts";
import { parseInit } from "./init.ts";
import { findBox } from "./walk.ts";

const moovOf = (init: Buffer): Buffer => findBox(init, ["moov"], 0) ?? assert.fail("no moov");

test("an H.264 track tells its size, timescale and codec string", async () => {
  const { info, init } = await encode({ kind: "video", seconds: 1, width: 320, height: 180 });
  const { configuration, ...rest } = info;
  assert.deepEqual(rest, {
    kind: "video",
    timescale: 90_000,
    codec: `avc1.${configuration.slice(2, 8)}`, // profile, constraints, level stand second to fourth in avcC
    width: 320,
    height: 180,
    channelCount: 0,
    sampleRate: 0,
  });
  assert.match(rest.codec, /^avc1\.42[cd]0[0-9a-f]{2}$/); // ultrafast has neither CABAC nor 8×8: constrained baseline
  assert.deepEqual(parseInit(moovOf(init)), info);
});

test("an HEVC track has the string of ISO/IEC 14496-15 annex E", async (t) => {
  const track = await encode({ kind: "video", seconds: 1, codec: "hevc" }).catch((error: Error) => {
    if (!/Unknown encoder/.test(error.message)) throw error;
  });
  if (!track) return t.skip("skipped: needs an ffmpeg with libx265");
  const { info } = track;
  assert.deepEqual([info.kind, info.codec], ["video", "hvc1.1.6.L30.90"]);
});

test("an AAC track tells its rate, channels and object type", async () => {
  const { info } = await encode({ kind: "audio", seconds: 1 });
  const { configuration, ...rest } = info;
  assert.deepEqual(rest, {
    kind: "audio",
    timescale: 48_000,
    codec: "mp4a.40.2",
    width: 0,
    height: 0,
    channelCount: 2,
    sampleRate: 48_000,
  });
  assert.match(configuration, /1190/); // AudioSpecificConfig: AAC LC, 48 kHz, stereo
});

test("a bit rate whose bytes look like a descriptor's tag is no descriptor", async () => {
  const { init } = await encode({ kind: "audio", seconds: 1 });
  const changed = Buffer.from(moovOf(init));
  const esds = changed.indexOf("esds");
  // Average bit rate 0x05010203: behind ES (5 + 3 bytes), decoder config's header (5) and nine of its thirteen bytes.
  changed.writeUInt32BE(0x05010203, esds + 8 + 5 + 3 + 5 + 9);
  assert.equal(parseInit(changed).codec, "mp4a.40.2");
});

test("what is no init segment of ours is refused with a reason", async () => {
  const { init } = await encode({ kind: "video", seconds: 1 });
  const moov = moovOf(init);
  const renamed = (from: string, to: string): Buffer => {
    const bytes = Buffer.from(moov);
    bytes.write(to, bytes.indexOf(from), "latin1");
    return bytes;
  };
  assert.throws(() => parseInit(renamed("trak", "free")), /0 tracks in an init segment/);
  assert.throws(() => parseInit(renamed("avc1", "vp09")), /no codec that we know: vp09/);
  assert.throws(() => parseInit(renamed("avcC", "free")), /avc1 without avcC/);
  assert.throws(() => parseInit(renamed("mdhd", "free")), /no codec that we know|mdhd/);
  const cut = Buffer.from(moov);
  cut.writeUInt32BE(0x7fffffff, moov.indexOf("trak") - 4);
  assert.throws(() => parseInit(cut), /a box of 2147483647 bytes does not fit: trak/);
});

test("damaged init segments end in an error or a result, never in a hang or another kind of failure", async () => {
  const tracks = await Promise.all([encode({ kind: "video", seconds: 1 }), encode({ kind: "audio", seconds: 1 })]);
  const random = seeded(7);
  for (let round = 0; round < 4_000; round += 1) {
    const bytes = Buffer.from(moovOf(tracks[round % 2]?.init ?? Buffer.alloc(0)));
    for (let hits = 1 + random.int(4); hits > 0; hits -= 1) bytes[random.int(bytes.length)] = random.int(256);
    try {
      parseInit(round % 3 === 0 ? bytes.subarray(0, random.int(bytes.length)) : bytes);
    } catch (error) {
      assert.ok(error instanceof Error);
    }
  }
});
