/** Several ranges in one request (RFC 9110 §14.2, §15.3.7.2, §14.6). Pure. */

/** Bytes from `start` to `end` (exclusive). */
export interface Piece {
  readonly start: number;
  readonly end: number;
}

/** `whole`: the Range is ignored. `parts`: in the order of their starts, none touching another. */
export type Ranges =
  | { readonly kind: "whole" }
  | { readonly kind: "unsatisfiable" }
  | { readonly kind: "parts"; readonly parts: readonly Piece[] };

const PARTS_MAX = 8;
/** Asked for, before they are joined: a header of thousands is not looked through. */
const SPECS_MAX = 64;
/**
 * About what the head of a part takes: "a server MAY coalesce … separated by a gap that is smaller than the overhead".
 */
const GAP_BYTES = 80;
/** RFC 9110 §14.2: "two or more overlapping ranges" beyond what honest clients send. */
const OVERLAPS_MAX = 1;
const SPEC = /^(\d{0,15})-(\d{0,15})$/;
const WHOLE: Ranges = { kind: "whole" };

/** undefined: bad syntax; null: a range that lies behind the end. */
const pieceOf = (spec: string, sizeBytes: number): Piece | null | undefined => {
  const [, first, last] = SPEC.exec(spec) ?? [];
  if (first === undefined || last === undefined || (first === "" && last === "")) return undefined;
  if (first === "") {
    const suffix = Math.min(Number(last), sizeBytes);
    return suffix === 0 ? null : { start: sizeBytes - suffix, end: sizeBytes };
  }
  const start = Number(first);
  if (last !== "" && Number(last) < start) return undefined;
  if (start >= sizeBytes) return null;
  return { start, end: last === "" ? sizeBytes : Math.min(Number(last) + 1, sizeBytes) };
};

interface Coalesced {
  readonly parts: readonly Piece[];
  readonly overlaps: number;
}
const coalesced = (pieces: readonly Piece[]): Coalesced => {
  const parts: Piece[] = [];
  let overlaps = 0;
  for (const { start, end } of [...pieces].sort((a, b) => a.start - b.start)) {
    const last = parts.at(-1);
    if (last === undefined || start > last.end + GAP_BYTES) {
      parts.push({ start, end });
      continue;
    }
    if (start < last.end) overlaps += 1;
    parts[parts.length - 1] = { start: last.start, end: Math.max(last.end, end) };
  }
  return { parts, overlaps };
};

/**
 * What a Range header asks of a representation of `sizeBytes`. Ranges that lie close are joined. The whole is sent for
 * other units, bad syntax, more than 8 parts and for overlapping ranges, of which there is no honest use (RFC 9110
 * §14.2, §17.15).
 */
export const parseRanges = (header: string, sizeBytes: number): Ranges => {
  const [, list] = /^bytes=(.*)$/is.exec(header.trim()) ?? [];
  if (list === undefined) return WHOLE;
  const specs = list.split(",", SPECS_MAX + 1).map((spec) => spec.trim());
  const asked = specs.filter((spec) => spec !== "");
  if (asked.length === 0 || specs.length > SPECS_MAX) return WHOLE;
  const pieces: Piece[] = [];
  for (const spec of asked) {
    const piece = pieceOf(spec, sizeBytes);
    if (piece === undefined) return WHOLE;
    if (piece !== null) pieces.push(piece);
  }
  if (pieces.length === 0) return { kind: "unsatisfiable" };
  const { parts, overlaps } = coalesced(pieces);
  return parts.length > PARTS_MAX || overlaps > OVERLAPS_MAX ? WHOLE : { kind: "parts", parts };
};

/** What a multipart/byteranges body is made of (RFC 9110 §14.6). */
export interface Multipart {
  /** 1 to 70 characters of a token that no part holds: long and random. */
  readonly boundary: string;
  /** Content-Type of the representation, when it has one. */
  readonly contentType: string | undefined;
  readonly sizeBytes: number;
}

/** Content-Type of the answer. */
export const multipartType = (boundary: string): string => `multipart/byteranges; boundary=${boundary}`;

/** The text in front of a part's bytes. The CRLF at its start ends the part before it, or is the preamble. */
export const partHead = ({ boundary, contentType, sizeBytes }: Multipart, { start, end }: Piece): string => {
  const type = contentType === undefined ? "" : `Content-Type: ${contentType}\r\n`;
  return `\r\n--${boundary}\r\n${type}Content-Range: bytes ${start}-${end - 1}/${sizeBytes}\r\n\r\n`;
};

/** The text behind the last part. */
export const partsEnd = ({ boundary }: Multipart): string => `\r\n--${boundary}--\r\n`;

/** Length of the whole body; field values are latin1, one byte for each character. */
export const multipartBytes = (multipart: Multipart, parts: readonly Piece[]): number =>
  parts.reduce(
    (sum, part) => sum + partHead(multipart, part).length + part.end - part.start,
    partsEnd(multipart).length,
  );
