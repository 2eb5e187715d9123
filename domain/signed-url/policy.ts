/** Whether a token, once its signature is right, opens what a viewer asks for. */
import { parseIp } from "../ip-address.ts";
import { isUnder, type TokenClaims } from "./token.ts";

/** Why a request is refused. */
export type TokenFault =
  | "missing"
  | "malformed"
  | "unknown-key"
  | "expired"
  | "not-yet"
  | "wrong-path"
  | "wrong-address"
  | "bad-signature";

/** What a token is held against. */
export interface Asked {
  /** In normal form, without the token. */
  readonly path: string;
  readonly address: string;
  /** Since 1970. */
  readonly nowMs: number;
  /** What the clocks of signer and edge may differ by. */
  readonly toleranceMs: number;
}

const IP4_MAPPED = 0xffffn;

/**
 * An address as tokens hold it: eight hexadecimal digits of an IPv4 address, also of one that IPv6 carries
 * (`::ffff:192.0.2.7`), or sixteen of an IPv6 address's /64. Null: no address.
 */
export const addressTag = (text: string): string | null => {
  const ip = parseIp(text);
  if (ip === null) return null;
  if (ip.bits === 32) return ip.value.toString(16).padStart(8, "0");
  if (ip.value >> 32n === IP4_MAPPED) return (ip.value & 0xffff_ffffn).toString(16).padStart(8, "0");
  return (ip.value >> 64n).toString(16).padStart(16, "0");
};

/** What the claims of a token have against a request; undefined: nothing. */
export const faultOf = (claims: TokenClaims, { path, address, nowMs, toleranceMs }: Asked): TokenFault | undefined => {
  if (nowMs - toleranceMs >= claims.expiresSeconds * 1_000) return "expired";
  if (nowMs + toleranceMs < claims.fromSeconds * 1_000) return "not-yet";
  if (!isUnder(path, claims.prefix)) return "wrong-path";
  if (claims.address !== null && addressTag(address) !== claims.address) return "wrong-address";
  return undefined;
};
