import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { channelOf, edgeUnderTest, FOLDER, get, patterned } from "../../test/origin/edge.ts";
import { mediaStandIn } from "../../test/origin/stand-in.ts";

const SEGMENT = `${FOLDER}/v0/5.m4s`;

/** The parts of a multipart body as Python's email package reads them: RFC 2046 by somebody else's code. */
const JUDGE = `
import sys, email, email.policy, json, hashlib
raw = b"Content-Type: " + sys.argv[1].encode() + b"\\r\\n\\r\\n" + sys.stdin.buffer.read()
message = email.message_from_bytes(raw, policy=email.policy.HTTP)
print(json.dumps([[p["Content-Range"], p["Content-Type"], hashlib.sha1(p.get_payload(decode=True)).hexdigest()]
  for p in message.iter_parts()]))
`;

test("several ranges of a stored object are the parts of one answer, as another program reads them", async (t) => {
  const python = await promisify(execFile)("python3", ["--version"]).catch(() => undefined);
  if (!python) return t.skip("skipped: needs python3");
  const origin = await mediaStandIn(t);
  const body = patterned(10_000);
  origin.items.set(SEGMENT, { body });
  const edge = await edgeUnderTest(t, { channels: [channelOf([origin])] });
  const url = `${edge.url}${SEGMENT}`;
  await get(url);
  const answer = await get(url, { headers: { range: "bytes=0-99, 5000-5009,-7" } });
  assert.equal(answer.status, 206);
  assert.equal(Number(answer.headers["content-length"]), answer.body.length);
  const judging = promisify(execFile)("python3", ["-c", JUDGE, String(answer.headers["content-type"])]);
  judging.child.stdin?.end(answer.body);
  const { createHash } = await import("node:crypto");
  const sum = (start: number, end: number): string =>
    createHash("sha1").update(body.subarray(start, end)).digest("hex");
  assert.deepEqual(JSON.parse((await judging).stdout), [
    ["bytes 0-99/10000", "video/mp4", sum(0, 100)],
    ["bytes 5000-5009/10000", "video/mp4", sum(5_000, 5_010)],
    ["bytes 9993-9999/10000", "video/mp4", sum(9_993, 10_000)],
  ]);
});

test("ranges that lie close, overlap or are too many get one range or the whole", async (t) => {
  const origin = await mediaStandIn(t);
  const body = patterned(10_000);
  origin.items.set(SEGMENT, { body });
  const edge = await edgeUnderTest(t, { channels: [channelOf([origin])] });
  const url = `${edge.url}${SEGMENT}`;
  await get(url);
  const many = Array.from({ length: 50 }, (_, index) => `${index * 200}-${index * 200}`).join();
  for (const range of ["bytes=0-1,2-3", "bytes=0-,0-,0-,0-", `bytes=${many}`, "bytes=0-1,x"]) {
    const answer = await get(url, { headers: { range } });
    assert.equal(answer.status, 200, range);
    assert.ok(answer.body.equals(body), range);
  }
});

test("ranges that are large together get the whole, of which no viewer has a copy of its own", async (t) => {
  const origin = await mediaStandIn(t);
  const body = patterned(600_000);
  origin.items.set(SEGMENT, { body });
  const edge = await edgeUnderTest(t, { channels: [channelOf([origin])] });
  const url = `${edge.url}${SEGMENT}`;
  await get(url);
  const small = await get(url, { headers: { range: "bytes=0-99999,500000-599999" } });
  assert.deepEqual([small.status, small.body.length > 200_000], [206, true]);
  const large = await get(url, { headers: { range: "bytes=0-199999,400000-599999" } });
  assert.equal(large.status, 200);
  assert.ok(large.body.equals(body));
});
