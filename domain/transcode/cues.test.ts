import assert from "node:assert/strict";
import { test } from "node:test";
import { withEnds } from "./cues.ts";

test("a cue without an end stays until the next one, at most five seconds; others stay as they are", () => {
  const vtt = (second: string, third: string, last: string): string =>
    `WEBVTT\n\n00:01.000 --> 00:02.500 align:start\na --> b\n\n00:03.250 --> ${second}\ntwo\nlines\n\n` +
    `00:04.000 --> ${third} line:0\nthree\n\n01:59:59.500 --> ${last}\nfour\n`;
  assert.equal(
    withEnds(vtt("00:03.250", "00:04.000", "01:59:59.500")),
    vtt("00:00:04.000", "00:00:09.000", "02:00:04.500"),
  );
  const whole = vtt("00:03.300", "00:06.000", "02:00:00.000");
  assert.equal(withEnds(whole), whole);
});

test("cues that begin together are all shown, and what is no cue is nothing", () => {
  const timed = (ends: string): string => ["a", "b"].map((text) => `00:01.000 --> ${ends}\n${text}\n`).join("\n");
  assert.equal(withEnds(timed("00:01.000")), timed("00:00:06.000"));
  assert.equal(withEnds("WEBVTT\n"), "WEBVTT\n");
});
