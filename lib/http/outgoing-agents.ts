/** Agents for requests to addresses that a tenant may have named; those of an untrusted one are looked at. */
import http from "node:http";
import https from "node:https";
import { ADDRESS_REFUSED, addressRefusal, guardedLookup, isRefusedLiteral } from "./guarded-lookup.ts";

export { ADDRESS_REFUSED };

/** Of a host that is an address nothing is looked up. */
const refuseLiterals = <A extends http.Agent>(agent: A, allowPrivateSources: readonly string[]): A => {
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options, done) => {
    if (!isRefusedLiteral(options.host ?? "", allowPrivateSources)) return connect(options, done);
    // The callback takes an error alone; its type says a stream comes along.
    (done as ((error: Error) => void) | undefined)?.(addressRefusal());
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
