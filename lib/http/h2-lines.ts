/** Header lines of an answer as fields of HTTP/2 (RFC 9113 §8.2): names in lower case, none of the connection. */
import type { HeaderLines } from "./exchange.ts";

const OF_THE_CONNECTION = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);

/**
 * Fields that node:http2 sends once only: it throws away the whole answer otherwise. An origin that repeats one says
 * nothing with the second (RFC 9110 §5.3: only lists may be repeated).
 */
const SENT_ONCE = new Set([
  ...["access-control-allow-credentials", "access-control-max-age", "access-control-request-method", "age"],
  ...["authorization", "content-encoding", "content-language", "content-length", "content-location", "content-md5"],
  ...["content-range", "content-type", "date", "dnt", "etag", "expires", "from", "host", "if-match"],
  ...["if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "last-modified", "location"],
  ...["max-forwards", "proxy-authorization", "range", "referer", "retry-after", "tk", "upgrade-insecure-requests"],
  ...["user-agent", "x-content-type-options"],
]);
const STATUS_MAX = 599;

let second = -1;
let date = "";

/** The Date field's value (RFC 9110 §6.6.1), made once a second. */
const dateAt = (atSecond: number): string => {
  if (atSecond !== second) {
    second = atSecond;
    date = new Date(atSecond * 1_000).toUTCString();
  }
  return date;
};

/** `:status`, the lines' fields in their order and a Date: name, value, name, value … */
export const h2Fields = (status: number, headers: HeaderLines, atSecond: number): string[] => {
  // node:http2 takes no status above it; to clients those are server errors (RFC 9110 §15).
  const fields = [":status", String(status > STATUS_MAX ? 500 : status)];
  const once = new Set<string>();
  let hasDate = false;
  for (let at = 0; at < headers.length; ) {
    const next = headers.indexOf("\r\n", at);
    const end = next === -1 ? headers.length : next;
    const colon = headers.indexOf(":", at);
    if (colon > at && colon < end) {
      const name = headers.slice(at, colon).toLowerCase();
      if (name === "date") hasDate = true;
      const isRepeated = once.has(name);
      if (SENT_ONCE.has(name)) once.add(name);
      if (!isRepeated && !OF_THE_CONNECTION.has(name)) fields.push(name, headers.slice(colon + 1, end).trim());
    }
    at = end + 2;
  }
  if (!hasDate) fields.push("date", dateAt(atSecond));
  return fields;
};
