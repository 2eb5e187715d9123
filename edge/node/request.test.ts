import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRORS } from "../../contracts/errors.ts";
import { parseTarget } from "./request.ts";

test("a path of a stream is taken apart, and its query kept aside", () => {
  assert.deepEqual(parseTarget("/live/acme/one.stream/v0/12.m4s?a=b?c"), {
    target: { tenant: "acme", streamId: "one.stream", path: "v0/12.m4s", query: "a=b?c" },
  });
  assert.deepEqual(parseTarget("/live/acme/one.stream/master.m3u8"), {
    target: { tenant: "acme", streamId: "one.stream", path: "master.m3u8", query: undefined },
  });
});

test("two spellings of one path are one path", () => {
  assert.deepEqual(
    parseTarget("/live/acme/one%2Estream/%76%30/12.m4s"),
    parseTarget("/live/acme/one.stream/v0/12.m4s"),
  );
});

const REFUSED: [status: number, url: string][] = [
  [400, "/live/acme/one.stream/../other.stream/master.m3u8"],
  [400, "/live/acme/one.stream/%2e%2e/master.m3u8"],
  [400, "/live/acme/one.stream/."],
  [400, "/live/acme/one.stream/v0%2f12.m4s"],
  [400, "/live/acme/one.stream/v0%5c12.m4s"],
  [400, "/live/acme/one.stream/v0\\12.m4s"],
  [400, "/live/acme/one.stream/v0%00"],
  [400, "/live/acme/one.stream/%"],
  [400, "/live/acme/one.stream/%zz"],
  [400, "/live/acme/one.stream/%ff"],
  [400, "/live/acme/one.stream/a%20b"],
  [400, "/live/acme/one.stream/a#b"],
  [400, "/live/acme/one.stream/ä"],
  [400, `/live/acme/one.stream/${"a".repeat(161)}`],
  [400, "http://elsewhere/live/acme/one.stream/master.m3u8"],
  [400, "*"],
  [404, "/"],
  [404, "/live"],
  [404, "/live/acme/one.stream"],
  [404, "/live/acme/one.stream/"],
  [404, "/live//one.stream/master.m3u8"],
  [404, "/live/acme/one.stream//master.m3u8"],
  [404, "/other/acme/one.stream/master.m3u8"],
  [404, "/live/acme/one.stream/1/2/3/4/5/6/7/8/9"],
  [414, `/live/acme/one.stream/master.m3u8?${"a".repeat(2_048)}`],
];
test("what is malformed is refused with 400, what is not ours with 404, what is too long with 414", () => {
  for (const [status, url] of REFUSED) {
    const parsed = parseTarget(url);
    assert.equal("refusal" in parsed ? ERRORS[parsed.refusal.code].status : "taken", status, url.slice(0, 80));
  }
});

test("whatever is taken names one path without dots, slashes or controls in its names", () => {
  const parts = ["live", "acme", "a.stream", "..", ".", "", "%2e", "%2F", "%00", "%5c", "v0", "1.m4s", "%41", "?", "#"];
  let state = 7;
  const pick = (): string => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return parts[(state >>> 8) % parts.length] ?? "";
  };
  let taken = 0;
  for (let count = 0; count < 20_000; count += 1) {
    const names = Array.from({ length: count % 5 }, pick);
    const parsed = parseTarget(`/live/acme/a.stream/${names.join(count % 7 === 0 ? "" : "/")}`);
    if ("refusal" in parsed) continue;
    taken += 1;
    const { path } = parsed.target;
    assert.equal(new URL(`http://o/live/acme/a.stream/${path}`).pathname, `/live/acme/a.stream/${path}`);
    assert.match(path, /^[\w.~-]+(\/[\w.~-]+)*$/);
  }
  assert.ok(taken > 500, String(taken));
});
