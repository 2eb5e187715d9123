/** A packager's film through a lone edge, while its origin is slow, breaks off, or is not there. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { chromiumPath, launchChromium } from "../support/browser.ts";
import { noOpenssl } from "../support/certificate.ts";
import { leftOut } from "../support/share.ts";
import { type Fault, type FilmBehindEdge, filmBehindEdge } from "./edge-film.ts";
import { EdgeViewer, type Seen } from "./edge-viewing.ts";

const needs = chromiumPath ? false : "skipped: needs Chromium";
const SCENES = { of: 5, plays: 2 };
const skip = (scene: number): string | false => needs || leftOut(scene, SCENES);
const BUFFER_SECONDS = 6;
/** What a player takes to try again, and a busy machine to show it. */
const MARGIN_MS = 5_000;
const OUTAGE_MS = BUFFER_SECONDS * 1_000 + 2_000;
const LISTS = ["master.m3u8", "cmaf.m3u8"] as const;

const assertForced = (t: TestContext, before: Seen, after: Seen, outageMs: number): void => {
  const stalledMs = Math.round(after.stalledMs - before.stalledMs);
  const forcedMs = Math.round(Math.max(0, outageMs - before.aheadMs));
  const figures = `${stalledMs} ms of stall; an outage of ${Math.round(outageMs)} ms forces ${forcedMs} ms`;
  t.diagnostic(`${figures}; retried: ${after.errors.join(", ") || "never"}`);
  assert.ok(stalledMs <= forcedMs + MARGIN_MS, figures);
  assert.deepEqual(after.fatals, []);
};

/** Nobody is there for longer than what a viewer has; gives for how long. */
const outage = async ({ origin }: FilmBehindEdge): Promise<number> => {
  const wentAt = performance.now();
  await origin.close();
  await new Promise((resolve) => setTimeout(resolve, OUTAGE_MS)); // the claim is about this stretch of time
  await origin.listen();
  return performance.now() - wentAt;
};

for (const [scene, list] of LISTS.entries()) {
  test(`${list} plays on while its origin is slow, breaks off and goes away for a while`, {
    skip: skip(scene),
  }, async (t) => {
    const film = await filmBehindEdge(t);
    const browser = await launchChromium(t);
    const viewer = await EdgeViewer.open(t, browser, { url: film.url(list), bufferSeconds: BUFFER_SECONDS });
    const started = await viewer.seen();
    film.faults = () => "slow";
    const slowed = await viewer.plays(6);
    assertForced(t, started, slowed, 0);
    const round: readonly Fault[] = ["cut", "none", "reset", "slow"];
    film.faults = (request) => round[request % round.length] ?? "none";
    const broken = await viewer.plays(8);
    assertForced(t, slowed, broken, 0);
    film.faults = () => "none";
    const had = await viewer.seen();
    const outageMs = await outage(film);
    assertForced(t, had, await viewer.plays(8), outageMs);
  });
}

test("after a seek it plays on, and a second viewer costs the origin nothing", { skip: skip(2) }, async (t) => {
  const film = await filmBehindEdge(t);
  const browser = await launchChromium(t);
  const open = () => EdgeViewer.open(t, browser, { url: film.url("cmaf.m3u8"), bufferSeconds: BUFFER_SECONDS });
  const first = await open();
  await first.plays(8);
  await first.seek(40);
  const seen = await first.plays(8);
  assert.deepEqual([seen.fatals, seen.errors], [[], []]);
  const askedOnce = film.origin.asked.length;
  assert.deepEqual(film.origin.asked, [...new Set(film.origin.asked)], "nothing was asked for twice");
  await film.origin.close();
  const second = await open();
  await second.plays(2);
  await second.seek(40);
  const after = await second.plays(2);
  assert.deepEqual([after.fatals, after.errors], [[], []]);
  assert.equal(film.origin.asked.length, askedOnce);
  t.diagnostic(`${askedOnce} requests to the origin, ${first.asked.length} and ${second.asked.length} of the viewers`);
});

test("under a signed address all that playlists name is opened, and nothing without it", {
  skip: skip(3),
}, async (t) => {
  const film = await filmBehindEdge(t, { isSigned: true });
  const browser = await launchChromium(t);
  const viewer = await EdgeViewer.open(t, browser, { url: film.url("cmaf.m3u8"), bufferSeconds: BUFFER_SECONDS });
  const seen = await viewer.plays(8);
  assert.deepEqual([seen.fatals, seen.errors], [[], []]);
  const { pathname } = new URL(film.url("cmaf.m3u8"));
  const opened = pathname.slice(0, pathname.lastIndexOf("/") + 1);
  assert.deepEqual(
    viewer.asked.filter((address) => !new URL(address).pathname.startsWith(opened)),
    [],
  );
  assert.deepEqual(
    film.origin.asked.filter((asked) => asked.includes("~")),
    [],
    "no origin sees a token",
  );
  const stranger = await EdgeViewer.open(t, browser, { url: film.bareUrl("cmaf.m3u8"), waits: false });
  const refused = await stranger.until("to be refused", ({ fatals }) => fatals.length > 0);
  assert.deepEqual(refused.fatals, ["manifestLoadError 401"]);
  assert.equal(refused.frames, 0);
});

test("over HTTPS and HTTP/2, signed, it plays while its origin breaks off and goes", {
  skip: skip(4) || noOpenssl,
}, async (t) => {
  const film = await filmBehindEdge(t, { isSigned: true, isSecure: true });
  const browser = await launchChromium(t);
  const viewer = await EdgeViewer.open(t, browser, { url: film.url("cmaf.m3u8"), bufferSeconds: BUFFER_SECONDS });
  const before = await viewer.seen();
  film.faults = (request) => (request % 2 ? "cut" : "none");
  const broken = await viewer.plays(8);
  assertForced(t, before, broken, 0);
  film.faults = () => "none";
  const had = await viewer.seen();
  const outageMs = await outage(film);
  assertForced(t, had, await viewer.plays(8), outageMs);
  assert.deepEqual([...viewer.protocols], ["h2"]);
});
