/**
 * Who may see what: addresses under a rule need a token (Akamai's Auth Token 2.0, `domain/token`).
 *
 * The first request of a player brings a short token (`hdnts=` or `hdnea=`). Playlists that are answered to it name
 * their children with a session token (`hdntl=`), which lives longer, covers the session's files only, and can't be
 * turned into another one. Tokens leave the query before anything else looks at it: what is cached never knows them.
 */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { posix } from "node:path";
import { LRUCache } from "lru-cache";
import { fail } from "../../contracts/errors.ts";
import {
  ACL_PATTERNS_MAX,
  aclAllows,
  decodedOnce,
  escapedEarly,
  globMatches,
  type ParsedToken,
  parseToken,
  TOKEN_CHARS_MAX,
  type TokenFields,
  tokenBody,
} from "../../domain/token/token.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Refusal } from "../../lib/http/problem.ts";

const SHORT_NAMES = ["hdnts", "hdnea"] as const;
const SESSION_NAME = "hdntl";
const NAMES: readonly string[] = [...SHORT_NAMES, SESSION_NAME];
const SESSION_DATA = "hdntl"; // what Akamai writes into its own: no short token may say it
const DEFAULT_SKEW_SECONDS = 10;
const SESSION_STEP_SECONDS = 60; // playlists of one minute are equal
const VERIFIED_MAX = 4096; // of at most 4 KiB each: 16 MiB; 300 B is usual

/** Paths under one password. */
export interface TokenRule {
  /** Of stored files, below the prefix: `/protected/*`. A path with the prefix before it is understood as well. */
  readonly paths: readonly string[];
  /** An even number of hexadecimal digits is a key as Akamai's generators take it; any other text is one as it is. */
  readonly password: string;
  /** Verifies as well, while passwords are changed; never signs. */
  readonly alternatePassword: string | null;
  readonly sessionMs: number;
}

export interface TokenGateOptions {
  /** The first one that fits a file decides for all that is served of it. */
  readonly rules: readonly TokenRule[];
  /** `/i/`. */
  readonly prefix: string;
  readonly clock: Clock;
  /** What clocks may differ by. */
  readonly skewSeconds?: number;
  /** Signed with every token and never sent. */
  readonly salt?: string | null;
}

export interface TokenRequest {
  /** As sent, with the prefix; not decoded. */
  readonly path: string;
  /** As sent. */
  readonly query: string;
  readonly remoteAddress: string;
  /** The stored files that the answer is made of, where the path alone doesn't tell (`.csmil`, `.smil`). */
  readonly files?: readonly string[];
}

/** What a request is allowed by; `null` token: its address needs none. */
export interface TokenGrant {
  readonly token: ParsedToken | null;
  /** The text as it came, when it is a session token. */
  readonly session: string | null;
  readonly rule: number;
}

/** A token as a request brings it, and the rule that it has to fit. */
interface Given {
  readonly text: string;
  readonly kind: "short" | "session";
  readonly rule: number;
}

export type TokenVerdict =
  | { readonly allowed: true; readonly grant: TokenGrant }
  | { readonly allowed: false; readonly refusal: Refusal };

const OPEN: TokenVerdict = { allowed: true, grant: { token: null, session: null, rule: -1 } };
const MISSING: TokenVerdict = { allowed: false, refusal: { code: "TOKEN_MISSING" } };
const refused = (reason: string): TokenVerdict => ({
  allowed: false,
  refusal: { code: "TOKEN_REFUSED", data: { reason } },
});
const INVALID = refused("it is not valid");

/** A password as a key: hexadecimal digits, as Akamai gives it out, or any text. */
export const tokenKey = (password: string): KeyObject =>
  createSecretKey(Buffer.from(password, /^(?:[0-9a-fA-F]{2})+$/.test(password) ? "hex" : "utf8"));

const signature = (key: KeyObject, text: string): Buffer => createHmac("sha256", key).update(text).digest();

/** The query without its token parts, byte for byte otherwise. */
export const stripTokens = (query: string): string => {
  if (!query.includes("hdn")) return query;
  return query
    .split("&")
    .filter((part) => !NAMES.includes(part.split("=", 1)[0] ?? ""))
    .join("&");
};

const partOf = (query: string, name: string): string | null => {
  for (const part of query.split("&")) if (part.startsWith(`${name}=`)) return part.slice(name.length + 1);
  return null;
};

