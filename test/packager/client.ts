/** Asks a packager as a player does, and holds each answer to what HTTP asks of it. */
import assert from "node:assert/strict";

export interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly bytes: Buffer;
}

/** Fields that differ from answer to answer. */
const PASSING = new Set(["date", "connection", "keep-alive"]);

const headersOf = (headers: Headers): ReadonlyMap<string, string> =>
  new Map([...headers].filter(([name]) => !PASSING.has(name)));

const ask = async (url: string, init: RequestInit = {}): Promise<Answer> => {
  const answer = await fetch(url, init).catch((cause: unknown) => {
    throw new Error(`${url} was not answered`, { cause });
  });
  const bytes = Buffer.from(
    await answer.arrayBuffer().catch((cause: unknown) => {
      throw new Error(`${url} was cut off`, { cause });
    }),
  );
  return { status: answer.status, headers: headersOf(answer.headers), bytes };
};

/** The answer, whatever it is; one that fails is a problem document (RFC 9457), and never the server's fault. */
export const answerOf = async (url: string): Promise<Answer> => {
  const answer = await ask(url);
  assert.ok(answer.status < 500, `${url}: ${answer.status} ${answer.bytes.subarray(0, 500)}`);
  if (answer.status >= 400) {
    assert.equal(answer.headers.get("content-type"), "application/problem+json", url);
    const problem = JSON.parse(answer.bytes.toString()) as { readonly status?: unknown };
    assert.equal(problem.status, answer.status, url);
  }
  return answer;
};

/** The whole of what is there: as many bytes as its Content-Length says, unless it is told in chunks. */
export const got = async (url: string): Promise<Answer> => {
  const answer = await answerOf(url);
  assert.equal(answer.status, 200, `${url}: ${answer.bytes.subarray(0, 500)}`);
  const told = answer.headers.has("transfer-encoding") ? undefined : String(answer.bytes.length);
  assert.equal(answer.headers.get("content-length"), told, url);
  return answer;
};

export const textOf = async (url: string): Promise<string> => (await got(url)).bytes.toString();

/** RFC 9110 §9.3.2: HEAD has the fields of GET and no content. */
export const assertHead = async (url: string, { headers }: Answer): Promise<void> => {
  const head = await ask(url, { method: "HEAD" });
  assert.equal(head.status, 200, url);
  assert.equal(head.bytes.length, 0, url);
  assert.deepEqual([...head.headers].sort(), [...headers].sort(), url);
};

/** RFC 9110 §14.2: parts of it, an uneven one among them, join to the whole. */
export const assertRanges = async (url: string, { bytes }: Answer): Promise<void> => {
  const places = [0, 1, Math.floor(bytes.length / 3), Math.floor((bytes.length * 2) / 3) + 1, bytes.length];
  const parts: Buffer[] = [];
  for (const [index, end] of places.slice(1).entries()) {
    const start = places[index] ?? 0;
    const part = await ask(url, { headers: { range: `bytes=${start}-${end - 1}` } });
    assert.equal(part.status, 206, url);
    assert.equal(part.headers.get("content-range"), `bytes ${start}-${end - 1}/${bytes.length}`, url);
    assert.equal(part.headers.get("content-length"), String(end - start), url);
    parts.push(part.bytes);
  }
  assert.ok(Buffer.concat(parts).equals(bytes), `${url}: the parts are not the whole`);
};
