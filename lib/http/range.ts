/** One byte range of a Range header (RFC 9110 §14.1.2), for a representation of `sizeBytes`. `end` is inclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** undefined: no range that we serve (another unit, several ranges, bad syntax): the whole is sent. */
export const parseRange = (header: string, sizeBytes: number): ByteRange | "unsatisfiable" | undefined => {
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.trim()) ?? [];
  if (first === "" && last === "") return undefined;
  if (first === "") {
    const suffix = Math.min(Number(last), sizeBytes);
    return suffix === 0 ? "unsatisfiable" : { start: sizeBytes - suffix, end: sizeBytes - 1 };
  }
  const start = Number(first);
  if (last !== "" && Number(last) < start) return undefined;
  if (start >= sizeBytes) return "unsatisfiable";
  return { start, end: last === "" ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) };
};
