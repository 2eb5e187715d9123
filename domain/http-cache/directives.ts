/** Cache directives (RFC 9111 §5.2) of Cache-Control, and of CDN-Cache-Control once it is read (targeted.ts). */
import { listMembers, unquoted } from "./fields.ts";

/** RFC 9111 §1.2.2: a value that a cache can't hold counts as 2^31. */
const SECONDS_MAX = 2 ** 31;

/** The directives of one field. Names are lower-case; the first of equal ones counts (RFC 9111 §4.2.1). */
export interface Directives {
  /** How many different directives there are. */
  readonly size: number;
  has(name: string): boolean;
  /** The argument, without quotes; undefined when the directive is missing or has none. */
  value(name: string): string | undefined;
  /**
   * The argument as whole seconds, at most 2^31 (RFC 9111 §1.2.2); 0 when it is missing or no number: "caches are
   * encouraged to consider responses that have invalid freshness information to be stale" (§4.2.1). undefined when the
   * directive is missing.
   */
  seconds(name: string): number | undefined;
  /** Lower-case field names of the argument of `no-cache` and `private` (§5.2.2.4, §5.2.2.7); empty without one. */
  names(name: string): readonly string[];
}

/** delta-seconds of RFC 9111 §1.2.2; undefined for anything but digits. */
export const deltaSeconds = (text: string): number | undefined =>
  /^\d+$/.test(text) ? Math.min(Number(text), SECONDS_MAX) : undefined;

/** Directives over a map from lower-case names to arguments. */
export const directivesOf = (entries: ReadonlyMap<string, string | undefined>): Directives => ({
  size: entries.size,
  has: (name) => entries.has(name),
  value: (name) => entries.get(name),
  seconds: (name) => (entries.has(name) ? (deltaSeconds(entries.get(name) ?? "") ?? 0) : undefined),
  names: (name) => listMembers(entries.get(name) ?? "").map((member) => member.toLowerCase()),
});

/** No directive at all. */
const NO_DIRECTIVES: Directives = directivesOf(new Map());

/**
 * Reads Cache-Control. Both forms of an argument are taken, token and quoted string (RFC 9111 §5.2); a directive whose
 * argument is neither stays, with an argument that is no number, so that it counts as stale and not as absent.
 */
export const parseDirectives = (value: string | undefined): Directives => {
  if (value === undefined || value === "") return NO_DIRECTIVES;
  const entries = new Map<string, string | undefined>();
  for (const member of listMembers(value)) {
    const equals = member.indexOf("=");
    const name = (equals < 0 ? member : member.slice(0, equals)).trimEnd().toLowerCase();
    if (entries.has(name)) continue;
    if (equals < 0) {
      entries.set(name, undefined);
      continue;
    }
    const argument = member.slice(equals + 1);
    // Space around "=" is no syntax of a directive: what is behind it must not become a number.
    const isTight = equals === name.length;
    entries.set(name, isTight ? (unquoted(argument) ?? argument) : ` ${argument}`);
  }
  return directivesOf(entries);
};
