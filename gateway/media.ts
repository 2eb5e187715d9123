/**
 * `/api/media/…` at the gateway: the same addresses and the same bytes as an edge has them, without its cache, and what
 * edges pass on: content keys, ClearKey licences, heartbeats. The token is all that counts; a key in the header
 * Authorization is not looked at, so that nothing of an answer depends on it.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServiceBroker } from "moleculer";
import { Fault, fail } from "../contracts/errors.ts";
import { deliverKey } from "../contracts/keyserver.ts";
import { viewerHeartbeat } from "../contracts/playback.ts";
import { send } from "../lib/actor/contract.ts";
import { faultOf } from "../lib/actor/faults.ts";
import type { Clock } from "../lib/clock.ts";
import type { Admitted, MediaVerdict } from "../lib/crypto/media-gate.ts";
import { VIEWER_FIELD, viewerIn } from "../lib/crypto/viewer-address.ts";
import { jsonIn } from "../lib/http/json-body.ts";
import { type Refusal, writeProblem } from "../lib/http/problem.ts";
import type { Log } from "../lib/log/log.ts";
import { type BodyLimits, readBytes } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import { GatewayAdmission } from "./media-admission.ts";
import { MEDIA_HEADERS, mediaOptions, Packagers } from "./media-packagers.ts";

export interface MediaDeps {
  readonly broker: ServiceBroker;
  readonly log: Log;
  readonly clock: Clock;
  readonly packagerUrls: readonly string[];
}

const ROOT = "/api/media/";
const READS = ["GET", "HEAD", "OPTIONS"];
const POSTS = ["POST", "OPTIONS"];
/** Of a licence request: 16 ids of keys are 500 bytes. */
const LICENCE_LIMITS: BodyLimits = { limitBytes: 16 * 1024, deadlineMs: 5_000 };
const KEY_IDS_MAX = 16;
const NO_STORE = { ...MEDIA_HEADERS, "Cache-Control": "no-store" };

export const isMediaPath = (path: string): boolean => path.startsWith(ROOT);

const write = (response: ServerResponse, type: string, body: Buffer | string): void => {
  response.writeHead(200, { ...NO_STORE, "Content-Type": type, "Content-Length": Buffer.byteLength(body) });
  response.end(body);
};

/** Key ids that a ClearKey request names, in base64 (W3C EME §9.1.3). */
const keyIdsIn = (body: unknown): string[] => {
  const kids = (body as { kids?: unknown } | null)?.kids;
  const areFine = Array.isArray(kids) && kids.length > 0 && kids.length <= KEY_IDS_MAX;
  if (!areFine || !kids.every((kid) => typeof kid === "string" && /^[A-Za-z0-9_-]{22}$/.test(kid))) {
    return fail("BAD_INPUT", { errors: [{ path: "kids", message: "must name 1 to 16 keys of 16 bytes, base64url" }] });
  }
  return kids.map((kid: string) => Buffer.from(kid, "base64url").toString("base64"));
};

export class Media {
  readonly #deps: MediaDeps;
  readonly #admission: GatewayAdmission;
  readonly #packagers: Packagers;

  constructor(deps: MediaDeps) {
    this.#deps = deps;
    this.#admission = new GatewayAdmission(deps);
    this.#packagers = new Packagers(deps.packagerUrls);
  }

  mount(): () => Promise<void> {
    const remove = this.#admission.mount();
    return async () => {
      this.#packagers.close();
      await remove();
    };
  }

  async handle(exchange: Exchange): Promise<void> {
    exchange.route = ROOT;
    const { request, response } = exchange;
    try {
      const refusal = await this.#answer(exchange);
      if (refusal) writeProblem({ request, response }, refusal, MEDIA_HEADERS);
    } catch (error) {
      writeProblem({ request, response }, this.#faultOf(exchange, error), MEDIA_HEADERS);
    }
  }

  #faultOf({ requestId }: Exchange, error: unknown): Refusal {
    const fault = error instanceof Fault ? error : faultOf(error, ROOT, this.#deps.broker);
    if (fault) return fault;
    this.#deps.log.error({ err: error, requestId }, "request failed unexpectedly");
    return { code: "INTERNAL" };
  }

  /** Answers, or gives the refusal that is to be said. */
  async #answer(exchange: Exchange): Promise<Refusal | undefined> {
    const { request, response, method } = exchange;
    const verdict = await this.#check(request);
    if (!verdict.ok) return verdict.refusal;
    const { route } = verdict;
    const methods = route.kind === "object" || route.kind === "key" ? READS : POSTS;
    if (method === "OPTIONS") {
      response.writeHead(204, mediaOptions(methods)).end();
      return undefined;
    }
    if (!methods.includes(method)) {
      response.setHeader("Allow", methods.join(", "));
      return { code: "METHOD_NOT_ALLOWED", data: { method } };
    }
    if (route.kind === "object") {
      const target = verdict.query === "" ? route.target : `${route.target}?${verdict.query}`;
      return this.#packagers.pass({ request, response, target, key: route.contentId });
    }
    await this.#forOne(exchange, verdict);
    return undefined;
  }

  async #check(request: IncomingMessage): Promise<MediaVerdict> {
    const { gate } = this.#admission;
    const target = (request.url ?? "").replace(/^https?:\/\/[^/?]*/i, "");
    const mark = target.indexOf("?");
    const [path, query] = mark === -1 ? [target, ""] : [target.slice(0, mark), target.slice(mark + 1)];
    const asked = { path, query, address: this.#addressOf(request), nowMs: this.#deps.clock.nowMs() };
    const verdict = gate.check(asked);
    if (verdict.ok || verdict.refusal.code !== "STARTING") return verdict;
    await this.#admission.refresh();
    return gate.check({ ...asked, address: this.#addressOf(request) });
  }

  /** As an edge says it, else that of who is connected. */
  #addressOf({ headers, socket }: IncomingMessage): string {
    const field = headers[VIEWER_FIELD];
    const said = typeof field === "string" ? field : undefined;
    const told = viewerIn(said, this.#admission.viewerSecrets, this.#deps.clock.nowMs());
    return told ?? socket.remoteAddress ?? "";
  }

  async #forOne({ request, response, requestId }: Exchange, { route, claims }: Admitted): Promise<void> {
    const { broker } = this.#deps;
    if (route.kind === "heartbeat") {
      const { tenantId, sessionId } = claims ?? fail("TOKEN_MISSING");
      const alive = await send(broker, viewerHeartbeat, { tenantId, sessionId }, { requestId });
      return write(response, "application/json", JSON.stringify({ success: true, ...alive }));
    }
    if (route.kind === "object") throw new Error("bug: objects are a packager's");
    const who = {
      contentId: route.contentId,
      sessionId: claims?.sessionId ?? null,
      ...(claims ? { tenantId: claims.tenantId } : {}),
      address: this.#addressOf(request),
    };
    if (route.kind === "key") {
      const { key } = await send(broker, deliverKey, { ...who, generation: route.generation }, { requestId });
      return write(response, "application/octet-stream", Buffer.from(key, "base64"));
    }
    const keyIds = keyIdsIn(jsonIn(await readBytes(request, LICENCE_LIMITS)));
    const given = await Promise.all(keyIds.map((keyId) => send(broker, deliverKey, { ...who, keyId }, { requestId })));
    const urlSafe = (base64: string): string => Buffer.from(base64, "base64").toString("base64url");
    const keys = given.map(({ key, keyId }) => ({ kty: "oct", kid: urlSafe(keyId), k: urlSafe(key) }));
    write(response, "application/json", JSON.stringify({ keys, type: "temporary" }));
  }
}
