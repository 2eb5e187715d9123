/**
 * Who is let in to `/api/media/…`, the same at edges and gateways: a session's token is checked locally, by keys and
 * revocations that the platform tells of. Without any word from it no token is believed, and public media goes on.
 */
import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { MediaAdmission } from "../../contracts/playback.ts";
import { boundRoute, type MediaRoute, mediaRoute } from "../../domain/signed-url/media-path.ts";
import { takeToken } from "../../domain/signed-url/place.ts";
import { addressTag } from "../../domain/signed-url/policy.ts";
import {
  type ParsedSessionToken,
  parseSessionToken,
  type SessionClaims,
  sessionSignedText,
} from "../../domain/signed-url/session-token.ts";
import { normalPath } from "../../domain/signed-url/token.ts";
import type { Refusal } from "../http/problem.ts";
import { Revocations } from "./revocations.ts";

export interface MediaRequest {
  /** As sent, without the query. */
  readonly path: string;
  readonly query: string;
  /** Of the viewer. */
  readonly address: string;
  /** Since 1970. */
  readonly nowMs: number;
}
export interface Admitted {
  readonly route: MediaRoute;
  /** Null: without a token. */
  readonly claims: SessionClaims | null;
  /** In normal form, without the token. */
  readonly path: string;
  readonly query: string;
}
export type MediaVerdict = ({ readonly ok: true } & Admitted) | { readonly ok: false; readonly refusal: Refusal };

const TOLERANCE_MS = 10_000; // of clocks
const REMEMBERED_MAX = 50_000; // × about 600 bytes: 30 MB

const no = (refusal: Refusal): MediaVerdict => ({ ok: false, refusal });
const refused = (reason: string): Refusal => ({ code: "TOKEN_REFUSED", data: { reason } });

const keyOf = (x: string): KeyObject | undefined => {
  try {
    return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  } catch {
    return undefined; // of a newer platform: tokens of it are refused by their key
  }
};

export class MediaGate {
  #keys: ReadonlyMap<string, KeyObject> = new Map();
  #keyTexts = "";
  readonly #revocations = new Revocations();
  /** Tokens whose signature was right. */
  readonly #remembered = new LRUCache<string, ParsedSessionToken>({ max: REMEMBERED_MAX });
  #isInformed = false;

  /** Whether it was told of keys. */
  get isInformed(): boolean {
    return this.#isInformed;
  }

  /** From now on these keys hold, and no others. */
  admit({ tokenKeys }: MediaAdmission): void {
    const texts = JSON.stringify(tokenKeys);
    if (texts !== this.#keyTexts) {
      this.#keyTexts = texts;
      this.#remembered.clear();
      this.#keys = new Map(tokenKeys.flatMap(({ keyId, publicKey }) => pairOf(keyId, publicKey)));
    }
    this.#isInformed = true;
  }

  /** From now on these too are refused, for as long as tokens of them may be about. `nowMs`: since 1970. */
  revoke(entries: Uint8Array, nowMs: number): void {
    this.#revocations.add(entries, nowMs);
  }

  check({ path, query, address, nowMs }: MediaRequest): MediaVerdict {
    const normal = normalPath(path);
    if (normal === null) return no({ code: "PATH_REFUSED", data: { reason: "it can be read in two ways" } });
    const placed = takeToken(normal, query, () => false);
    if (placed === "malformed") return no(refused("it is malformed"));
    const { token } = placed;
    const route = mediaRoute(placed.path, token !== null);
    if (route === null) return no({ code: "NOT_FOUND" });
    if (token === null) return { ok: true, route, claims: null, path: placed.path, query: placed.query };
    const claims = this.#claimsOf(token);
    if ("code" in claims) return no(claims);
    const fault = this.#faultOf(claims, { route, address, nowMs });
    if (fault !== undefined) return no(refused(fault));
    const bound = boundRoute(route, claims.maxHeight);
    return { ok: true, route: bound, claims, path: placed.path, query: placed.query };
  }

  #claimsOf(text: string): ParsedSessionToken | Refusal {
    const known = this.#remembered.get(text);
    if (known) return known;
    const token = parseSessionToken(text);
    if (token === null) return refused("it is malformed");
    if (!this.#isInformed) return { code: "STARTING", data: { what: "The list of token keys" } };
    const key = this.#keys.get(token.keyId);
    if (!key) return refused("its key is not known");
    const signature = Buffer.from(token.signature, "base64url");
    if (!verify(null, Buffer.from(sessionSignedText(token.body)), key, signature)) {
      return refused("its signature is wrong");
    }
    this.#remembered.set(text, token);
    return token;
  }

  #faultOf(
    claims: SessionClaims,
    { route, address, nowMs }: { route: MediaRoute; address: string; nowMs: number },
  ): string | undefined {
    if (nowMs - TOLERANCE_MS >= claims.expiresSeconds * 1_000) return "it has expired";
    if (nowMs + TOLERANCE_MS < claims.fromSeconds * 1_000) return "it is not valid yet";
    if (route.kind !== "heartbeat" && route.contentId !== claims.contentId) return "it does not cover this address";
    if (claims.address !== null && addressTag(address) !== claims.address) return "it was given to another viewer";
    const { sessionId, contentId, fromSeconds } = claims;
    const isOver =
      this.#revocations.hasSession(sessionId) || fromSeconds < this.#revocations.titleEndedSeconds(contentId);
    return isOver ? "its session has ended" : undefined;
  }
}

const pairOf = (keyId: string, publicKey: string): [string, KeyObject][] => {
  const key = keyOf(publicKey);
  return key ? [[keyId, key]] : [];
};
