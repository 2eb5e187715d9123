/** Paths below the packager's prefix: percent-decoding and its inverse (RFC 3986 §2.1, §3.3). */

/** Why a request is not answered; the code is one of the error catalogue. */
export interface PathRefusal {
  readonly refusal: "PATH_REFUSED" | "NOT_FOUND";
  readonly reason: string;
}

/** 100 bitrates of some 20 characters, percent-encoded, with their folder. */
const RAW_LENGTH_MAX = 8_192;
/** Decoded characters of one path in a source: what S3 (1,024 bytes) and most file systems take at most. */
const SOURCE_PATH_LENGTH_MAX = 1_024;
const FORBIDDEN_ESCAPE = /%(?:2f|5c)/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f]/;

/** A refusal of a path that no name may have. */
export const refused = (reason: string): PathRefusal => ({ refusal: "PATH_REFUSED", reason });
/** A refusal of a path at which there is nothing. */
export const notFound = (reason: string): PathRefusal => ({ refusal: "NOT_FOUND", reason });
/** Tells a refusal from what was read. */
export const isRefusal = (value: unknown): value is PathRefusal =>
  typeof value === "object" && value !== null && "refusal" in value;

/** What is wrong with one decoded part of a path; null: nothing. */
const partProblem = (part: string): string | null => {
  if (part === "") return "a part is empty";
  if (part === "." || part === "..") return `a part is "${part}"`;
  if (part.includes("\\")) return "a backslash";
  if (part.includes("\0")) return "a NUL";
  return CONTROL.test(part) ? "a control character" : null;
};

/** What is wrong with the decoded parts of a path; null: nothing. */
export const partsProblem = (parts: readonly string[]): string | null => {
  for (const part of parts) {
    const problem = partProblem(part);
    if (problem !== null) return problem;
  }
  return null;
};

/** What is wrong with a decoded path in a source, `a/b.mp4`; null: nothing. */
export const sourcePathProblem = (path: string): string | null =>
  path.length > SOURCE_PATH_LENGTH_MAX
    ? `a path is longer than ${SOURCE_PATH_LENGTH_MAX} characters`
    : partsProblem(path.split("/"));

/** The decoded parts of a raw path without its leading slash. */
export const decodedParts = (raw: string): readonly string[] | PathRefusal => {
  if (raw.length > RAW_LENGTH_MAX) return refused(`the path is longer than ${RAW_LENGTH_MAX} characters`);
  if (FORBIDDEN_ESCAPE.test(raw)) return refused("an encoded slash or backslash");
  const parts: string[] = [];
  for (const escaped of raw.split("/")) {
    try {
      parts.push(decodeURIComponent(escaped));
    } catch {
      return refused("a percent-encoding that is not UTF-8");
    }
  }
  const problem = partsProblem(parts);
  return problem === null ? parts : refused(problem);
};

/** A path as it stands in a URL: everything escaped but what needs it nowhere, slashes and the commas of csmil. */
export const encodedPath = (path: string): string =>
  encodeURIComponent(path).replace(/%2F|%2C/g, (code) => (code === "%2F" ? "/" : ","));

/**
 * The relative reference (RFC 3986 §4.2) that leads from something in the folder `from` to the folder or file `to`;
 * both are decoded paths below the same root. Empty when they are the same.
 */
export const relativeReference = (from: string, to: string): string => {
  const [here, there] = [from === "" ? [] : from.split("/"), to.split("/")];
  let shared = 0;
  while (shared < here.length && shared < there.length && here[shared] === there[shared]) shared += 1;
  return "../".repeat(here.length - shared) + encodedPath(there.slice(shared).join("/"));
};
