/** Lines of the heads of answers. */
import { STATUS_CODES } from "node:http";
import type { HeaderLines } from "./exchange.ts";

const statusLines: string[] = [];

/** `HTTP/1.1 206 Partial Content` and its line end; the version is the server's own (RFC 9110 §2.5). */
export const statusLine = (status: number): string => {
  statusLines[status] ??= `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`;
  return statusLines[status]!;
};

let second = -1;
let line = "";

/** The wall clock's second. */
export const secondNow = (): number => Math.floor(Date.now() / 1_000);

/** The Date field (RFC 9110 §6.6.1), made once a second. */
export const dateLine = (atSecond: number): string => {
  if (atSecond !== second) {
    second = atSecond;
    line = `Date: ${new Date(atSecond * 1_000).toUTCString()}\r\n`;
  }
  return line;
};

/** The Date line that has to be added to these: none where they begin with one. */
export const dateFor = (headers: HeaderLines, atSecond: number): string =>
  headers.startsWith("Date: ") ? "" : dateLine(atSecond);

/** The first value of a field among header lines, by its name in lower case. */
export const lineOf = (headers: HeaderLines, name: string): string | undefined => {
  const end = name.length;
  for (let at = 0; at < headers.length; ) {
    const next = headers.indexOf("\r\n", at);
    if (next === -1) return undefined;
    if (headers.charCodeAt(at + end) === 0x3a && headers.slice(at, at + end).toLowerCase() === name) {
      return headers.slice(at + end + 1, next).trim();
    }
    at = next + 2;
  }
  return undefined;
};

const ABOUT_CONTENT = /^content-(?:type|encoding|language|length|range):.*\r\n/gim;
const ABOUT_VALIDITY = /^(?:etag|last-modified|cache-control|expires|age):.*\r\n/gim;

/** Header lines for a 304: what describes the content stays away (RFC 9110 §15.4.5). */
export const withoutContent = (headers: HeaderLines): HeaderLines => headers.replace(ABOUT_CONTENT, "");

/** Header lines for a refusal in place of the content: who may read it stays, what it is and how long it holds goes. */
export const withoutValidity = (headers: HeaderLines): HeaderLines =>
  withoutContent(headers).replace(ABOUT_VALIDITY, "");
