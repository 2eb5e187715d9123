import assert from "node:assert/strict";
import { test } from "node:test";
import { idAfter, pageOf, uuidAfter } from "./page.ts";

const rows = (count: number) => Array.from({ length: count }, (_, i) => ({ id: i * 3 + 1 }));
const UUIDS = ["019a0000-0000-7000-8000-000000000001", "019a0000-0000-7000-8000-000000000002"].map((id) => ({ id }));
const encoded = (text: string): string => Buffer.from(text).toString("base64url");

test("a full page that is the last one gives no cursor", () => {
  assert.deepEqual(pageOf("channels", rows(2), 2), { rows: rows(2), nextCursor: null });
  assert.deepEqual(pageOf("channels", [], 2), { rows: [], nextCursor: null });
});

test("a cursor leads to what comes after the last row of its page, whatever the kind of its ids", () => {
  const { rows: page, nextCursor } = pageOf("channels", rows(3), 2);
  assert.deepEqual(page, rows(2));
  assert.equal(idAfter("channels", nextCursor!), 4);
  assert.equal(uuidAfter("api-keys", pageOf("api-keys", UUIDS, 1).nextCursor!), UUIDS[0]?.id);
});

test("no cursor is the first page", () => {
  assert.equal(idAfter("channels", undefined), 0);
  assert.equal(uuidAfter("api-keys", undefined), null);
});

test("only cursors that this list gave out are taken", () => {
  for (const [after, list, given] of [
    [idAfter, "channels", pageOf("channels", rows(3), 2).nextCursor!],
    [uuidAfter, "api-keys", pageOf("api-keys", UUIDS, 1).nextCursor!],
  ] as const) {
    const foreign = [
      "",
      "x",
      "4",
      `${given}=`,
      `${given} `,
      `=${given}`,
      ...["-1", "0", "01", ""].map((id) => `${list}:${id}`).map(encoded),
    ];
    for (const cursor of foreign) assert.throws(() => after(list, cursor), { code: "BAD_CURSOR" }, cursor);
    for (const other of ["streamers", "", list.slice(1)])
      assert.throws(() => after(other, given), { code: "BAD_CURSOR" });
  }
});
