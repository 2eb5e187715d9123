import assert from "node:assert/strict";
import { test } from "node:test";
import { TITLE_KINDS, TITLE_STATES, type Title } from "../../contracts/catalog.ts";
import { codeOf } from "../../contracts/errors.ts";
import { seeded } from "../../test/support/seeded.ts";
import type { TitleRow } from "./catalog.store.ts";
import { blankTitle } from "./changes.ts";
import { ARROWS, dueAt, isFilm, isOpen, Life } from "./life.ts";

const NOW_MS = Date.UTC(2030, 0, 1);
const HOUR_MS = 3_600_000;
const ERROR = { code: "SOURCE_UNREADABLE", reason: "no picture" };
const at = (ms: number): Date => new Date(NOW_MS + ms);
const row = (fields: Partial<TitleRow> = {}): TitleRow => ({
  ...blankTitle({ id: "t", tenantId: "a", kind: "movie", name: "Film" }, NOW_MS),
  ...fields,
});
/** A film in a state, as it would have come there. */
const inState = (state: Title["state"], fields: Partial<TitleRow> = {}): TitleRow => {
  const revision = state === "draft" ? 0 : 1;
  const ready = state === "draft" || state === "processing" ? null : 1;
  return row({ state, revision, playableRevision: ready, readyRevision: ready, ...fields });
};
type Move = (life: Life) => void;
/** The state and the facts after a move; the code of a refusal. */
const outcome = (from: TitleRow, move: Move): unknown => {
  const life = new Life(from, NOW_MS);
  try {
    move(life);
  } catch (error) {
    return codeOf(error);
  }
  return [life.row.state, ...life.facts].join(" ");
};

const MOVES: Readonly<Record<string, Move>> = {
  attach: (life) => life.attach(),
  playable: (life) => life.playable(life.row.revision),
  complete: (life) => life.complete(life.row.revision),
  fail: (life) => life.failed(life.row.revision, ERROR),
  publish: (life) => life.publish(),
  schedule: (life) => life.publish(NOW_MS + HOUR_MS),
  unschedule: (life) => life.unschedule(),
  withdraw: (life) => life.withdraw(),
  leave: (life) => life.leave(),
};

test("what each order and each news makes of a film in each state", () => {
  const no = "TITLE_STATE";
  const expected: Record<string, readonly unknown[]> = {
    //          draft         processing     ready                  scheduled    published                withdrawn
    attach: ["processing", "processing", "ready", "scheduled", "published", "withdrawn"],
    complete: ["draft", "ready", "ready", "scheduled", "published", "withdrawn"],
    publish: [no, no, "published published", "published published", no, "published published"],
    schedule: [no, no, "scheduled", "scheduled", "scheduled withdrawn", "scheduled"],
    unschedule: [no, no, no, "ready", no, no],
    withdraw: [no, no, no, no, "withdrawn withdrawn", no],
    leave: ["draft", "draft", "ready", "ready", "withdrawn withdrawn", "withdrawn"],
  };
  const found = Object.fromEntries(
    Object.keys(expected).map((name) => [name, TITLE_STATES.map((state) => outcome(inState(state), MOVES[name]!))]),
  );
  assert.deepEqual(found, expected);
});

test("a film whose beginning can be played is published while the rest is made, and stays so when it is whole", () => {
  const life = new Life(inState("processing", { autoPublish: true }), NOW_MS);
  life.playable(1);
  assert.equal(life.row.state, "published");
  life.complete(1);
  assert.deepEqual([life.row.state, life.row.readyRevision, life.facts], ["published", 1, ["published"]]);
});

test("a film that was published while it was made goes back to draft when it fails", () => {
  const growing = inState("processing", { autoPublish: true });
  const life = new Life(growing, NOW_MS);
  life.playable(1);
  life.failed(1, ERROR);
  const { state, processingError, playableRevision } = life.row;
  assert.deepEqual([state, processingError, playableRevision], ["draft", ERROR, null]);
  assert.deepEqual(life.facts, ["published", "withdrawn"]);
});

test("a published film stays so while a newer source is worked on, and when that fails", () => {
  const life = new Life(inState("published"), NOW_MS);
  life.attach();
  life.started(2);
  life.failed(2, ERROR);
  const { state, revision, readyRevision, processingError } = life.row;
  assert.deepEqual([state, revision, readyRevision, processingError], ["published", 2, 1, ERROR]);
  assert.deepEqual(life.facts, []);
});

test("news of another revision than the newest changes nothing, nor does news that was told before", () => {
  for (const state of TITLE_STATES) {
    for (const name of ["playable", "complete", "fail"] as const) {
      const before = inState(state, { revision: 3, readyRevision: 3, playableRevision: 3, autoPublish: true });
      for (const revision of [1, 2, 3, 4]) {
        const life = new Life(before, NOW_MS);
        if (name === "fail") life.failed(revision, ERROR);
        else life[name](revision);
        assert.deepEqual(life.row, before, `${state} ${name} ${revision}`);
      }
    }
  }
});

