import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createCipheriv } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { tsProgram } from "./program.ts";
import { type SampleCipher, SampleEncryption } from "./sample-aes.ts";
import { TsSegment } from "./segment.ts";
import { makeSegment, makeSegments, openFile, programOf, segmentInputs } from "./segments.fixture.ts";
import { assertClock, assertContinuous } from "./walk.fixture.ts";

const KEY = Buffer.from("00112233445566778899aabbccddeeff", "hex");
const IV = Buffer.from("0f1e2d3c4b5a69788796a5b4c3d2e1f0", "hex");
const cipher: SampleCipher = (blocks) => createCipheriv("aes-128-cbc", KEY, IV).setAutoPadding(false).update(blocks);

const HELD_AT_END = 12;

const fileOf = async (name: string) => openFile(await makeInput(name, await sharedMediaDir()));

/** Packets that ffmpeg's HLS reader gives, in decode order of each stream: their hashes. Rejects when it complains. */
const played = async (segments: readonly Buffer[], key: string): Promise<string[]> => {
  const folder = await mkdtemp(path.join(tmpdir(), "sample-aes-"));
  try {
    const lines = ["#EXTM3U", "#EXT-X-VERSION:5", "#EXT-X-TARGETDURATION:3", "#EXT-X-PLAYLIST-TYPE:VOD", key];
    for (const [index, segment] of segments.entries()) {
      await writeFile(path.join(folder, `${index}.ts`), segment);
      lines.push("#EXTINF:2,", `${index}.ts`);
    }
    await writeFile(path.join(folder, "key"), KEY);
    await writeFile(path.join(folder, "index.m3u8"), [...lines, "#EXT-X-ENDLIST", ""].join("\n"));
    const args = "-v warning -xerror -allowed_extensions ALL -i index.m3u8 -map 0 -c copy -f framemd5 -";
    const { path: ffmpeg } = await findFfmpeg(null);
    const options = { cwd: folder, timeout: 60_000, maxBuffer: 2 ** 26 };
    const { stdout, stderr } = await promisify(execFile)(ffmpeg, args.split(" "), options);
    assert.equal(stderr, "");
    return stdout.split("\n").filter((line) => /^\d/.test(line));
  } finally {
    await rm(folder, { recursive: true });
  }
};

test("ffmpeg decrypts segments to the bytes of clear ones", async () => {
  for (const name of ["moov-last", "intra-only", "he-aac-v2"]) {
    const file = await fileOf(name);
    const [video, audio] = [file.movie.video[0] ?? null, file.movie.audio[0] ?? null];
    const program = programOf({ video, audio, sampleAes: true });
    const encrypted: Buffer[] = [];
    for (const input of segmentInputs(file)) {
      const whole = await makeSegment(file.reader, { ...input, program, cipher });
      const steps = { slotBytes: 20_000, wantedBytes: 30_000, releases: true };
      assert.ok((await makeSegment(file.reader, { ...input, program, cipher }, steps)).equals(whole));
      encrypted.push(whole);
    }
    assertContinuous(Buffer.concat(encrypted));
    assertClock(Buffer.concat(encrypted));
    const clear = await makeSegments(file);
    const key = `#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key",IV=0x${IV.toString("hex")}`;
    const [found, expected] = [await played(encrypted, key), await played(clear, "#EXT-X-KEY:METHOD=NONE")];
    assert.equal(found.length, expected.length);
    const different = found.flatMap((line, index) => (line === expected[index] ? [] : index));
    // ffmpeg no longer has the key for what it holds back at the end of a playlist.
    assert.deepEqual(
      different.filter((index) => index < found.length - HELD_AT_END),
      [],
      name,
    );
    assert.ok(!Buffer.concat(encrypted).equals(Buffer.concat(clear)));
  }
});

test("what has no encrypted form in a transport stream is named", async () => {
  for (const name of ["hevc-hvc1", "ac-3", "mp3"]) {
    const { movie } = await fileOf(name);
    const program = tsProgram({ video: movie.video[0] ?? null, audio: movie.audio[0] ?? null, sampleAes: true });
    assert.equal(program.kind, "no-ts-mapping");
  }
});

test("a program to be encrypted is never sent in the clear", async () => {
  const file = await fileOf("moov-last");
  const program = programOf({ video: file.movie.video[0] ?? null, audio: null, sampleAes: true });
  for (const input of segmentInputs(file))
    assert.throws(() => new TsSegment({ ...input, program, audio: null }), /bug: .* has no cipher/);
});

test("start codes that come out of the cipher are escaped, and what was escaped is escaped again", () => {
  const zeros = new SampleEncryption((blocks) => Buffer.alloc(blocks.length));
  const memory = Buffer.alloc(1_000, 0xff);
  const unit = Buffer.alloc(100, 0x80);
  unit[0] = 0x65;
  unit.set([0, 0, 3, 1], 10);
  memory.set(unit);
  const end = zeros.unit(memory, 200, { from: 0, length: unit.length });
  const escaped = memory.subarray(200, end).toString("hex");
  const blocks = `${"000003".repeat(7)}0000`;
  assert.equal(escaped, `65${"80".repeat(9)}0000030301${"80".repeat(18)}${blocks}${"80".repeat(52)}`);
});

test("short slices and other units stay as they are", () => {
  const encryption = new SampleEncryption(() => assert.fail("encrypted"));
  for (const [type, length] of [
    [0x65, 48],
    [0x67, 200],
    [0x06, 200],
  ] as const) {
    const memory = Buffer.alloc(1_000);
    memory.fill(0xab, 0, length);
    memory[0] = type;
    assert.equal(encryption.unit(memory, 400, { from: 0, length }), 400 + length);
    assert.ok(memory.subarray(400, 400 + length).equals(memory.subarray(0, length)));
  }
});
