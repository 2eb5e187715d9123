/** Which answer the conditions and the range of a request make of a representation. Pure. */
import { type Conditions, checkConditions, chooseRange } from "./conditions.ts";
import type { HeaderLines, RawRequest } from "./exchange.ts";
import { lineOf, withoutContent, withoutValidity } from "./raw-lines.ts";

/** `end` is exclusive; an answer without content has an empty part. */
export interface AnswerChoice {
  readonly status: 200 | 206 | 304 | 412 | 416;
  readonly headers: HeaderLines;
  readonly start: number;
  readonly end: number;
}

const conditionsOf = (request: Pick<RawRequest, "header">): Conditions => ({
  ifMatch: request.header("if-match"),
  ifNoneMatch: request.header("if-none-match"),
  ifModifiedSince: request.header("if-modified-since"),
  ifUnmodifiedSince: request.header("if-unmodified-since"),
  ifRange: request.header("if-range"),
  range: request.header("range"),
});

/** Of GET or HEAD for something of `sizeBytes` whose ETag and Last-Modified are in `headers` (RFC 9110 §13, §14). */
export const chooseAnswer = (
  request: Pick<RawRequest, "header" | "method">,
  headers: HeaderLines,
  sizeBytes: number,
): AnswerChoice => {
  const conditions = conditionsOf(request);
  const validators = { etag: lineOf(headers, "etag"), lastModified: lineOf(headers, "last-modified") };
  const verdict = checkConditions(conditions, validators);
  if (verdict === "not-modified") return { status: 304, headers: withoutContent(headers), start: 0, end: 0 };
  if (verdict === "failed") return { status: 412, headers: withoutValidity(headers), start: 0, end: 0 };
  // RFC 9110 §14.2: a range counts on GET alone.
  const range = request.method === "GET" ? chooseRange(conditions, validators, sizeBytes) : { kind: "whole" as const };
  if (range.kind === "whole") return { status: 200, headers, start: 0, end: sizeBytes };
  if (range.kind === "unsatisfiable") {
    const lines = `${withoutValidity(headers)}Content-Range: bytes */${sizeBytes}\r\n`;
    return { status: 416, headers: lines, start: 0, end: 0 };
  }
  const { start, end } = range;
  const lines = `${headers}Content-Range: bytes ${start}-${end}/${sizeBytes}\r\n`;
  return { status: 206, headers: lines, start, end: end + 1 };
};
