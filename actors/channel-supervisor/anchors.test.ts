import assert from "node:assert/strict";
import { test } from "node:test";
import type { Anchor, StreamReport } from "../../contracts/streamer.ts";
import { Anchors, hashConflicts } from "./anchors.ts";

const ANCHOR: Anchor = {
  ...{ offsetTicks: 360_000, residualMs: 5, firstSegmentNumber: 4, frameRateNum: 25, frameRateDen: 1 },
  anchorEpoch: 1,
};
const REPORT: StreamReport = {
  ...{ tenant: "acme", streamId: "a.stream", channelId: 1, state: "live", leaseEpoch: 1, anchorEpoch: 1 },
  ...{ firstSegmentNumber: 4, lastSegmentNumber: 9, startCount: 1, anchorProposal: null, residualMs: 5 },
  ...{ initHashes: {}, message: null },
};

const setUp = (current: Anchor | null, standing: (anchor: Anchor) => Anchor | undefined = (anchor) => anchor) => {
  const said: string[] = [];
  const anchors = new Anchors(
    {
      store: {
        write: async (anchor) => {
          said.push(`write ${anchor.anchorEpoch}`);
          return standing(anchor);
        },
        writeResidual: async ({ anchorEpoch, residualMs }) => {
          said.push(`residual ${anchorEpoch} ${residualMs}`);
        },
      },
      tell: (originId, anchor) => said.push(`tell ${originId} ${anchor.offsetTicks}/${anchor.anchorEpoch}`),
    },
    current,
  );
  return { said, anchors };
};
const asking = (anchor: Anchor, anchorEpoch: number | null = null) => ({
  ...REPORT,
  anchorEpoch,
  anchorProposal: anchor,
});

test("the first proposal becomes the anchor, and its origin is told", async () => {
  const { said, anchors } = setUp(null);
  await anchors.consider(11, asking(ANCHOR));
  assert.deepEqual(said, ["write 1", "tell 11 360000/1"]);
  assert.deepEqual(anchors.current, ANCHOR);
});

test("who proposes while there is an anchor gets that one", async () => {
  const { said, anchors } = setUp(ANCHOR);
  await anchors.consider(12, asking({ ...ANCHOR, offsetTicks: 0 }));
  assert.deepEqual(said, ["tell 12 360000/1"]);
});

test("a proposal that loses against another owner's row gets what stands there", async () => {
  const { said, anchors } = setUp(null, () => ({ ...ANCHOR, offsetTicks: 720_000 }));
  await anchors.consider(11, asking(ANCHOR));
  assert.deepEqual(said, ["write 1", "tell 11 720000/1"]);
});

test("a move is a proposal of a higher anchor epoch; origins that are behind are told", async () => {
  const { said, anchors } = setUp(ANCHOR);
  const moved = { ...ANCHOR, offsetTicks: 1_080_000, anchorEpoch: 2 };
  await anchors.consider(11, asking(moved, 1));
  await anchors.consider(12, REPORT);
  await anchors.consider(11, { ...REPORT, anchorEpoch: 2 });
  assert.deepEqual(said, ["write 2", "tell 11 1080000/2", "tell 12 1080000/2"]);
});

test("the row follows the source's clock in steps of 100 ms", async () => {
  const { said, anchors } = setUp(ANCHOR);
  for (const residualMs of [80, 105, 106, 150, 206, 207]) await anchors.consider(11, { ...REPORT, residualMs });
  await anchors.consider(11, { ...REPORT, state: "slate", residualMs: 999 });
  assert.deepEqual(said, ["residual 1 106", "residual 1 207"]);
  assert.equal(anchors.current?.residualMs, 207);
});

test("a loop neither asks for an anchor nor is told one", async () => {
  const { said, anchors } = setUp(ANCHOR);
  await anchors.consider(11, { ...REPORT, anchorEpoch: null });
  assert.deepEqual(said, []);
});

test("init segments that differ from the oldest origin's are a conflict, missing ones are not", () => {
  const origins = [
    { originId: 1, hashes: {} },
    { originId: 2, hashes: { v0: "a", a0: "b" } },
    { originId: 3, hashes: { v0: "a" } },
    { originId: 4, hashes: { v0: "a", a0: "x" } },
  ];
  assert.deepEqual([...hashConflicts(origins)], [[4, "a0"]]);
  assert.deepEqual([...hashConflicts([])], []);
});
