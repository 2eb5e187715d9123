/**
 * Seeded noise from origins: whatever comes, in whatever pieces, there is an answer or an error, a body that counts as
 * whole is the one that was announced, and a connection that saw anything else does not serve again.
 */
import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { type Random, seeded } from "../../../test/support/seeded.ts";
import { UpstreamError } from "../upstream.ts";
import { OriginConnection } from "./connection.ts";
import { ORIGIN_TIMEOUTS } from "./contract.ts";
import { Exchange } from "./exchange.ts";

const SEED = Number(process.env.FUZZ_SEED ?? 11);
const CASES = Number(process.env.FUZZ_CASES ?? 10_000);

const chunked = (fields = ""): string =>
  `HTTP/1.1 200 OK\r\n${fields}Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n`;
const VALID: readonly { readonly text: string; readonly body: string }[] = [
  { text: 'HTTP/1.1 200 OK\r\nContent-Length: 13\r\nETag: "a"\r\n\r\nabc0123456789', body: "abc0123456789" },
  { text: chunked(), body: "abc0123456789" },
  { text: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${chunked("X: y\r\n")}`, body: "abc0123456789" },
  { text: "HTTP/1.1 304 Not Modified\r\nContent-Length: 13\r\n\r\n", body: "" },
  { text: "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc", body: "abc" },
];
/** What changes most when it changes. */
const PARTS = [
  "\r\n",
  "\r",
  "\n",
  "\r\n\r\n",
  " ",
  ":",
  "\0",
  ";",
  "0",
  "ffffffffffffff",
  "-1",
  "13",
  "HTTP/1.1 200 OK",
];
const LINES = ["Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "X: y\r\n"];

const mutated = (random: Random, text: string): string => {
  let out = text;
  for (let left = 1 + random.int(3); left > 0; left -= 1) {
    const at = random.int(out.length + 1);
    const parts = random.int(2) === 0 ? PARTS : LINES;
    const what = random.int(4);
    if (what === 0) out = out.slice(0, at) + parts[random.int(parts.length)] + out.slice(at);
    else if (what === 1) out = out.slice(0, at) + out.slice(at + 1 + random.int(8));
    else if (what === 2) out = out.slice(0, at) + String.fromCharCode(random.int(256)) + out.slice(at + 1);
    else out = out.slice(0, at);
  }
  return out;
};

/** A socket without a network: what is pushed is what the origin sends. */
class Wire extends Duplex {
  override _read(): void {}
  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
  setTimeout(): this {
    return this;
  }
}

interface Outcome {
  readonly error: unknown;
  readonly body: string;
  readonly sizeBytes: number | undefined;
  readonly framing: string | undefined;
  readonly isKept: boolean;
}

/** Sends the text in pieces, then ends; every exchange settles by that, without any timer. */
const exchanged = async (random: Random, text: string): Promise<Outcome> => {
  const wire = new Wire();
  let isKept = false;
  // The parts of a socket that a connection uses are there.
  const connection = new OriginConnection(wire as unknown as OriginConnection["socket"], {
    kept: () => {
      isKept = true;
    },
    gone: () => {},
  });
  const exchange = new Exchange(connection, ORIGIN_TIMEOUTS, new AbortController().signal);
  let body = "";
  const heading = exchange.send({ method: "GET", head: "GET / HTTP/1.1\r\n\r\n", body: undefined }, 60_000);
  const work = heading.then(async (head) => {
    const isSlow = random.int(2) === 0;
    await exchange.read((chunk) => {
      body += chunk.toString("latin1");
      return isSlow ? new Promise((resolve) => setImmediate(resolve)) : undefined;
    });
    return head;
  });
  const settled = work.then(
    (head) => ({ error: undefined, head }),
    (error: unknown) => ({ error, head: undefined }),
  );
  const bytes = Buffer.from(text, "latin1");
  for (let at = 0; at < bytes.length && !wire.destroyed; ) {
    const size = random.int(3) === 0 ? 1 + random.int(4) : 1 + random.int(bytes.length);
    wire.push(bytes.subarray(at, at + size));
    at += size;
    if (random.int(2) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const wasKept = isKept;
  if (!wire.destroyed) wire.push(null);
  const { error, head } = await settled;
  connection.abandon();
  return { error, body, sizeBytes: head?.sizeBytes, framing: head?.framing, isKept: wasKept };
};

test("valid answers in any pieces are whole, and their connections serve again", async () => {
  const random = seeded(SEED);
  for (let n = 0; n < CASES / 10; n += 1) {
    const { text, body } = VALID[random.int(VALID.length)]!;
    const outcome = await exchanged(random, text);
    assert.deepEqual([outcome.error, outcome.body], [undefined, body], text);
  }
});

test("answers with noise in them end, as what they say they are or as an error", async () => {
  const random = seeded(SEED);
  const counts = { whole: 0, failed: 0 };
  for (let n = 0; n < CASES; n += 1) {
    const text = mutated(random, VALID[random.int(VALID.length)]!.text);
    const about = `seed ${SEED}, case ${n}: ${JSON.stringify(text)}`;
    const { error, body, sizeBytes, framing, isKept } = await exchanged(random, text);
    if (error === undefined) {
      counts.whole += 1;
      if (framing === "length") assert.equal(body.length, sizeBytes, about);
      if (framing === "chunked") assert.match(text, /\r\n0+(?:[ \t;][^\n]*)?\r\n(?:[^\r\n]+\r\n)*\r\n/, about);
    } else {
      counts.failed += 1;
      assert.ok(error instanceof UpstreamError, about);
      assert.equal(isKept, false, about);
    }
  }
  assert.ok(counts.whole > CASES / 20 && counts.failed > CASES / 4, JSON.stringify(counts));
});