test("a film that failed is processed again when its job is replayed, and the error is gone", () => {
  const life = new Life(inState("draft", { revision: 1, processingError: ERROR }), NOW_MS);
  life.started(1);
  assert.deepEqual([life.row.state, life.row.processingError], ["processing", null]);
});

test("series, seasons and live channels are published without a file, and take none", () => {
  for (const kind of TITLE_KINDS.filter((one) => !isFilm(one))) {
    const title = row({ kind, channelId: kind === "live" ? 7 : null });
    assert.equal(outcome(title, MOVES.publish!), "published published", kind);
    assert.equal(outcome(title, MOVES.attach!), "TITLE_STATE", kind);
  }
  assert.equal(outcome(row({ kind: "live" }), MOVES.publish!), "TITLE_STATE", "a live title without a channel");
});

test("a window decides: it opens a scheduled title, ends a published one, and one that is over is not published", () => {
  const tick: Move = (life) => life.tick();
  const ofWindow = (state: Title["state"], from: number | null, until: number | null) =>
    inState(state, {
      availableFrom: from === null ? null : at(from),
      availableUntil: until === null ? null : at(until),
    });
  const cases: [Title["state"], number | null, number | null, string][] = [
    ["scheduled", 1, null, "scheduled"],
    ["scheduled", 0, null, "published published"],
    ["scheduled", -2, -1, "withdrawn"],
    ["published", -2, 1, "published"],
    ["published", -2, 0, "withdrawn withdrawn"],
    ["published", 1, null, "scheduled withdrawn"],
    ["ready", 0, 1, "ready"],
    ["withdrawn", -1, null, "withdrawn"],
  ];
  for (const [state, from, until, expected] of cases)
    assert.equal(outcome(ofWindow(state, from, until), tick), expected, `${state} ${from} ${until}`);
  assert.equal(outcome(ofWindow("ready", null, -1), MOVES.publish!), "TITLE_STATE");
  assert.equal(outcome(ofWindow("ready", HOUR_MS, null), MOVES.publish!), "scheduled");
});

test("a film that publishes itself waits for its window, and does not where that is over", () => {
  const made = (fields: Partial<TitleRow>) =>
    outcome(inState("processing", { autoPublish: true, ...fields }), MOVES.complete!);
  assert.equal(made({}), "published published");
  assert.equal(made({ availableFrom: at(1) }), "scheduled");
  assert.equal(made({ availableUntil: at(-1) }), "ready");
});

test("whatever happens in whatever order, only written arrows are taken, and what viewers may have can be played", () => {
  const names = Object.keys(MOVES);
  for (let seed = 1; seed <= 2_000; seed += 1) {
    const { next } = seeded(seed);
    const one = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
    let now = row({ kind: one(TITLE_KINDS), autoPublish: next() < 0.5, channelId: next() < 0.5 ? 7 : null });
    let nowMs = NOW_MS;
    for (let step = 0; step < 25; step += 1) {
      nowMs += Math.floor(next() * HOUR_MS);
      const life = new Life(now, nowMs);
      const name = one([...names, "tick", "old news"]);
      try {
        if (name === "tick") life.tick();
        else if (name === "old news") life.complete(Math.floor(next() * 5));
        else MOVES[name]!(life);
      } catch (error) {
        assert.equal(codeOf(error), "TITLE_STATE", `seed ${seed}, step ${step}: ${error}`);
        continue;
      }
      const where = `seed ${seed}, step ${step}, ${name}: ${now.state} → ${life.row.state}`;
      const path = [now.state, life.row.state];
      const isArrow = now.state === life.row.state || ARROWS[now.state].includes(life.row.state);
      // Two arrows at once: it became ready and published itself, or a failed one went on.
      assert.ok(isArrow || ARROWS[now.state].some((via) => ARROWS[via].includes(life.row.state)), where);
      const published = life.facts.filter((fact) => fact === "published").length;
      const withdrawn = life.facts.length - published;
      const was = Number(now.state === "published");
      assert.equal(was + published - withdrawn, Number(life.row.state === "published"), `${where}: facts ${path}`);
      now = life.row;
      if (isOpen(now, nowMs) && isFilm(now.kind)) assert.ok(now.playableRevision !== null, where);
      if (now.state === "ready") assert.ok(now.readyRevision !== null, where);
      if (now.state === "scheduled") assert.ok(dueAt(now) !== null, where);
      if (!isFilm(now.kind)) assert.ok(now.state !== "processing" && now.state !== "ready", where);
      assert.ok((now.readyRevision ?? 0) <= (now.playableRevision ?? 0), where);
    }
  }
});
