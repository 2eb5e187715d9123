/** AES-128 where no thread can be had. */
import assert from "node:assert/strict";
import { createDecipheriv } from "node:crypto";
import { test } from "node:test";
import { quietLog } from "../../lib/log/log.ts";
import type { SourceObject } from "../../lib/source/port.ts";
import { encryptedRecipe } from "./encrypted.ts";
import { type SegmentRecipe, Workshop } from "./workshop.ts";

const CLEAR = Buffer.alloc(1_200_003, 7);
const KEY = { key: Buffer.alloc(16, 1), iv: Buffer.alloc(16, 2) };

/** Needs nothing of its file. */
const clear: SegmentRecipe = {
  exactBytes: CLEAR.length,
  sourceBytes: CLEAR.length,
  sourceStepBytes: 0,
  madeStepBytes: 0,
  isInFileOrder: true,
  open: () => {
    let at = 0;
    return {
      get isDone() {
        return at === CLEAR.length;
      },
      needsSource: false,
      nextSource: () => [],
      releaseSource: () => {},
      fill: ({ bytes }, _areaAt, out) => {
        const made = CLEAR.copy(bytes, out.at, at, Math.min(CLEAR.length, at + out.capacity));
        at += made;
        return made;
      },
    };
  },
};

test("a segment is encrypted without a thread, in pieces, and all memory is free again", async () => {
  const workshop = new Workshop({ slotCount: 1, isLocal: true, encryptsWhole: true, log: quietLog });
  const before = { slots: workshop.freeSlots, windows: workshop.freeWindows };
  await workshop.stop(); // the threads' end
  const recipe = encryptedRecipe(clear, KEY);
  const object = {} as SourceObject; // nothing is read of it
  assert.equal(await workshop.whole("key", object, recipe), null);
  const got: Buffer[] = [];
  const writer = {
    write: async (bytes: Uint8Array) => void got.push(Buffer.from(bytes)),
    offer: () => assert.fail("not waited for"),
    onDrain: () => {},
    end: async () => {},
    abort: () => assert.fail("aborted"),
  };
  await workshop.inPieces(object, recipe, () => ({ start: 0, end: recipe.exactBytes ?? 0, writer }));
  const decipher = createDecipheriv("aes-128-cbc", KEY.key, KEY.iv);
  assert.deepEqual(Buffer.concat([decipher.update(Buffer.concat(got)), decipher.final()]), CLEAR);
  assert.deepEqual({ slots: workshop.freeSlots, windows: workshop.freeWindows }, before);
});
