/** Header lines of an answer as fields of HTTP/2 (RFC 9113 §8.2): names in lower case, none of the connection. */
import type { HeaderLines } from "./exchange.ts";

const OF_THE_CONNECTION = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);

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
  const fields = [":status", String(status)];
  let hasDate = false;
  for (let at = 0; at < headers.length; ) {
    const next = headers.indexOf("\r\n", at);
    const end = next === -1 ? headers.length : next;
    const colon = headers.indexOf(":", at);
    if (colon > at && colon < end) {
      const name = headers.slice(at, colon).toLowerCase();
      if (name === "date") hasDate = true;
      if (!OF_THE_CONNECTION.has(name)) fields.push(name, headers.slice(colon + 1, end).trim());
    }
    at = end + 2;
  }
  if (!hasDate) fields.push("date", dateAt(atSecond));
  return fields;
};
