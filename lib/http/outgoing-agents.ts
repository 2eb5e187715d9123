/**
 * Agents for requests to addresses that a tenant may have named. A check when the address is entered does not see where
 * a name leads later, so that of an untrusted one is looked at as the connection is made: the very addresses that the
 * connection may go to.
 */
import { type LookupAddress, lookup } from "node:dns";
import http from "node:http";
import https from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { isRefusedAddress, PRIVATE_ADDRESS } from "../source-guard.ts";

/** The code of the error that a refused request ends with. */
export const ADDRESS_REFUSED = "ERR_PRIVATE_ADDRESS";

const refusal = (): Error => Object.assign(new Error(PRIVATE_ADDRESS), { code: ADDRESS_REFUSED });

const guardedLookup =
  (allowPrivateSources: readonly string[]): LookupFunction =>
  (host, options, done) => {
    lookup(host, { ...options, all: true }, (error, found: LookupAddress[] = []) => {
      const isRefused = found.some(({ address }) => isRefusedAddress(address, allowPrivateSources));
      const [first] = found;
      if (error || isRefused || !first) done(error ?? refusal(), []);
      else if (options.all) done(null, found);
      else done(null, first.address, first.family);
    });
  };

/** Of a host that is an address nothing is looked up. */
const refuseLiterals = <A extends http.Agent>(agent: A, allowPrivateSources: readonly string[]): A => {
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options, done) => {
    const host = options.host ?? "";
    if (isIP(host) === 0 || !isRefusedAddress(host, allowPrivateSources)) return connect(options, done);
    // The callback takes an error alone; its type says a stream comes along.
    (done as ((error: Error) => void) | undefined)?.(refusal());
    return undefined;
  };
  return agent;
};

interface Pair {
  readonly http: http.Agent;
  readonly https: https.Agent;
}

/** Trusted and other connections are never the same: a kept one would be a way round the check. */
export class OutgoingAgents {
  readonly #trusted: Pair;
  readonly #guarded: Pair;

  constructor(allowPrivateSources: readonly string[], options: http.AgentOptions = {}) {
    this.#trusted = { http: new http.Agent(options), https: new https.Agent(options) };
    const guarded = { ...options, lookup: guardedLookup(allowPrivateSources) };
    this.#guarded = {
      http: refuseLiterals(new http.Agent(guarded), allowPrivateSources),
      https: refuseLiterals(new https.Agent(guarded), allowPrivateSources),
    };
  }

  /** `trusted`: it may lead anywhere. */
  for(url: URL, { trusted }: { readonly trusted: boolean }): http.Agent {
    const { http: plain, https: tls } = trusted ? this.#trusted : this.#guarded;
    return url.protocol === "https:" ? tls : plain;
  }

  close(): void {
    for (const { http: plain, https: tls } of [this.#trusted, this.#guarded]) {
      plain.destroy();
      tls.destroy();
    }
  }
}
