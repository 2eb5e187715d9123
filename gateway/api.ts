/**
 * The life of an API request. moleculer-web finds the route and runs, in this order: `authenticate` (bearer key →
 * principal), `authorize` (scope), `answer` (body → input → ask → reply). A body is read only after both have agreed.
 */
import type { ServiceBroker } from "moleculer";
import { codeOf, Fault } from "../contracts/errors.ts";
import { authenticate, beginIdempotent, endIdempotent } from "../contracts/tenant.ts";
import { type Meta, send } from "../lib/actor/contract.ts";
import { faultOf } from "../lib/actor/faults.ts";
import type { Clock } from "../lib/clock.ts";
import { problemHeaders } from "../lib/http/problem.ts";
import type { Log } from "../lib/log/log.ts";
import { bearerOf, checkScope, Keyring } from "./authentication.ts";
import { readBody } from "./body.ts";
import type { Exchange, Principal } from "./exchange.ts";
import { fingerprintOf, idempotencyKeyOf, type Kept, once } from "./idempotency.ts";
import { inputOf } from "./input.ts";
import { etagOf, ifVersionOf } from "./precondition.ts";
import { problemReply, type Reply } from "./reply.ts";
import { makesResource, type Route } from "./routes.ts";

export interface ApiDeps {
  readonly broker: ServiceBroker;
  readonly clock: Clock;
  readonly log: Log;
}

const fieldOf = (document: Kept["document"], name: string): unknown =>
  (document.data as Readonly<Record<string, unknown>> | undefined)?.[name];

const successHeaders = (route: Route, exchange: Exchange, { document }: Kept): Record<string, string> => {
  const headers: Record<string, string> = {};
  const version = fieldOf(document, "version");
  if (typeof version === "number") headers.ETag = etagOf(version);
  const id = fieldOf(document, "id");
  if (makesResource(route)) headers.Location = `${exchange.path}/${id}`;
  return headers;
};

export class Api {
  readonly #broker: ServiceBroker;
  readonly #log: Log;
  readonly #keyring: Keyring;

  constructor({ broker, clock, log }: ApiDeps) {
    this.#broker = broker;
    this.#log = log;
    this.#keyring = new Keyring({
      clock,
      authenticate: (key, requestId) => send(broker, authenticate, { key }, { requestId }),
    });
  }

  async authenticate(exchange: Exchange): Promise<Principal> {
    exchange.bearer = bearerOf(exchange.request.headers.authorization);
    exchange.principal = await this.#keyring.principalOf(exchange.bearer, exchange.requestId);
    return exchange.principal;
  }

  authorize(exchange: Exchange, route: Route): void {
    checkScope(principalOf(exchange), route.rest.scope);
  }

  /** The reply of an authorized request; never throws. */
  async answer(exchange: Exchange, route: Route, pathParams: Readonly<Record<string, string>>): Promise<Reply> {
    try {
      return await this.#answer(exchange, route, pathParams);
    } catch (error) {
      return this.problem(exchange, error);
    }
  }

  /** Anything thrown as a reply; what is not in the catalogue is a bug: logged, and told to nobody. */
  problem(exchange: Exchange, error: unknown): Reply {
    return problemReply(this.#faultOf(exchange, error), exchange.requestId);
  }

  #faultOf({ requestId, route }: Exchange, error: unknown): Fault {
    const fault = faultOf(error, route, this.#broker);
    if (fault) return fault;
    this.#log.error({ err: error, requestId, route }, "request failed unexpectedly");
    return new Fault("INTERNAL");
  }

  async #answer(exchange: Exchange, route: Route, pathParams: Readonly<Record<string, string>>): Promise<Reply> {
    const { headers } = exchange.request;
    const body = route.hasBody ? await readBody(exchange.request) : {};
    const idempotencyKey = route.rest.idempotent && idempotencyKeyOf(headers["idempotency-key"]);
    const { scopes } = principalOf(exchange);
    const input = inputOf(route, {
      pathParams,
      query: exchange.query,
      body,
      filled: {
        trusted: scopes.includes("platform:admin"),
        callerScopes: scopes,
        idempotencyKey,
        ifVersion: route.rest.versioned && ifVersionOf(headers["if-match"]),
      },
    });
    const work = () => this.#work(exchange, route, input);
    if (!idempotencyKey) return this.#replyOf(exchange, route, await work());
    const kept = await once(this.#onceFor(exchange, idempotencyKey, body), work);
    const reply = this.#replyOf(exchange, route, kept);
    return kept.replayed ? { ...reply, headers: { ...reply.headers, "Idempotency-Replayed": "true" } } : reply;
  }

  /** Sends the ask; a fault is an answer too. */
  async #work(exchange: Exchange, route: Route, input: Record<string, unknown>): Promise<Kept> {
    try {
      // Every ask with a route answers an object: the gateway's own test looks at each.
      const result = (await send(this.#broker, route.ask, input, metaOf(exchange))) as Record<string, unknown>;
      return { status: route.rest.status ?? 200, document: { success: true, ...result } };
    } catch (error) {
      const { status, document } = this.problem(exchange, error);
      return { status, document };
    }
  }

  #onceFor(exchange: Exchange, idempotencyKey: string, body: unknown) {
    const meta = metaOf(exchange);
    const { bearer = "", method, path, requestId } = exchange;
    return {
      records: {
        begin: (record: { idempotencyKey: string; fingerprint: string }) =>
          send(this.#broker, beginIdempotent, record, meta),
        end: (record: { idempotencyKey: string; answer: { status: number; body: string } | null }) =>
          send(this.#broker, endIdempotent, record, meta),
      },
      fingerprint: fingerprintOf({ apiKeyId: principalOf(exchange).apiKeyId, method, path, body }),
      sealedFor: { bearer, idempotencyKey },
      notKept: (error: unknown) => this.#log.warn({ err: error, requestId }, "an answer could not be kept"),
    };
  }

  #replyOf(exchange: Exchange, route: Route, kept: Kept): Reply {
    if (kept.status < 400) return { ...kept, headers: successHeaders(route, exchange, kept) };
    const code = codeOf(kept.document) ?? "INTERNAL";
    const document = { ...kept.document, requestId: exchange.requestId };
    return { status: kept.status, document, headers: problemHeaders(code) };
  }
}

const principalOf = ({ principal }: Exchange): Principal => {
  if (!principal) throw new Error("bug: a route was entered without authentication");
  return principal;
};

const metaOf = (exchange: Exchange): Meta => {
  const { tenantId, tenant, scopes } = principalOf(exchange);
  return { tenantId, tenant, scopes, requestId: exchange.requestId };
};
