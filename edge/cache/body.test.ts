import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteBudget, FillingBody } from "./body.ts";

const MiB = 2 ** 20;
const bodyOf = (sizeBytes: number | undefined, options: { maxBytes?: number; budget?: ByteBudget } = {}) => {
  const budget = options.budget ?? new ByteBudget(64 * MiB);
  const body = new FillingBody({ sizeBytes, maxBytes: options.maxBytes ?? 8 * MiB, budget });
  return { body, budget, refusal: body.open() };
};

test("a body of unknown size grows, and is cut to size when it is whole", () => {
  const { body, budget } = bodyOf(undefined);
  for (let piece = 0; piece < 100; piece += 1) assert.equal(body.append(Buffer.alloc(10_000, piece)), undefined);
  assert.ok(budget.usedBytes >= 1_000_000);
  body.whole();
  const whole = body.view();
  assert.equal(whole.length, 1_000_000);
  assert.equal(whole.buffer.byteLength, 1_000_000);
  assert.equal(whole[999_999], 99);
  assert.equal(budget.usedBytes, 0);
});

test("more bytes than announced, or than there may be, are refused", () => {
  const announced = bodyOf(10).body;
  assert.equal(announced.append(Buffer.alloc(10)), undefined);
  assert.equal(announced.append(Buffer.alloc(1)), "size");
  assert.equal(bodyOf(8 * MiB + 1).refusal, "size");
  const growing = bodyOf(undefined, { maxBytes: 100_000 }).body;
  assert.equal(growing.append(Buffer.alloc(100_000)), undefined);
  assert.equal(growing.append(Buffer.alloc(1)), "size");
});

test("bodies that are coming in share one budget of bytes, and give it back when they end", () => {
  const budget = new ByteBudget(100_000);
  const first = bodyOf(90_000, { budget });
  assert.equal(first.refusal, undefined);
  assert.equal(bodyOf(20_000, { budget }).refusal, "busy");
  first.body.broken();
  assert.equal(bodyOf(20_000, { budget }).refusal, undefined);
});

test("readers are woken once per turn of the event loop, and when the body ends", async () => {
  const { body } = bodyOf(30);
  const seen: string[] = [];
  const stop = body.onMore(() => seen.push(`${body.filledBytes} ${body.state}`));
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  body.append(Buffer.alloc(10));
  body.append(Buffer.alloc(10));
  await turn();
  body.append(Buffer.alloc(10));
  body.whole();
  await turn();
  stop();
  assert.deepEqual(seen, ["20 filling", "30 whole"]);
  assert.throws(() => body.broken(), /bug: a body that is whole/);
});
