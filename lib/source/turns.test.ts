import assert from "node:assert/strict";
import test from "node:test";
import { quietLog } from "../log/log.ts";
import { Turns } from "./turns.ts";
import { limitsOf, Watch } from "./watch.ts";

const watching = (t: { after(clean: () => void): void }): Watch => {
  const watch = new Watch({ path: "a", signal: undefined, bytes: null }, limitsOf({ log: quietLog }, 1));
  t.after(() => watch.end());
  return watch;
};

test("turns are taken in the order in which they were wanted", async (t) => {
  const turns = new Turns(1);
  const order: string[] = [];
  await turns.take(watching(t));
  const waiting = ["one", "two"].map((name) => turns.take(watching(t)).then(() => order.push(name)));
  turns.leave();
  await waiting[0];
  assert.deepEqual(order, ["one"]);
  turns.leave();
  await waiting[1];
  assert.deepEqual(order, ["one", "two"]);
});

test("who leaves while he waits takes no turn, not even one that came in the same moment", async (t) => {
  const turns = new Turns(1);
  await turns.take(watching(t));
  const [early, late] = [watching(t), watching(t)];
  const [first, second, third] = [turns.take(early), turns.take(late), turns.take(watching(t))];
  early.abort(new Error("left"));
  await assert.rejects(first, { message: "left" });
  late.abort(new Error("left"));
  turns.leave(); // it goes to the second, who has left and does not know yet
  await assert.rejects(second, { message: "left" });
  await third;
});
