import assert from "node:assert/strict";
import { test } from "node:test";
import { slugOf, streamIdOf } from "./slug.ts";

test("the playback document's names give the playback document's stream ids", () => {
  assert.equal(streamIdOf("BBC World"), "bbc_world.stream");
  assert.equal(streamIdOf("CNN HD"), "cnn_hd.stream");
});

const TABLE: readonly (readonly [string, string])[] = [
  ["  Canal+   Sport -- 4K ", "canal_sport_4k"],
  ["24/7", "24_7"],
  ["a_b", "a_b"],
  ["__a__", "a"],
  ["Straße", "strasse"],
  ["STRASSE ẞ", "strasse_ss"],
  ["Ærø Øst", "aero_ost"],
  ["Łódź", "lodz"],
  ["Đà Nẵng", "da_nang"],
  ["Þór", "thor"],
  ["Télé Québec", "tele_quebec"],
  ["Türkçe İstanbul Iğdır", "turkce_istanbul_igdir"],
  ["Россия 1", "rossiia_1"],
  ["Матч! Щит", "match_shchit"],
  ["Київ", "kiiv"],
  ["ΕΡΤ Ένας", "ert_enas"],
  ["ＦＵＬＬ　ｗｉｄｔｈ", "full_width"],
  ["ﬁlm №1 ½", "film_no1_1_2"],
  ["ℌi", "hi"],
  ["CNN\u0000HD\n2", "cnn_hd_2"],
  ["../../etc/passwd", "etc_passwd"],
  ["東京 1", "1"],
];
for (const [name, slug] of TABLE)
  test(`${JSON.stringify(name)} becomes ${slug}`, () => {
    assert.equal(slugOf(name), slug);
  });

test("a name without a letter or digit that we know has no stream id", () => {
  for (const name of ["", "  ", "!!!", "___", "東京", "🎬", "\u0301"]) assert.equal(streamIdOf(name), null, name);
});

test("a slug is a slug of itself, whatever the name", () => {
  let seed = 7;
  const next = (limit: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % limit;
  };
  for (let round = 0; round < 500; round++) {
    const name = Array.from({ length: next(60) }, () => String.fromCodePoint(1 + next(0x2fff))).join("");
    const slug = slugOf(name);
    assert.match(slug, /^(?:[a-z0-9]+(?:_[a-z0-9]+)*)?$/, JSON.stringify(name));
    assert.equal(slugOf(slug), slug);
  }
});

test("the longest name gives a stream id within 140 characters that ends in a letter or digit", () => {
  const long = streamIdOf(`${"щ".repeat(33)}a ${"x".repeat(166)}`)!;
  assert.equal(long.length <= 140, true);
  assert.match(long, /^[a-z0-9]+(?:_[a-z0-9]+)*\.stream$/);
});
