/**
 * The edge's own door for its operator, on a port of its own: purges, the sites that are served, what they cost.
 *
 *   POST /purge {"hostname", "url" | "prefix" | "tag" | "everything": true, "soft": true}
 *   GET  /sites    GET /accounts    POST /reload
 *
 * It listens beside viewers' ports and is for the operator alone: by a bearer token (RFC 6750), or, where none is set,
 * from this machine only.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { Fault } from "../../contracts/errors.ts";
import type { RawExchange } from "../../lib/http/exchange.ts";
import type { Readiness } from "../../lib/http/health.ts";
import { jsonIn } from "../../lib/http/json-body.ts";
import { openRawListener, type RawListener } from "../../lib/http/raw-listener.ts";
import type { Log } from "../../lib/log/log.ts";
import { METRICS_CONTENT_TYPE, metricsText } from "../../lib/metrics/metrics.ts";
import type { Purge, PurgeTarget } from "../cache/purges/purge-table.ts";
import type { Site, Sites } from "../config/sites.ts";
import { canonicalPath, hostnameOf, keptQuery } from "../site/target.ts";

export interface AdminDeps {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Null: who connects from this machine may do all. */
  readonly token: string | null;
  readonly log: Log;
  readonly ready: () => Readiness;
  /** What is served now. */
  readonly sites: () => Sites | undefined;
  readonly purge: (purge: Purge) => Promise<void>;
  /** What has been counted; survives JSON. */
  readonly accounts: () => unknown;
  /** Reads the configuration again; false when it can't be served, undefined where there is no file. */
  readonly reload: () => boolean | undefined;
}

const BODY_BYTES_MAX = 64 * 1024;
const JSON_LINES = "Content-Type: application/json\r\nCache-Control: no-store\r\n";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
/** True for an address of this machine. */
export const isLoopback = (address: string): boolean => /^(?:127\.|::1$|::ffff:127\.)/.test(address);

const answer = (exchange: RawExchange, data: unknown, status = 200): void =>
  exchange.send(status, JSON_LINES, Buffer.from(JSON.stringify({ success: true, data })));

/** The address of a URL on this site as its objects are kept under. */
const keyOf = (site: Site, url: string): string => {
  const mark = url.indexOf("?");
  const path = canonicalPath(mark === -1 ? url : url.slice(0, mark));
  if (path === undefined || !path.startsWith("/")) throw bad("url", "must be a path, with its query if it has one");
  const query = keptQuery(mark === -1 ? "" : url.slice(mark + 1), site.ruleFor(path));
  return `${site.id} ${query === "" ? path : `${path}?${query}`}`;
};

const bad = (path: string, message: string): Fault => new Fault("BAD_INPUT", { errors: [{ path, message }] });

const NAMES = ["url", "prefix", "tag"] as const;

/** What a body asks to purge. Throws BAD_INPUT. */
export const purgeOf = (body: unknown, sites: Sites): Purge => {
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw bad("", "must be an object");
  const given = body as Readonly<Record<string, unknown>>; // looked at field by field
  const unknown = Object.keys(given).find((name) => !["hostname", ...NAMES, "everything", "soft"].includes(name));
  if (unknown !== undefined) throw bad(unknown, "is not known");
  const { hostname, everything, soft = false } = given;
  if (typeof soft !== "boolean") throw bad("soft", "must be true or false");
  if (typeof hostname !== "string") throw bad("hostname", "must name a site");
  const site = sites.find(hostnameOf(hostname));
  if (!site) throw bad("hostname", "is no site of this edge");
  const named = NAMES.filter((name) => given[name] !== undefined);
  if (named.length + (everything === true ? 1 : 0) !== 1) {
    throw bad("", "names one of url, prefix, tag and everything");
  }
  return { site: site.id, target: targetOf(site, given, named[0]), mode: soft ? "soft" : "hard" };
};

