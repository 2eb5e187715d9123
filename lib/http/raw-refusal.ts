/** Answers of a raw listener to what is no request, and who is one client. */
import { randomUUID } from "node:crypto";
import { ERRORS } from "../../contracts/errors.ts";
import type { HeaderLines } from "./exchange.ts";
import { PROBLEM_TYPE, problemHeaders, problemOf, type Refusal } from "./problem.ts";
import { dateLine, lineOf, secondNow, statusLine } from "./raw-lines.ts";

const titled = (name: string): string => name.replace(/\b[a-z]/g, (letter) => letter.toUpperCase());

/** A problem document and its header lines; those of `further` go over its own. */
export const problemParts = (
  refusal: Refusal,
  requestId: string,
  further: HeaderLines = "",
): { readonly status: number; readonly headers: HeaderLines; readonly body: Buffer } => {
  let headers = `Content-Type: ${PROBLEM_TYPE}\r\nX-Request-Id: ${requestId}\r\n`;
  const own: Record<string, string> = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...problemHeaders(refusal.code, refusal.data),
  };
  for (const [name, value] of Object.entries(own)) {
    if (name === "connection") continue; // the connection says itself whether it goes on
    if (lineOf(further, name) === undefined) headers += `${titled(name)}: ${value}\r\n`;
  }
  const body = Buffer.from(JSON.stringify(problemOf(refusal, requestId)));
  return { status: ERRORS[refusal.code].status, headers: headers + further, body };
};

/** The last answer of a connection, to something of which not even the method is known. */
export const refusalBytes = (refusal: Refusal): Buffer => {
  const { status, headers, body } = problemParts(refusal, randomUUID());
  const end = `Content-Length: ${body.length}\r\n${dateLine(secondNow())}Connection: close\r\n\r\n`;
  return Buffer.concat([Buffer.from(`${statusLine(status)}${headers}${end}`, "latin1"), body]);
};

/** The IPv4 address, or the 64 bits of an IPv6 one that a client can't choose freely. */
export const networkOf = (address: string): string => {
  if (!address.includes(":")) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1]) return mapped[1];
  const [left = "", right] = address.split("%", 1)[0]!.split("::");
  const groups = left === "" ? [] : left.split(":");
  const filled = right === undefined ? 0 : 8 - groups.length - (right === "" ? 0 : right.split(":").length);
  return [...groups, ...Array.from({ length: Math.max(0, filled) }, () => "0"), ...(right?.split(":") ?? [])]
    .slice(0, 4)
    .join(":");
};
