import assert from "node:assert/strict";
import { test } from "node:test";
import { FirstBytes, notMedia } from "./first-bytes.ts";
import { describe } from "./metadata.ts";

const ascii = (text: string): Buffer => Buffer.from(text, "latin1");

test("beginnings of containers are let through, those of archives, documents, programs and texts are not", () => {
  const media = [
    ...["\0\0\0\x20ftypisom", "\x1aE\xdf\xa3", "G@\x00\x10", "\0\0\x01\xba", "RIFF\x00\x10\x00\x00AVI LIST", "FLV\x01"],
    ...[
      "OggS\0",
      "0&\xb2u\x8ef\xcf\x11",
      "\x06\x0e+4\x02\x05",
      "\0\0\0\x01\x67",
      "YUV4MPEG2 W320 H180 F25:1\n",
      "ID3\x03\0",
    ],
  ];
  for (const text of media) assert.equal(notMedia(ascii(text)), null, JSON.stringify(text));
  const others: Readonly<Record<string, string>> = {
    "a ZIP archive": "PK\x03\x04\x14\0",
    "a PDF document": "%PDF-1.7",
    "a program": "\x7fELF\x02",
    "a picture": "\x89PNG\r\n\x1a\n",
    "a playlist": "#EXTM3U\n#EXT-X-VERSION:3\n/etc/passwd",
    "a text": "<!doctype html><title>404</title>",
  };
  for (const [what, text] of Object.entries(others)) assert.equal(notMedia(ascii(text)), what);
  assert.equal(notMedia(ascii("ffconcat version 1.0\nfile /etc/passwd")), "a playlist");
});

test("the first bytes are looked at once there are enough of them, however they come", () => {
  const one = new FirstBytes();
  for (const byte of ascii("PK\x03\x04".padEnd(511, "\0"))) one.look(Buffer.of(byte), { isAll: false });
  assert.throws(() => one.look(Buffer.alloc(1), { isAll: false }), { code: "UPLOAD_REFUSED" });
  const small = new FirstBytes();
  assert.throws(() => small.look(ascii("text"), { isAll: true }), { code: "UPLOAD_REFUSED" });
  const later = new FirstBytes();
  later.look(Buffer.alloc(600, 0x9d), { isAll: false });
  later.look(ascii("PK\x03\x04"), { isAll: false });
});

test("metadata is a file's own name, a title of the tenant or what is known of one that is made", () => {
  assert.deepEqual(describe({}), { filename: "upload", titleId: null, name: null, titleKind: "movie" });
  const told = { filename: "C:\\films\\a.mp4", name: " A ", kind: "clip", filetype: "video/mp4" };
  assert.deepEqual(describe(told), { filename: "a.mp4", titleId: null, name: "A", titleKind: "clip" });
  for (const bad of [{ titleId: "../x" }, { filename: "\u0007.mp4" }, { kind: "x" }, { name: "x".repeat(501) }]) {
    assert.throws(() => describe(bad), { code: "BAD_INPUT" }, JSON.stringify(bad));
  }
  assert.throws(() => describe({ comment: "x".repeat(5_000) }), { code: "BAD_INPUT" });
});
