import assert from "node:assert/strict";
import { test } from "node:test";
import { RequestBody } from "./raw-body.ts";
import { CHUNKED } from "./raw-head.ts";

const LIMIT = 1_000;

/** Feeds the pieces; gives the content, or the code of the fault, and how much of the last piece was left. */
const collected = async (bodyBytes: number, pieces: readonly string[], limitBytes = LIMIT) => {
  const body = new RequestBody(bodyBytes);
  const collecting = body.collect(limitBytes).then(
    (content) => content.toString("latin1"),
    (error: { code: string }) => error.code,
  );
  let left = "";
  for (const piece of pieces) {
    const bytes = Buffer.from(left + piece, "latin1");
    const to = body.isDone || body.fault ? 0 : body.read(bytes, 0);
    left = bytes.subarray(to).toString("latin1");
  }
  return { content: body.isDone || body.fault ? await collecting : undefined, left };
};

test("a body of a length ends where the length says, and what is behind it is not its", async () => {
  assert.deepEqual(await collected(5, ["hel", "loGET"]), { content: "hello", left: "GET" });
  assert.deepEqual(await collected(5, ["hell"]), { content: undefined, left: "" });
});

test("chunks are put together, extensions and trailers dropped, wherever they are cut", async () => {
  const text = '3;name="a b"\r\nabc\r\n00A\r\n0123456789\r\n0;last\r\nX-Trailer: 1\r\nY: 2\r\n\r\nGET';
  const whole = { content: "abc0123456789", left: "GET" };
  assert.deepEqual(await collected(CHUNKED, [text]), whole);
  assert.deepEqual(await collected(CHUNKED, [...text]), whole);
  for (let cut = 1; cut < text.length; cut += 1) {
    assert.deepEqual(await collected(CHUNKED, [text.slice(0, cut), text.slice(cut)]), whole, `${cut}`);
  }
  assert.deepEqual(await collected(CHUNKED, ["0\r\n\r\n"]), { content: "", left: "" });
});

test("chunks that two servers could read differently are refused", async () => {
  const cases = [
    "\r\nabc\r\n",
    "g\r\n",
    "-1\r\n",
    "+1\r\n",
    "0x1\r\n",
    " 3\r\nabc\r\n",
    "3 \r\nabc\r\n",
    "3\nabc\r\n",
    "3\rabc\r\n",
    "3\r\nabcd\r\n",
    "3\r\nabc\n",
    "3\r\nabc\rX",
    "3\r\nabcX",
    ";a\r\n",
    "3;a\nb\r\nabc\r\n",
    "3;\0\r\nabc\r\n",
    "123456789\r\n",
    "000000000\r\n",
    "0\r\nX: 1\n\r\n",
    "0\r\nX: \0\r\n\r\n",
    "0\r\n\rX",
    `0\r\n${"X: 1\r\n".repeat(4_000)}`,
    `3;${"x".repeat(9_000)}`,
    `${`1;${"x".repeat(1_000)}\r\na\r\n`.repeat(9)}`,
  ];
  for (const text of cases) {
    const { content } = await collected(CHUNKED, [text]);
    assert.equal(content, "REQUEST_MALFORMED", JSON.stringify(text.slice(0, 40)));
  }
});

test("a body above the limit is refused: before it comes where its length is told, else where it passes", async () => {
  assert.equal((await collected(LIMIT, ["x".repeat(LIMIT)])).content, "x".repeat(LIMIT));
  assert.equal((await collected(LIMIT + 1, [])).content, "BODY_TOO_LARGE");
  const chunk = (bytes: number) => `${bytes.toString(16)}\r\n${"x".repeat(bytes)}\r\n`;
  assert.equal((await collected(CHUNKED, [`${chunk(600)}${chunk(400)}0\r\n\r\n`])).content, "x".repeat(LIMIT));
  assert.equal((await collected(CHUNKED, [`${chunk(600)}${chunk(401)}`])).content, "BODY_TOO_LARGE");
  assert.equal((await collected(CHUNKED, ["fffffff\r\n"])).content, undefined);
});

test("a body that is dropped is read to its end, unless it is too much", () => {
  const bytes = Buffer.from("helloGET");
  const body = new RequestBody(5);
  body.drop(5);
  assert.deepEqual([body.read(bytes, 0), body.isDone, body.fault], [5, true, undefined]);
  const endless = new RequestBody(CHUNKED);
  endless.drop(10);
  endless.read(Buffer.from("a\r\n0123456789\r\n"), 0);
  assert.equal(endless.fault?.code, "BODY_TOO_LARGE");
});
