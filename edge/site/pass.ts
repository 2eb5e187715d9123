/** Answers that are for one request alone: what may not be stored, and requests that want something done. */
import type { CacheStatusParts } from "../../domain/http-cache/cache-status.ts";
import { cacheStatus } from "../../domain/http-cache/cache-status.ts";
import { eachField, fieldValue } from "../../domain/http-cache/fields.ts";
import { passedFields, requestFieldsToForward } from "../../domain/http-cache/forward.ts";
import type { HeaderLines, RawExchange } from "../../lib/http/exchange.ts";
import type { OriginAnswer } from "../origin/site/contract.ts";
import type { SiteRuntime } from "./runtime.ts";

/** What is read of a request's body before it is passed on. */
const REQUEST_BYTES_MAX = 16 * 1024 * 1024;

export interface Passing {
  readonly runtime: SiteRuntime;
  readonly target: string;
  readonly key: string;
  readonly name: string;
}

/** Asks the origin as the client asked. Rejects as origins do, and with what is wrong with the request's body. */
export const passOn = async (exchange: RawExchange, { runtime, target, key, name }: Passing): Promise<OriginAnswer> => {
  const { method } = exchange;
  const hasBody = method !== "GET" && method !== "HEAD";
  const body = hasBody ? await exchange.readBody(REQUEST_BYTES_MAX) : undefined;
  const fields = requestFieldsToForward(exchange.fields, { via: name, passThrough: true });
  runtime.account.countOrigin(1, 0);
  return runtime.origins.ask(
    { method, target, fields, key, ...(body === undefined ? {} : { body }) },
    { signal: exchange.signal },
  );
};

const OURS = new Set(["content-length", "cache-status", "date", "connection"]);

const linesOf = (answer: OriginAnswer, via: string, status: CacheStatusParts): HeaderLines => {
  const date = fieldValue(answer.fields, "date");
  let lines = date === undefined ? "" : `Date: ${date}\r\n`;
  eachField(passedFields(answer.fields), (name, lower, value) => {
    if (!OURS.has(lower)) lines += `${name}: ${value}\r\n`;
  });
  const previous = fieldValue(answer.fields, "cache-status");
  return `${lines}Via: ${via}\r\nCache-Status: ${cacheStatus({ ...status, previous })}\r\n`;
};

export interface Given {
  readonly via: string;
  readonly status: CacheStatusParts;
  /** Told of what came from the origin. */
  readonly came: (bytes: number) => void;
}

/** Gives the origin's answer to the client as it comes, no faster than the client takes it. */
export const giveOn = async (exchange: RawExchange, answer: OriginAnswer, given: Given): Promise<void> => {
  const announced = fieldValue(answer.fields, "content-length");
  const isHead = exchange.method === "HEAD";
  const sizeBytes = isHead && /^\d{1,15}$/.test(announced ?? "") ? Number(announced) : (answer.sizeBytes ?? null);
  const writer = exchange.begin(answer.status, linesOf(answer, given.via, given.status), sizeBytes);
  try {
    if (isHead) answer.drop();
    else {
      await answer.read((chunk) => {
        given.came(chunk.length);
        return writer.write(chunk);
      });
    }
    await writer.end();
  } catch {
    // The client has gone, or the origin broke off: neither may look like the end of the body.
    answer.drop();
    writer.abort();
  }
};