const targetOf = (
  site: Site,
  given: Readonly<Record<string, unknown>>,
  name: (typeof NAMES)[number] | undefined,
): PurgeTarget => {
  if (name === undefined) return { kind: "site" };
  const value = given[name];
  if (typeof value !== "string" || value === "" || value.length > 8_192) throw bad(name, "must be a text");
  if (name === "tag") return { kind: "tag", tag: value };
  if (name === "url") return { kind: "key", key: keyOf(site, value) };
  if (!value.startsWith("/")) throw bad("prefix", "must begin with a slash");
  return { kind: "prefix", prefix: value };
};

const siteShown = ({ id, customer, tenant, hostnames, origins, parents, signing, certificate }: Site) => ({
  ...{ id, customer, tenant, hostnames },
  origins: origins.map(({ id: origin, kind, order, weight }) => ({ id: origin, kind, order, weight })),
  parents: parents.map(({ id: parent }) => parent),
  isSigned: signing !== null,
  hasCertificate: certificate !== null,
});

const WANTED: Readonly<Record<string, string>> = {
  "/purge": "POST",
  "/reload": "POST",
  "/sites": "GET",
  "/accounts": "GET",
  "/metrics": "GET",
};

class Admin {
  readonly #deps: AdminDeps;

  constructor(deps: AdminDeps) {
    this.#deps = deps;
  }

  async handle(exchange: RawExchange): Promise<void> {
    if (!this.#isAllowed(exchange)) {
      exchange.problem({ code: "UNAUTHENTICATED" }, "WWW-Authenticate: Bearer\r\n");
      return;
    }
    const { method, path } = exchange;
    const wanted = WANTED[path];
    if (wanted === undefined) throw new Fault("NOT_FOUND");
    if (method !== wanted) {
      exchange.problem({ code: "METHOD_NOT_ALLOWED", data: { method } }, `Allow: ${wanted}\r\n`);
      return;
    }
    if (path === "/purge") return this.#purge(exchange);
    if (path === "/reload") return this.#reload(exchange);
    if (path === "/metrics") {
      const lines = `Content-Type: ${METRICS_CONTENT_TYPE}\r\nCache-Control: no-store\r\n`;
      exchange.send(200, lines, Buffer.from(await metricsText()));
      return;
    }
    answer(exchange, path === "/sites" ? (this.#deps.sites()?.all.map(siteShown) ?? []) : this.#deps.accounts());
  }

  #isAllowed(exchange: RawExchange): boolean {
    const { token } = this.#deps;
    if (token === null) return isLoopback(exchange.remoteAddress);
    const [, given = ""] = /^Bearer +(\S+)$/i.exec(exchange.header("authorization") ?? "") ?? [];
    return timingSafeEqual(digest(given), digest(token));
  }

  async #purge(exchange: RawExchange): Promise<void> {
    const sites = this.#deps.sites();
    if (!sites) throw new Fault("STARTING", { what: "The edge" });
    const purge = purgeOf(jsonIn(await exchange.readBody(BODY_BYTES_MAX)), sites);
    await this.#deps.purge(purge);
    this.#deps.log.info({ purge }, "purged");
    answer(exchange, { purged: purge });
  }

  #reload(exchange: RawExchange): void {
    const isServed = this.#deps.reload();
    if (isServed === undefined) throw new Fault("NOT_FOUND");
    answer(exchange, { served: isServed }, isServed ? 200 : 409);
  }
}

export const openAdmin = (deps: AdminDeps): Promise<RawListener> => {
  const admin = new Admin(deps);
  const { host, port, log, ready } = deps;
  const handle = (exchange: RawExchange): Promise<void> => admin.handle(exchange);
  const own = { name: "edge-admin", portVariable: "EDGE_ADMIN_PORT" };
  // Figures are behind the token; probes are not.
  return openRawListener({ ...own, host, port, log, ready, handle, hasHealth: ({ path }) => path !== "/metrics" });
};
