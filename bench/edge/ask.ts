/** Single requests whose timing and wholeness matter. */
import { Agent, get, type IncomingHttpHeaders } from "node:http";
import { bodyOf } from "./bodies.ts";

/** An answer, or what became of it: `broken` is one that its viewer can see is not whole. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly isBroken: boolean;
  /** To the first byte of the body, or the head where there is none. */
  readonly firstMs: number;
  readonly totalMs: number;
}

export interface Ask {
  readonly port: number;
  readonly path: string;
  readonly range?: string;
  readonly deadlineMs?: number;
}

const DEADLINE_MS = 20_000;

/** Never rejects: status 0 is none, in time or at all. */
export const ask = ({ port, path, range, deadlineMs = DEADLINE_MS }: Ask): Promise<Answer> =>
  new Promise((resolve) => {
    const startedAt = performance.now();
    const chunks: Buffer[] = [];
    let [status, firstMs, headers]: [number, number, IncomingHttpHeaders] = [0, -1, {}];
    const since = (): number => performance.now() - startedAt;
    const end = (isBroken: boolean): void => {
      clearTimeout(late);
      const totalMs = since();
      const first = firstMs < 0 ? totalMs : firstMs;
      resolve({ status, headers, body: Buffer.concat(chunks), isBroken, firstMs: first, totalMs });
    };
    const options = { host: "127.0.0.1", port, path, agent: new Agent(), headers: range ? { range } : {} };
    const request = get(options, (response) => {
      status = response.statusCode ?? 0;
      headers = response.headers;
      response.on("data", (chunk: Buffer) => {
        if (firstMs < 0) firstMs = since();
        chunks.push(chunk);
      });
      response.on("end", () => end(!response.complete));
      response.on("error", () => end(true));
    });
    const late = setTimeout(() => request.destroy(new Error("late")), deadlineMs);
    request.on("error", () => {
      if (status === 0) end(true); // else the response has it too
    });
  });

/** Whether an answer is 200 with exactly the origin's bytes. */
export const isWhole = ({ status, body, isBroken }: Answer, path: string, sizeBytes: number, version = 0): boolean =>
  status === 200 && !isBroken && body.equals(bodyOf(path, sizeBytes, version));
