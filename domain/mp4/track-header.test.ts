import assert from "node:assert/strict";
import { test } from "node:test";
import { boxOf, u32 } from "../../test/media/boxes.ts";
import { type BoxView, boxesIn } from "./box-view.ts";
import { languageOf, nameOf, rotationOf } from "./track-header.ts";

const viewOf = (box: Buffer): BoxView => boxesIn(box, 0, "test")[0] ?? assert.fail();
const ONE = 0x10000;

test("a matrix is told in clockwise quarters, in both versions of tkhd; one that mirrors is none", () => {
  const matrix = (a: number, b: number, c: number, d: number, version = 0): number =>
    rotationOf(
      viewOf(
        boxOf("tkhd", u32(version << 24), Buffer.alloc(version === 1 ? 48 : 36), u32(a, b, 0, c, d, 0, 0, 0, 2 ** 30)),
      ),
    );
  for (const version of [0, 1]) {
    assert.equal(matrix(ONE, 0, 0, ONE, version), 0);
    assert.equal(matrix(0, ONE, -ONE, 0, version), 90);
    assert.equal(matrix(-ONE, 0, 0, -ONE, version), 180);
    assert.equal(matrix(0, -ONE, ONE, 0, version), 270);
  }
  assert.equal(matrix(0, 2 * ONE, -2 * ONE, 0), 90); // larger, too
  assert.equal(matrix(-ONE, 0, 0, ONE), 0);
  assert.equal(matrix(0, 0, 0, 0), 0);
});

const mdiaOf = (language: number, ...others: readonly Buffer[]): BoxView =>
  viewOf(boxOf("mdia", boxOf("mdhd", Buffer.alloc(20), u32(language << 16)), ...others));
const packed = (code: string): number =>
  [...code].reduce((bits, letter) => bits * 32 + (letter.charCodeAt(0) - 0x60), 0);

test("a language is told as its shortest tag: of elng, of three letters, or of a Macintosh code", () => {
  const languages: readonly (readonly [string, string])[] = [
    ["eng", "en"],
    ["deu", "de"],
    ["ger", "de"],
    ["por", "pt"],
    ["und", "und"],
    ["qaa", "qaa"],
  ];
  for (const [code, tag] of languages) assert.equal(languageOf(mdiaOf(packed(code))), tag);
  assert.equal(languageOf(mdiaOf(0)), "en");
  assert.equal(languageOf(mdiaOf(11)), "ja");
  assert.equal(languageOf(mdiaOf(0x7fff)), "und");
  assert.equal(languageOf(mdiaOf(300)), "und");
  const elng = (tag: string) => boxOf("elng", u32(0), Buffer.from(`${tag}\0`));
  assert.equal(languageOf(mdiaOf(packed("eng"), elng("zh-hant-tw"))), "zh-Hant-TW");
  assert.equal(languageOf(mdiaOf(packed("eng"), elng("no tag at all"))), "und");
});

const trakOf = (handler: Buffer, componentType: number, ...others: readonly Buffer[]): BoxView => {
  const hdlr = boxOf("hdlr", u32(0, componentType), Buffer.from("soun"), Buffer.alloc(12), handler);
  return viewOf(boxOf("trak", boxOf("mdia", hdlr), ...others));
};

test("a track's name is what somebody gave it, not what a muxer writes into every track", () => {
  const c = (text: string) => Buffer.from(`${text}\0`);
  assert.equal(nameOf(trakOf(c("Commentary"), 0)), "Commentary");
  for (const text of ["SoundHandler", "Core Media Audio", "GPAC ISO Audio Handler", "Bento4 Sound Handler", ""])
    assert.equal(nameOf(trakOf(c(text), 0)), "");
  assert.equal(nameOf(trakOf(Buffer.from("\x0bDescriptionxx"), 0x6d686c72)), "Description");
  const udta = boxOf("udta", boxOf("name", Buffer.from("Director's cut ü")));
  assert.equal(nameOf(trakOf(c("SoundHandler"), 0, udta)), "Director's cut ü");
  const broken = boxOf("udta", u32(0xffff), Buffer.from("name"));
  assert.equal(nameOf(trakOf(c("Commentary"), 0, broken)), "");
  assert.equal(nameOf(trakOf(c("n".repeat(5000)), 0)).length, 200);
});
