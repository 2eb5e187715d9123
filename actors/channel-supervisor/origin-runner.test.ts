import assert from "node:assert/strict";
import { test } from "node:test";
import type { StreamReport } from "../../contracts/streamer.ts";
import { OriginRunner, type Want } from "./origin-runner.ts";
import { unknownOrigin } from "./origin-state.ts";
import type { CheckOutcome, PushOutcome, RemoveOutcome, Target } from "./target.ts";

const PAYLOAD = { url: "udp://239.0.21.41:5000" };
const TAKEN: PushOutcome = { remote: "ours", refusal: null, state: null, unclear: false };
const REFUSED: PushOutcome = { ...TAKEN, remote: "none", refusal: { status: 503, message: "HTTP 503: no" } };
const ROW: Want["row"] = {
  ...{ id: 11, streamerId: 1, ingestUrl: null, wanted: "present", generation: 1, kind: "castis" },
  ...{ baseUrl: "http://node", publicUrl: null, credential: null, playbackUrlTemplate: "{base}/{streamId}" },
  ...{ nodeId: null, ordinal: null, sourceTrusted: false, nodeTrusted: false },
};
const REPORT: StreamReport = {
  ...{ tenant: "acme", streamId: "a.stream", channelId: 1, state: "live", leaseEpoch: 5, anchorEpoch: null },
  ...{ firstSegmentNumber: 1, lastSegmentNumber: 2, startCount: 1, anchorProposal: null, residualMs: null },
  ...{ initHashes: {}, message: null },
};

/** A runner whose time and whose node are in the test's hands. */
const setUp = (fields: Partial<Want> = {}, own = false) => {
  const world = {
    nowMs: 1_000_000,
    alive: true,
    changes: 0,
    asked: [] as string[],
    push: TAKEN,
    remove: { remote: "none", refusal: null } as RemoveOutcome,
    check: { found: "same" } as CheckOutcome,
    report: undefined as StreamReport | undefined,
    heardAtMs: 0,
  };
  const said =
    <T>(verb: string, answer: () => T) =>
    async () => {
      world.asked.push(verb);
      return answer();
    };
  const target: Target = {
    key: "castis http://node",
    push: said("push", () => world.push),
    restart: said("restart", () => world.push),
    remove: said("remove", () => world.remove),
    check: said("check", () => world.check),
  };
  const heard: Want["heard"] = () => ({
    heard: world.heardAtMs === 0 ? undefined : { atMs: world.heardAtMs, report: {} as never },
    stream: world.report,
  });
  const want: Want = {
    ...{ row: ROW, run: true, removal: false, tenant: "acme", streamId: "a.stream", payload: PAYLOAD, target },
    ...{ playbackUrl: "http://node/a.stream", heard: own ? heard : null },
    ...fields,
  };
  const deps = {
    clock: { nowMs: () => world.nowMs },
    ...{ leaseEpoch: 5, unclearMs: 15_000, checkEveryMs: 10_000 },
    alive: () => world.alive,
    changed: () => {
      world.changes += 1;
    },
  };
  const runner = new OriginRunner(deps, want, unknownOrigin(world.nowMs, 0));
  const told = () => [runner.observed.status, runner.observed.message];
  const after = async (ms: number): Promise<string> => {
    world.nowMs += ms;
    world.asked.length = 0;
    await runner.tick();
    return world.asked.join(" ");
  };
  return { world, runner, want, told, after };
};

test("an origin that is taken is active, and looked at every 10 s", async () => {
  const { runner, told, after } = setUp();
  assert.equal(runner.dueAtMs, 0);
  assert.equal(await after(0), "push");
  assert.deepEqual(told(), ["active", null]);
  assert.equal(runner.observed.playbackUrl, "http://node/a.stream");
  assert.equal(await after(9_999), "");
  assert.equal(await after(1), "check");
});

test("an origin that is refused is tried again after 0.5, 1, 2 s …, and at once when somebody asks", async () => {
  const { world, runner, told, after } = setUp();
  world.push = REFUSED;
  assert.equal(await after(0), "push");
  assert.deepEqual(told(), ["failed", "HTTP 503: no"]);
  assert.equal(runner.dueAtMs, world.nowMs + 500);
  for (const pauseMs of [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]) {
    assert.equal(await after(pauseMs - 1), "");
    assert.equal(await after(1), "push");
  }
  world.push = TAKEN;
  await runner.settle({ force: true, restart: false });
  assert.deepEqual(told(), ["active", null]);
});

