/** What a Content-Range says (RFC 9110 §14.4). `end` is exclusive; `sizeBytes` is null when it stands as `*`. */
export type ContentRange =
  | { readonly kind: "part"; readonly start: number; readonly end: number; readonly sizeBytes: number | null }
  | { readonly kind: "unsatisfied"; readonly sizeBytes: number };

const PART = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i;
const UNSATISFIED = /^bytes \*\/(\d{1,15})$/i;

/** undefined when it is missing, of another unit, or invalid: the last position before the first or beyond the size. */
export const contentRangeOf = (value: string | undefined): ContentRange | undefined => {
  if (value === undefined) return undefined;
  const [, first = "", last = "", size = ""] = PART.exec(value) ?? [];
  if (first === "") {
    const [, whole] = UNSATISFIED.exec(value) ?? [];
    return whole === undefined ? undefined : { kind: "unsatisfied", sizeBytes: Number(whole) };
  }
  const start = Number(first);
  const end = Number(last) + 1;
  const sizeBytes = size === "*" ? null : Number(size);
  if (end <= start || (sizeBytes !== null && end > sizeBytes)) return undefined;
  return { kind: "part", start, end, sizeBytes };
};
