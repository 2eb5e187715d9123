/** Answers that are for one request alone: what may not be stored, and requests that want something done. */
import type { CacheStatusParts } from "../../domain/http-cache/cache-status.ts";
import { cacheStatus } from "../../domain/http-cache/cache-status.ts";
import { eachField, type FieldList, fieldValue } from "../../domain/http-cache/fields.ts";
import { passedFields, requestFieldsToForward } from "../../domain/http-cache/forward.ts";
import type { HeaderLines, RawExchange } from "../../lib/http/exchange.ts";
import { ByteBudget } from "../cache/body.ts";
import type { OriginAnswer } from "../origin/site/contract.ts";
import { UpstreamError } from "../origin/upstream.ts";
import type { SiteRuntime } from "./runtime.ts";

const MiB = 1024 * 1024;
/** What is read of a request's body before it is passed on; without a length only chunks may be as long. */
const REQUEST_BYTES_MAX = 16 * MiB;
const UNANNOUNCED_BYTES_MAX = MiB;
/** Of all that are read at once: who sends slowly holds its part for long. */
const REQUESTS_BYTES_MAX = 256 * MiB;

export const requestBudget = (): ByteBudget => new ByteBudget(REQUESTS_BYTES_MAX);

/** How long the body of a request may be, by what its head says. */
const mostBytes = (exchange: RawExchange): number => {
  const announced = exchange.header("content-length");
  if (announced !== undefined) return Math.min(Number(announced), REQUEST_BYTES_MAX);
  return exchange.header("transfer-encoding") === undefined ? UNANNOUNCED_BYTES_MAX : REQUEST_BYTES_MAX;
};

export interface Passing {
  readonly runtime: SiteRuntime;
  readonly target: string;
  readonly key: string;
  /** Of the request. */
  readonly fields: FieldList;
  readonly name: string;
  /** Of the bodies of requests. */
  readonly budget: ByteBudget;
}

/** Asks the origin as the client asked. Rejects as origins do, and with what is wrong with the request's body. */
export const passOn = async (exchange: RawExchange, passing: Passing): Promise<OriginAnswer> => {
  const { method } = exchange;
  if (method === "GET" || method === "HEAD") return ask(exchange, passing, undefined);
  const { budget } = passing;
  const heldBytes = mostBytes(exchange);
  if (!budget.take(heldBytes)) throw new UpstreamError("busy");
  try {
    // One that is longer than announced is none, and one that is too long has announced more than it may.
    return await ask(exchange, passing, await exchange.readBody(Math.max(heldBytes, UNANNOUNCED_BYTES_MAX)));
  } finally {
    budget.giveBack(heldBytes);
  }
};

const ask = (exchange: RawExchange, passing: Passing, body: Buffer | undefined): Promise<OriginAnswer> => {
  const { method } = exchange;
  const { runtime, target, key, name } = passing;
  const fields = requestFieldsToForward(passing.fields, { via: name, passThrough: true });
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