test("without its lease it does nothing", async () => {
  const { world, after } = setUp();
  world.alive = false;
  assert.equal(await after(0), "");
});

test("one lost check changes nothing, a second one does, an answer sets it right", async () => {
  const { world, told, after } = setUp();
  await after(0);
  world.check = { found: "unreachable", refusal: { status: 0, message: "no answer" } };
  assert.equal(await after(10_000), "check");
  assert.deepEqual(told(), ["active", null]);
  assert.equal(await after(500), "check");
  assert.deepEqual(told(), ["failed", "no answer"]);
  world.check = { found: "same" };
  assert.equal(await after(10_000), "check");
  assert.deepEqual(told(), ["active", null]);
});

test("a node that lost the stream gets it again at once, one with a stranger's is asked every 10 s", async () => {
  const { world, told, after } = setUp();
  await after(0);
  world.check = { found: "missing" };
  assert.equal(await after(10_000), "check");
  assert.equal(await after(0), "push");
  world.check = { found: "different" };
  assert.equal(await after(10_000), "check");
  assert.equal(told()[0], "conflict");
  world.push = { ...REFUSED, remote: "foreign" };
  assert.equal(await after(9_999), "");
  assert.equal(await after(1), "push");
  assert.equal(await after(9_999), "");
  assert.equal(await after(1), "push");
});

test("when all is as wanted, nothing is due", async () => {
  const { world, runner, after } = setUp({}, true);
  world.report = REPORT;
  world.push = { ...TAKEN, state: "live" };
  await after(0);
  world.nowMs += 60_000;
  world.heardAtMs = world.nowMs;
  runner.look();
  assert.equal(runner.dueAtMs, Number.POSITIVE_INFINITY);
  assert.equal(await after(0), "");
});

test("a report that may be older than our command does not make us command again", async () => {
  const { world, after } = setUp({}, true);
  world.push = { ...TAKEN, state: "starting" };
  await after(0);
  world.heardAtMs = world.nowMs + 500;
  assert.equal(await after(1_000), "");
  world.heardAtMs = world.nowMs + 500;
  assert.equal(await after(1_000), "push");
});

test("a change of the row is pushed at once, whatever the back-off says", async () => {
  const { world, runner, want, after } = setUp();
  world.push = REFUSED;
  await after(0);
  assert.equal(await after(1), "");
  runner.update({ ...want, row: { ...ROW, generation: 2 }, payload: { url: "udp://239.0.0.2:1" } });
  assert.equal(await after(0), "push");
});

test("an origin that shall go is gone only when its node says so", async () => {
  const { world, runner, want, told, after } = setUp();
  await after(0);
  world.remove = { remote: "ours", refusal: { status: 0, message: "no answer" } };
  runner.update({ ...want, run: false, removal: true, row: { ...ROW, generation: 2, wanted: "absent" } });
  assert.equal(await after(0), "remove");
  assert.deepEqual([...told(), runner.observed.gone], ["failed", "not removed yet: no answer", false]);
  world.remove = { remote: "none", refusal: null };
  assert.equal(await after(499), "");
  assert.equal(await after(10_000), "remove");
  assert.deepEqual([...told(), runner.observed.gone, runner.observed.generation], ["stopped", null, true, 2]);
  assert.equal(runner.dueAtMs, Number.POSITIVE_INFINITY);
});

test("an entry that now leads to another address is pushed there", async () => {
  const { runner, want, after } = setUp();
  await after(0);
  runner.update({ ...want, target: { ...want.target, key: "castis http://other" } });
  assert.equal(runner.observed.remote, "none");
  assert.equal(await after(10_000), "push");
});

test("a command that got no answer stays unclear for three requests' time", async () => {
  const { world, runner, after } = setUp();
  world.push = { ...REFUSED, remote: "maybe", unclear: true };
  await after(0);
  assert.equal(runner.observed.unclearUntilMs, world.nowMs + 15_000);
});