/** A token as text. `url`: the one path that it is for, when its ACL is empty; signed, not sent. */
export const makeToken = (
  fields: TokenFields,
  {
    key,
    url = null,
    salt = null,
  }: { readonly key: KeyObject; readonly url?: string | null; readonly salt?: string | null },
): string => {
  const body = tokenBody(fields);
  const source = [body, url === null ? [] : `url=${url}`, salt === null ? [] : `salt=${salt}`].flat().join("~");
  return `${body}~hmac=${signature(key, source).toString("hex")}`;
};

/** A URL's path as rules and ACLs see it: decoded once, without parts that other parts undo. */
const plainPath = (path: string): string => posix.normalize(decodedOnce(path));

const plainAddress = (address: string): string => address.toLowerCase().replace(/^::ffff:(?=\d)/, "");

type Rules = readonly Pick<TokenRule, "paths">[];

/** Index of the first rule that fits one of these decoded URL paths, with or without the prefix; −1: none does. */
export const ruleOf = (rules: Rules, urlPaths: readonly string[], prefix: string): number => {
  const forms = urlPaths.flatMap((path) => {
    const below = path.startsWith(prefix) ? `/${path.slice(prefix.length)}` : path;
    return [below, prefix + below.slice(1)];
  });
  return rules.findIndex(({ paths }) => paths.some((one) => forms.some((form) => globMatches(one, form))));
};

interface Keys {
  readonly signs: KeyObject;
  readonly verify: readonly KeyObject[];
}

export class TokenGate {
  readonly #options: Required<TokenGateOptions>;
  readonly #keys: readonly Keys[];
  /** Tokens whose HMAC was right, under their rule and text: time, address and path are looked at each time. */
  readonly #verified = new LRUCache<string, ParsedToken>({ max: VERIFIED_MAX });

