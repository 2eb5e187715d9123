import assert from "node:assert/strict";
import { test } from "node:test";
import type { AudioCodec, TextCodec, VideoCodec } from "../mp4/movie.ts";
import { initProtection, keyIdText, manifestProtection, type ProtectionScheme } from "./protection.ts";

const KEY_ID = Buffer.from("9eb4050de44b4802932e27d75083e266", "hex");
const CONSTANT_IV = Buffer.from("0f0e0d0c0b0a09080706050403020100", "hex");
const of = (scheme: ProtectionScheme) => ({ scheme, keyId: KEY_ID, constantIv: CONSTANT_IV });

const base = { codecs: "", sampleEntry: Buffer.alloc(0) };
const video: VideoCodec = {
  ...base,
  kind: "video",
  fourcc: "avc1",
  width: 2,
  height: 2,
  nalLengthBytes: 4,
  parameterSets: [],
  sampleAspectRatio: [1, 1],
};
const audio: AudioCodec = {
  ...base,
  kind: "audio",
  fourcc: "mp4a",
  sampleRate: 48_000,
  channelCount: 2,
  audioSpecificConfig: null,
  samplesPerFrame: 1024,
};
const text: TextCodec = { ...base, kind: "text", fourcc: "wvtt" };

const entry = (type: string): Buffer => Buffer.concat([Buffer.from([0, 0, 0, 10]), Buffer.from(`${type}xy`)]);
const hex = (scheme: ProtectionScheme, codec: VideoCodec | AudioCodec | TextCodec): string =>
  initProtection(of(scheme)).sampleEntry(entry(codec.fourcc), codec).toString("latin1");
const ascii = (text: string): string => Buffer.from(text.replaceAll(" ", ""), "hex").toString("latin1");

test("a cenc entry tells the original format, the scheme, and 8-byte IVs", () => {
  assert.equal(
    hex("cenc", video),
    ascii("0000005a") +
      "encvxy" +
      ascii("00000050") +
      "sinf" +
      ascii("0000000c") +
      "frmaavc1" +
      ascii("00000014") +
      "schm" +
      ascii("00000000") +
      "cenc" +
      ascii("00010000 00000028") +
      "schi" +
      ascii("00000020") +
      "tenc" +
      ascii("00000000 00000108 9eb4050de44b4802932e27d75083e266"),
  );
});

test("a cbcs entry tells a constant IV, and the pattern of 1 in 10 for video alone", () => {
  const tail = "9eb4050de44b4802932e27d75083e266 10 0f0e0d0c0b0a09080706050403020100";
  assert.ok(hex("cbcs", video).endsWith(`tenc${ascii(`01000000 00190100 ${tail}`)}`));
  assert.ok(hex("cbcs", audio).endsWith(`tenc${ascii(`01000000 00000100 ${tail}`)}`));
  assert.ok(hex("cbcs", audio).startsWith(`${ascii("0000006b")}encaxy`));
});

test("text stays clear; video without NAL units is refused", () => {
  assert.equal(hex("cenc", text), entry("wvtt").toString("latin1"));
  assert.throws(() => hex("cenc", { ...video, fourcc: "av01", nalLengthBytes: 0 }), /encryption of av01/);
});

test("pssh is the common system's, of version 1, as the W3C's example has it", () => {
  // https://www.w3.org/TR/eme-initdata-cenc/#common-system-example, with one key id
  const expected =
    "000000347073736801000000 1077efecc0b24d02ace33c1e52e2fb4b 00000001 9eb4050de44b4802932e27d75083e266 00000000";
  assert.deepEqual(
    initProtection(of("cenc")).systems.map((box) => box.toString("latin1")),
    [ascii(expected)],
  );
  assert.deepEqual(manifestProtection(of("cbcs")), {
    scheme: "cbcs",
    defaultKeyId: "9eb4050d-e44b-4802-932e-27d75083e266",
    psshBase64: Buffer.from(ascii(expected), "latin1").toString("base64"),
  });
  assert.equal(keyIdText(KEY_ID), "9eb4050d-e44b-4802-932e-27d75083e266");
});
