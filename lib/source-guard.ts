/**
 * The private-address rule for URLs that a tenant gives: names are resolved, and every address must be public or
 * allowed.
 */
import { lookup } from "node:dns/promises";
import { isAllowedAddress, isPrivateAddress, parseIp } from "../domain/ip-address.ts";
import { outgoingHost, type Source } from "../domain/source-url.ts";

const RESOLVE_DEADLINE_MS = 3_000;

export type Resolve = (host: string) => Promise<readonly string[]>;

export interface GuardRules {
  /** Networks (`10.0.0.0/8`) that may be named although they are private. */
  readonly allowPrivateSources: readonly string[];
  /** The key that gave the URL has platform:admin. */
  readonly trusted: boolean;
  readonly resolve?: Resolve;
}
/** `addresses`: what the host resolved to; empty where nothing goes out (listeners, multicast, loops). */
export type Guarded =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | { readonly ok: false; readonly reason: string };

const systemResolve: Resolve = async (host) => (await lookup(host, { all: true })).map(({ address }) => address);

const withDeadline = async <T>(work: Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("late")), RESOLVE_DEADLINE_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
};

/** Why an address is refused, for people. */
export const PRIVATE_ADDRESS = "it leads to a private address (see ALLOW_PRIVATE_SOURCES)";

/** The rule for one address of somebody who is not trusted. */
export const isRefusedAddress = (address: string, allowPrivateSources: readonly string[]): boolean =>
  isPrivateAddress(address) && !isAllowedAddress(address, allowPrivateSources);

/** Looks at one host (of an ingest or a castis URL). A name that can't be resolved now is refused. */
export const guardHost = async (host: string, rules: GuardRules): Promise<Guarded> => {
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  let addresses: readonly string[];
  try {
    addresses = parseIp(bare) ? [bare] : await withDeadline((rules.resolve ?? systemResolve)(bare));
  } catch {
    return { ok: false, reason: `the host ${bare} can't be resolved` };
  }
  if (addresses.length === 0) return { ok: false, reason: `the host ${bare} can't be resolved` };
  if (!rules.trusted && addresses.some((address) => isRefusedAddress(address, rules.allowPrivateSources))) {
    return { ok: false, reason: PRIVATE_ADDRESS };
  }
  return { ok: true, addresses };
};

/** Applies the rule to a source; what does not go out to one host is let through. */
export const guardSource = async (source: Source, rules: GuardRules): Promise<Guarded> => {
  const host = outgoingHost(source);
  return host === null ? { ok: true, addresses: [] } : guardHost(host, rules);
};
