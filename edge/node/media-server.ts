/**
 * `/api/media/…` on the platform's own hosts (design §9): a session's token is checked here and taken out, so that all
 * viewers of a title ask for the same objects, which are kept once. What is for one viewer (keys, licences, heartbeats)
 * goes to a gateway with the token, and nothing of it is kept.
 */
import type { AdmissionNews } from "../../lib/crypto/admission-news.ts";
import { type Admitted, MediaGate } from "../../lib/crypto/media-gate.ts";
import { signViewer, VIEWER_FIELD } from "../../lib/crypto/viewer-address.ts";
import { answerOptions, refuseMethod } from "../../lib/http/cors.ts";
import type { RawExchange } from "../../lib/http/exchange.ts";
import type { Refusal } from "../../lib/http/problem.ts";
import { siteProblem } from "../site/refusal.ts";
import type { SiteRuntime } from "../site/runtime.ts";
import type { SiteServer } from "../site/server.ts";
import type { ServedSites } from "../site/sites.ts";

export interface MediaServerDeps {
  readonly sites: Pick<ServedSites, "gateway">;
  readonly server: Pick<SiteServer, "serveAs">;
  readonly via: string;
  /** Since 1970. */
  readonly wallMs: () => number;
}

const READS = "GET, HEAD, OPTIONS";
const POSTS = "POST, OPTIONS";
/** What would make an answer one viewer's own, and what only an edge may say. */
const UNASKED: ReadonlySet<string> = new Set(["authorization", "cookie", VIEWER_FIELD]);

export const isMedia = (path: string): boolean => path.startsWith("/api/media/");

export class MediaServer {
  readonly #deps: MediaServerDeps;
  readonly #gate = new MediaGate();
  #viewerSecret: string | undefined;

  constructor(deps: MediaServerDeps) {
    this.#deps = deps;
  }

  admit({ admission, revoked }: AdmissionNews): void {
    this.#gate.revoke(revoked, this.#deps.wallMs());
    if (!admission) return;
    this.#gate.admit(admission);
    this.#viewerSecret = admission.viewerSecrets?.[0];
  }

  /** `platform`: the packagers. */
  serve(exchange: RawExchange, platform: SiteRuntime): Promise<void> | undefined {
    const { path, query, remoteAddress: address, method } = exchange;
    const verdict = this.#gate.check({ path, query, address, nowMs: this.#deps.wallMs() });
    if (!verdict.ok) return this.#refuse(exchange, platform, verdict.refusal);
    const { kind } = verdict.route;
    const methods = kind === "object" || kind === "key" ? READS : POSTS;
    if (method === "OPTIONS") {
      exchange.context = platform.contexts.preflight;
      answerOptions(exchange, methods);
      return undefined;
    }
    if (!methods.split(", ").includes(method)) {
      exchange.context = platform.contexts.refused;
      refuseMethod(exchange, methods);
      return undefined;
    }
    return kind === "object" ? this.#object(exchange, platform, verdict) : this.#forOne(exchange, platform);
  }

  #object(exchange: RawExchange, platform: SiteRuntime, { route, query }: Admitted): Promise<void> | undefined {
    if (route.kind !== "object") return undefined;
    const fields = fieldsFor(exchange.fields);
    const header = (name: string): string | undefined => (UNASKED.has(name) ? undefined : exchange.header(name));
    return this.#deps.server.serveAs(exchange, platform, {
      host: exchange.host,
      path: route.target,
      query,
      fields,
      header,
    });
  }

  /** A gateway looks at the token itself; it has the viewer's address from here. */
  #forOne(exchange: RawExchange, platform: SiteRuntime): Promise<void> | undefined {
    const { gateway } = this.#deps.sites;
    if (!gateway) return this.#refuse(exchange, platform, { code: "UPSTREAM_FAILED", data: { path: "keys" } });
    const { path, query, host, remoteAddress } = exchange;
    const fields = [...fieldsFor(exchange.fields)];
    if (this.#viewerSecret !== undefined) {
      fields.push(VIEWER_FIELD, signViewer(this.#viewerSecret, remoteAddress, this.#deps.wallMs()));
    }
    const header = (name: string): string | undefined => (UNASKED.has(name) ? undefined : exchange.header(name));
    return this.#deps.server.serveAs(exchange, gateway, { host, path, query, fields, header });
  }

  #refuse(exchange: RawExchange, { contexts }: SiteRuntime, refusal: Refusal): undefined {
    exchange.context = contexts.refused;
    siteProblem(exchange, refusal, this.#deps.via);
  }
}

/** Most requests have none of those: their fields are used as they are. */
const fieldsFor = (fields: readonly string[]): readonly string[] => {
  let isFine = true;
  for (let at = 0; at < fields.length; at += 2) if (UNASKED.has(fields[at]!.toLowerCase())) isFine = false;
  if (isFine) return fields;
  return fields.filter((_, index) => !UNASKED.has(fields[index - (index % 2)]!.toLowerCase()));
};
