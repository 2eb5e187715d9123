/** What the head of an HTTP answer says of an object: its size, its version, and which of its bytes follow. Pure. */
import type { IncomingHttpHeaders } from "node:http";
import type { ErrorCode } from "../../contracts/errors.ts";
import type { SourceStat } from "./port.ts";
import { versionOf } from "./versions.ts";

/** A Content-Range in bytes (RFC 9110 §14.4); `range` is null in a 416, `totalBytes` where the server does not know. */
export interface ContentRange {
  readonly range: { readonly start: number; readonly end: number } | null;
  readonly totalBytes: number | null;
}

/** undefined: there is none, or one that makes no sense. `end` is inclusive. */
export const parseContentRange = (value: string | undefined): ContentRange | undefined => {
  const match = /^bytes (?:(\d{1,15})-(\d{1,15})|\*)\/(\d{1,15}|\*)$/i.exec(value?.trim() ?? "");
  if (!match) return undefined;
  const [, start, end, total] = match;
  const totalBytes = total === "*" ? null : Number(total);
  if (start === undefined || end === undefined) return { range: null, totalBytes };
  const range = { start: Number(start), end: Number(end) };
  const makesSense = range.start <= range.end && (totalBytes === null || range.end < totalBytes);
  return makesSense ? { range, totalBytes } : undefined;
};

/** Content-Length; null where the body ends by itself. */
export const lengthOf = ({ "content-length": length }: IncomingHttpHeaders): number | null =>
  length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : null;

/** An entity tag that is good for byte ranges: a weak one is not (RFC 9110 §13.1.1, §13.1.5). */
const strongEtag = ({ etag }: IncomingHttpHeaders): string | null =>
  etag !== undefined && /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(etag) ? etag : null;

/** The stat of an object of `sizeBytes`; without a strong tag its version is made of size, time and weak tag. */
export const statOfAnswer = (headers: IncomingHttpHeaders, sizeBytes: number): SourceStat => {
  const etag = strongEtag(headers);
  const time = Date.parse(headers["last-modified"] ?? "");
  const modifiedMs = Number.isNaN(time) ? null : time;
  const version =
    etag === null ? versionOf(sizeBytes, modifiedMs, headers.etag ?? null) : versionOf("etag", etag, sizeBytes);
  return { sizeBytes, modifiedMs, etag, version };
};

/** The error that a status stands for. */
export const codeOfStatus = (status: number): ErrorCode => {
  switch (status) {
    case 404:
    case 410:
      return "SOURCE_NOT_FOUND";
    case 401:
    case 403:
    case 407:
      return "SOURCE_DENIED";
    case 408:
    case 504:
      return "SOURCE_TIMEOUT";
    case 412:
      return "SOURCE_CHANGED";
    default:
      return "SOURCE_FAILED";
  }
};