  constructor(options: TokenGateOptions) {
    this.#options = { skewSeconds: DEFAULT_SKEW_SECONDS, salt: null, ...options };
    this.#keys = options.rules.map(({ password, alternatePassword }) => {
      const signs = tokenKey(password);
      return { signs, verify: alternatePassword === null ? [signs] : [signs, tokenKey(alternatePassword)] };
    });
  }

  /** Whether a request may be answered. What a refusal says about a token is said to those who have a signed one. */
  check(request: TokenRequest): TokenVerdict {
    if (this.#options.rules.length === 0) return OPEN;
    const rules = this.#rulesOf(request);
    const [rule, ...others] = rules;
    if (rule === undefined) return OPEN;
    if (others.length > 0) return refused("its files are under different rules");
    const session = partOf(request.query, SESSION_NAME);
    const bySession = session === null ? null : this.#verdict(request, { text: session, kind: "session", rule });
    if (bySession?.allowed) return bySession;
    for (const name of SHORT_NAMES) {
      const text = partOf(request.query, name);
      if (text !== null) return this.#verdict(request, { text, kind: "short", rule });
    }
    return bySession ?? MISSING;
  }

  /**
   * The query part that a playlist's children get, without `?` or `&`; empty where no token is needed. `covers` are the
   * decoded URL paths of the folders and files that children are in: `/i/movie_low.mp4`.
   */
  sessionTokenFor({ token, session, rule }: TokenGrant, covers: readonly string[]): string {
    if (session !== null) return `${SESSION_NAME}=${session}`;
    const { rules, clock, salt } = this.#options;
    const keys = this.#keys[rule];
    if (token === null || keys === undefined) return "";
    const open = token.acl.filter((pattern) => pattern.endsWith("*")); // fits all that begins as a fitting path does
    const needed = covers.filter((path) => !aclAllows(open, `${path}/`)).map((path) => `${path}/*`);
    const acl = [...token.acl, ...new Set(needed)];
    const step = SESSION_STEP_SECONDS;
    const endSeconds = Math.ceil((clock.nowMs() + (rules[rule]?.sessionMs ?? 0)) / 1000 / step) * step;
    const fields = { ip: token.ip, startSeconds: null, endSeconds, acl, id: token.id, data: SESSION_DATA };
    const made = makeToken(fields, { key: keys.signs, salt });
    if (acl.length > ACL_PATTERNS_MAX || made.length > TOKEN_CHARS_MAX) {
      return fail("QUERY_REFUSED", { reason: "a session token for so many files would be too long" });
    }
    return `${SESSION_NAME}=${made}`;
  }

  /**
   * Whether what was granted is enough for a stored file besides those of the set: it is under no rule, or under the
   * same one and either goes with the set (`isOwn`) or is covered by the token.
   */
  covers({ rule, token }: TokenGrant, { path, isOwn }: { readonly path: string; readonly isOwn: boolean }): boolean {
    const index = this.#ruleOfFile(path);
    if (index < 0) return true;
    return index === rule && (isOwn || aclAllows(token?.acl ?? [], this.#options.prefix + path));
  }

  /**
   * The rules that bind a request, each once: of the files that it stands for. What is asked for below them counts only
   * where they are under none, else a rule that fits some leaves' names would ask for another token than the rest has.
   */
  #rulesOf({ path, files = [] }: TokenRequest): readonly number[] {
    const { rules, prefix } = this.#options;
    const ofFiles = new Set(files.map((file) => this.#ruleOfFile(file)).filter((index) => index >= 0));
    if (ofFiles.size > 0) return [...ofFiles];
    const whole = plainPath(path);
    const ofSet = ruleOf(rules, [`${posix.dirname(whole)}/`], prefix);
    const index = ofSet < 0 ? ruleOf(rules, [whole], prefix) : ofSet;
    return index < 0 ? [] : [index];
  }

  /** A file is under a rule for itself (`/film.mp4`), and under one for all that is below it (`/film.mp4/*`). */
  #ruleOfFile(file: string): number {
    const { rules, prefix } = this.#options;
    return ruleOf(rules, [prefix + file, `${prefix}${file}/`], prefix);
  }

  #verdict(request: TokenRequest, given: Given): TokenVerdict {
    const token = this.#authentic(request, given);
    const isSession = given.kind === "session";
    if (!token || isSession !== (token.data === SESSION_DATA)) return INVALID;
    const { clock, skewSeconds } = this.#options;
    const nowSeconds = clock.nowMs() / 1000;
    if (token.startSeconds !== null && nowSeconds + skewSeconds < token.startSeconds)
      return refused("it is not valid yet");
    if (nowSeconds - skewSeconds >= token.endSeconds) return refused("it has expired");
    if (token.ip !== null && plainAddress(token.ip) !== plainAddress(request.remoteAddress)) {
      return refused("it was given to another address");
    }
    // An empty ACL: the path was signed, and the HMAC was right with this one.
    const covered = token.acl.length === 0 ? !isSession : aclAllows(token.acl, plainPath(request.path));
    if (!covered) return refused("it does not cover this address");
    return { allowed: true, grant: { token, session: isSession ? given.text : null, rule: given.rule } };
  }

  /** The token when one of the rule's keys signed it. Texts come as they were made, or percent-encoded as a whole. */
  #authentic(request: TokenRequest, { text, rule }: Given): ParsedToken | null {
    if (text.length > TOKEN_CHARS_MAX * 3) return null; // percent-encoded, each character is three
    const known = `${rule} ${text}`;
    const verified = this.#verified.get(known);
    if (verified) return verified;
    for (const candidate of new Set([text, decodedOnce(text)])) {
      const token = parseToken(candidate);
      if (!token || !this.#isSigned(request, rule, token)) continue;
      if (token.acl.length > 0 && text.length <= TOKEN_CHARS_MAX) this.#verified.set(known, token);
      return token;
    }
    return null;
  }

  #isSigned({ path, query }: TokenRequest, rule: number, token: ParsedToken): boolean {
    const salt = this.#options.salt === null ? "" : `~salt=${this.#options.salt}`;
    const given = Buffer.from(token.hmac, "hex");
    const isRight = (source: string): boolean =>
      (this.#keys[rule]?.verify ?? []).some((key) => timingSafeEqual(signature(key, source), given));
    if (token.acl.length > 0) return isRight(token.signed + salt);
    // Signed with its path and, by the generator's choice, query and escapes.
    const rest = stripTokens(query);
    const addresses = rest === "" ? [path] : [path, `${path}?${rest}`];
    return addresses
      .flatMap((address) => [address, escapedEarly(address)])
      .some((address) => isRight(`${token.signed}~url=${address}${salt}`));
  }
}
