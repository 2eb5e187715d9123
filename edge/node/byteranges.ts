/** Several ranges of a whole object in one answer (RFC 9110 §15.3.7.2). */
import { randomUUID } from "node:crypto";
import { multipartBytes, multipartType, parseRanges, partHead, partsEnd } from "../../domain/http-cache/ranges.ts";
import type { HeaderLines, RawExchange } from "../../lib/http/exchange.ts";
import { lineOf } from "../../lib/http/raw-lines.ts";

/** Parts are copied into one piece of memory for each viewer, who may take it slowly: the whole is only referred to. */
const PARTS_BYTES_MAX = 256 * 1024;

const CONDITIONS = ["if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
const CONTENT_TYPE = /^content-type:.*\r\n/im;

/**
 * Answers a GET of several ranges that stand apart; false where another answer does: one range, the whole, ranges that
 * are large together, or a request with conditions, which get the whole (RFC 9110 §14.2: "A server MAY ignore the
 * Range header field").
 */
export const sendRanges = (exchange: RawExchange, lines: HeaderLines, body: Buffer): boolean => {
  if (exchange.method !== "GET" || !exchange.isConditional) return false;
  const range = exchange.header("range");
  if (!range?.includes(",") || CONDITIONS.some((name) => exchange.header(name) !== undefined)) return false;
  const wanted = parseRanges(range, body.length);
  if (wanted.kind !== "parts" || wanted.parts.length < 2) return false;
  const boundary = randomUUID().replaceAll("-", "");
  const multipart = { boundary, contentType: lineOf(lines, "content-type"), sizeBytes: body.length };
  const own = `${lines.replace(CONTENT_TYPE, "")}Content-Type: ${multipartType(boundary)}\r\n`;
  const sizeBytes = multipartBytes(multipart, wanted.parts);
  if (sizeBytes > PARTS_BYTES_MAX) return false;
  const bytes = Buffer.allocUnsafe(sizeBytes);
  let at = 0;
  for (const part of wanted.parts) {
    at += bytes.write(partHead(multipart, part), at, "latin1");
    at += body.copy(bytes, at, part.start, part.end);
  }
  bytes.write(partsEnd(multipart), at, "latin1");
  exchange.send(206, own, bytes);
  return true;
};
