/** Which of several answers of one address belongs to a request (RFC 9110 §12.5, RFC 9111 §4.1). Pure. */
import { type FieldList, type FieldLookup, fieldValues, listMembers } from "./fields.ts";

/** Codings that origins use for what we store; a request that takes others gets the same answer. */
const CODINGS = ["br", "gzip", "zstd"];

/** Lower-case names that Vary lists, sorted, each once; `*` when it holds that: then no request matches (§4.1). */
export const varyNames = (responseFields: FieldList): readonly string[] | "*" => {
  const names = fieldValues(responseFields, "vary").flatMap(listMembers);
  if (names.includes("*")) return "*";
  return [...new Set(names.map((name) => name.toLowerCase()))].sort();
};

interface Weighted {
  readonly text: string;
  readonly weight: number;
}
/** A member and its `q` (RFC 9110 §12.4.2); other parameters stay with the member, without space around `;`. */
const weighted = (member: string): Weighted => {
  const [first = "", ...parameters] = member.split(";").map((part) => part.trim());
  const head = first.toLowerCase();
  const at = parameters.findIndex((parameter) => /^q=/i.test(parameter));
  if (at < 0) return { text: [head, ...parameters].join(";"), weight: 1 };
  const weight = Number(parameters[at]?.slice(2));
  return { text: [head, ...parameters.slice(0, at)].join(";"), weight: weight >= 0 && weight <= 1 ? weight : 1 };
};

/** Each member with its weight, sorted: order has no meaning beside weights (RFC 9110 §12.4.2). */
const preferences = (value: string): string =>
  listMembers(value)
    .map(weighted)
    .map(({ text, weight }) => (weight === 1 ? text : `${text};q=${weight}`))
    .sort()
    .join(",");

/**
 * Accept-Encoding brought to what matters: those of br, gzip and zstd that are accepted, sorted, joined by `, `;
 * undefined for none (identity). The request to the origin carries the same text, so that the answer fits everyone who
 * shares it.
 */
export const acceptedCodings = (value: string | undefined): string | undefined => {
  if (value === undefined) return undefined;
  const weights = new Map(
    listMembers(value)
      .map(weighted)
      .map(({ text, weight }) => [text, weight]),
  );
  const accepted = CODINGS.filter((coding) => (weights.get(coding) ?? weights.get(`x-${coding}`) ?? 0) > 0);
  // `*` alone says that any coding will do: gzip is the one that everybody who says so can read.
  if (accepted.length === 0 && (weights.get("*") ?? 0) > 0 && !weights.has("gzip")) return "gzip";
  return accepted.length === 0 ? undefined : accepted.join(", ");
};

const PREFERENCES: ReadonlySet<string> = new Set(["accept", "accept-charset", "accept-language"]);

const normalised = (name: string, value: string | undefined): string | undefined => {
  if (name === "accept-encoding") return acceptedCodings(value);
  if (value === undefined) return undefined;
  if (PREFERENCES.has(name)) return preferences(value);
  return listMembers(value).join(",");
};

/**
 * The part of a cache key that tells the variants apart: equal for two requests whose fields match after the changes
 * that RFC 9111 §4.1 allows (space, joined lines, case and order where they have no meaning). A missing field differs
 * from an empty one.
 */
export const varyKey = (names: readonly string[], requestField: FieldLookup): string =>
  names
    .map((name) => {
      const value = normalised(name, requestField(name));
      return value === undefined ? name : `${name}=${encodeURIComponent(value.toWellFormed())}`;
    })
    .join("&");
