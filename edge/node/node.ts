/** One thread of an edge: a cache, the servers of live media and of sites, and the listeners in front of them. */
import { randomInt } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { isContentPath } from "../../domain/vod/content-path.ts";
import type { AdmissionNews } from "../../lib/crypto/admission-news.ts";
import { type AccessDetails, type AccessEntry, type AccessLog, openAccessLog } from "../../lib/http/access-log.ts";
import type { RawExchange, RawRequest } from "../../lib/http/exchange.ts";
import type { Readiness } from "../../lib/http/health.ts";
import {
  type NotedExchange,
  openRawListener,
  type RawListener,
  type RawListenerOptions,
} from "../../lib/http/raw-listener.ts";
import { Certificates } from "../../lib/http/tls-certificates.ts";
import type { Log } from "../../lib/log/log.ts";
import type { Accounts } from "../analytics/accounts.ts";
import { allocatePlain, allocateShared, ByteBudget } from "../cache/body.ts";
import type { DiskStore } from "../cache/disk/disk-store.ts";
import { Floors, LiveWindows } from "../cache/progress.ts";
import type { Purge } from "../cache/purges/purge-table.ts";
import type { Purges } from "../cache/purges/purges.ts";
import { Cache } from "../cache/stored.ts";
import type { Sites } from "../config/sites.ts";
import { type FillDeps, Fills } from "../origin/fills.ts";
import { Health } from "../origin/health.ts";
import { Prober } from "../origin/prober.ts";
import { Upstream, type UpstreamTimeouts } from "../origin/upstream.ts";
import { DiskTier } from "../site/disk-tier.ts";
import { SiteFills } from "../site/fills.ts";
import { type Asked, Finder } from "../site/finder.ts";
import { type ForOneDeps, forOne } from "../site/for-one.ts";
import type { SiteRuntime } from "../site/runtime.ts";
import { SiteServer } from "../site/server.ts";
import { hasPackager, PLATFORM, ServedSites } from "../site/sites.ts";
import { SiteObjects } from "../site/store.ts";
import { hostnameOf } from "../site/target.ts";
import type { Plan, Verdict } from "../site/verdict.ts";
import { type Found, Peers, type PeersDeps } from "../threads/peers.ts";
import type { AskMessage } from "../threads/protocol.ts";
import { isLoopback } from "./admin.ts";
import { type Directory, LiveServer, type LiveVerdict } from "./live-server.ts";
import { isMedia, MediaServer } from "./media-server.ts";
import { accountedContexts, type Context, type Contexts, EdgeMetrics, isHit } from "./metrics.ts";
import { parseTarget, type Target } from "./request.ts";

/** What a thread needs to know; all of it can be copied to another. */
export interface NodeConfig {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Null: no TLS. */
  readonly tlsPort: number | null;
  /** Of this thread. */
  readonly cacheBytes: number;
  /** Base URLs of the packagers behind the platform's own paths. */
  readonly packagerUrls: readonly string[];
  /** Base URLs of the gateways that content keys are asked for. */
  readonly gatewayUrls?: readonly string[];
  /** Private networks where castis nodes that a tenant named may be. */
  readonly allowPrivateSources: readonly string[];
  readonly nodeId: string;
  /** Others listen on the same ports and read the same memory. */
  readonly isShared: boolean;
  /** Null: no line per request. */
  readonly accessLog: AccessLogConfig | null;
  /** What a viewer waits for an origin while something that has just expired could serve. */
  readonly patienceMs: number;
}
export interface AccessLogConfig {
  /** `-` is stdout. */
  readonly path: string;
  readonly format: "json" | "combined";
  /** One request in so many has a line. */
  readonly every: number;
}
export interface NodeDeps {
  readonly config: NodeConfig;
  /** Of live channels; null where there are none. */
  readonly directory: Directory | null;
  readonly log: Log;
  /** Since 1970. */
  readonly wallMs: () => number;
  /** Monotonic; freshness never depends on the wall clock. */
  readonly nowMs: () => number;
  readonly timeouts?: UpstreamTimeouts | undefined;
  readonly ready: () => Readiness;
  readonly accounts: Accounts;
  /** Undefined: memory is all there is. */
  readonly disk?: DiskStore | undefined;
  readonly purges?: Purges | undefined;
  /** All threads take each other's TLS session tickets. */
  readonly ticketKeys?: Buffer;
  /** This thread's place among others, and its ways to them. */
  readonly peers?: Pick<PeersDeps, "index" | "ports">;
}

interface Ports {
  readonly port: number;
  /** Null: no TLS. */
  readonly tlsPort: number | null;
}

const MiB = 1024 * 1024;
/** What fills may hold beside the cache: a quarter of it, and never less than one object of the largest size. */
const fillBytesMax = (cacheBytes: number): number => Math.max(64 * MiB, cacheBytes / 4);
/** Two such files are kept. */
const LOG_BYTES_MAX = 256 * MiB;
/** Larger ones are passed on, not kept. */
const OBJECT_BYTES_MAX = 64 * MiB;

export class EdgeNode {
  readonly metrics = new EdgeMetrics();
  readonly sites: ServedSites;
  readonly live: LiveServer | null;
  readonly siteServer: SiteServer;
  readonly media: MediaServer;
  readonly finder: Finder;
  readonly cache: Cache;
  readonly #deps: NodeDeps;
  readonly #upstream: Upstream;
  readonly #certificates: Certificates;
  readonly #peers: Peers | undefined;
  readonly #forOne: ForOneDeps;
  #listeners: RawListener[] = [];
  #accessLog: AccessLog | undefined;

  constructor(deps: NodeDeps) {
    const { config, directory, log, nowMs, wallMs, timeouts, ticketKeys } = deps;
    this.#deps = deps;
    this.#certificates = new Certificates(ticketKeys ? { ticketKeys } : {});
    this.#upstream = new Upstream(config.allowPrivateSources, timeouts);
    this.cache = new Cache(config.cacheBytes, { seed: randomInt(2 ** 31) });
    const name = `castellan-edge-${config.nodeId || hostname()}`;
    const budget = new ByteBudget(fillBytesMax(config.cacheBytes));
    const allocate = config.isShared ? allocateShared : allocatePlain;
    const common = { cache: this.cache, metrics: this.metrics, budget, allocate };
    const state = { ...common, nowMs, wallMs, log, via: `1.1 ${name}`, name };
    this.#forOne = state;
    const liveState = { floors: new Floors(), windows: new LiveWindows(), health: new Health() };
    const fillDeps: FillDeps = { ...state, ...liveState, upstream: this.#upstream, pause: (ms) => pause(ms) };
    const fills = new Fills(fillDeps);
    const prober = new Prober(fillDeps);
    this.live =
      directory &&
      new LiveServer({
        ...state,
        ...liveState,
        directory,
        fills,
        prober,
        contextsOf: tenantContexts(deps.accounts),
        elsewhere: (exchange, target) => this.#liveElsewhere(exchange, target),
      });
    const disk = deps.disk && new DiskTier({ ...state, disk: deps.disk });
    const objects = new SiteObjects({ ...state, disk, purges: deps.purges });
    const siteFills = new SiteFills({ ...state, store: objects, objectBytesMax: OBJECT_BYTES_MAX });
    objects.isFilling = (key) => siteFills.running(key) !== undefined;
    const { policy } = this.cache;
    const { patienceMs } = config;
    const mayPrefetch = () => policy.mayPrefetch();
    this.finder = new Finder({ ...state, objects, fills: siteFills, patienceMs, mayPrefetch });
    this.siteServer = new SiteServer({
      ...state,
      policy,
      find: (request, plan) => this.#find(request, plan),
      cacheable: (key) => (this.#isElsewhere(key) ? this.#peers?.cacheable(key) : objects.cacheable(key)),
      invalidate: (key) => (this.#isElsewhere(key) ? this.#peers?.invalidate(key) : objects.invalidate(key)),
    });
    this.sites = new ServedSites({
      ...{ log, nowMs, allowPrivateSources: config.allowPrivateSources, accounts: deps.accounts },
      ...{ packagers: () => config.packagerUrls, gateways: () => config.gatewayUrls ?? [] },
    });
    this.media = new MediaServer({ ...state, sites: this.sites, server: this.siteServer });
    this.#peers =
      deps.peers &&
      new Peers({
        ...deps.peers,
        ...{ nowMs, log },
        find: (asked) => this.#findFor(asked),
        used: (key) => void this.cache.get(key),
        invalidate: (key) => objects.invalidate(key),
        cacheable: (key) => objects.cacheable(key),
      });
    if (this.#peers) this.cache.onGone = (key) => this.#peers?.gone([key]);
    this.metrics.watch({
      cacheBytes: () => this.cache.sizeBytes,
      cacheObjects: () => this.cache.objectCount,
      fillCount: () => fills.count + siteFills.count,
      snapshotVersion: () => directory?.version ?? 0,
    });
  }

  /** From now on these are served. Throws a ConfigError, and nothing has changed, when a certificate can't be used. */
  apply(sites: Sites): void {
    const entries = sites.all.flatMap(({ certificate, hostnames }) =>
      certificate ? [{ cert: certificate.cert, key: certificate.key, hostnames }] : [],
    );
    this.#certificates.setAll(entries);
    this.sites.apply(sites);
    this.siteServer.reconfigured();
    this.#peers?.forget();
  }

  /** What has changed of who is let in to stored media. */
  admit(news: AdmissionNews): void {
    this.media.admit(news);
  }

  /** Resolves when a power loss can't undo it; it counts at once. */
  async purge(purge: Purge): Promise<void> {
    const { purges } = this.#deps;
    const kept = purges?.purge(purge);
    this.#peers?.forget();
    await kept;
  }

  /** Opens the ports; rejects with one clear line when one is taken. */
  async listen({ port, tlsPort }: Ports = this.#deps.config): Promise<Ports> {
    this.#accessLog = await openLog(this.#deps);
    const plain = await this.#open({ name: "edge", port, portVariable: "EDGE_PORT" });
    if (tlsPort === null) return { port: plain.port, tlsPort: null };
    const tls = { name: "edge-tls", port: tlsPort, portVariable: "EDGE_TLS_PORT", certificates: this.#certificates };
    const encrypted = await this.#open(tls);
    return { port: plain.port, tlsPort: encrypted.port };
  }

  async close(graceMs: number): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close(graceMs)));
    await this.#accessLog?.close();
    this.#peers?.close();
    this.#upstream.close();
    await this.sites.close();
  }

  #isElsewhere(key: string): boolean {
    return this.#peers !== undefined && !this.#peers.isOwn(key);
  }

  /** What there is for a request of a site, here or with the thread that owns its key. */
  #find(request: Asked & { readonly host: string }, plan: Plan): Verdict | Promise<Verdict> {
    const peers = this.#peers;
    if (!peers || peers.isOwn(plan.key)) return this.finder.find(request, plan);
    const { key, target } = plan;
    // Redirects are of live media alone.
    return peers.find(request, { key, owner: key, target }) as Verdict | Promise<Verdict>;
  }

  #liveElsewhere(exchange: RawExchange, { tenant, streamId }: Target): LiveVerdict | Promise<LiveVerdict> | undefined {
    const owner = `${tenant}/${streamId}`;
    if (!this.#peers || this.#peers.isOwn(owner)) return undefined;
    const { target } = exchange;
    const found = this.#peers.find(exchange, { key: `${LIVE_KEY}${target}`, owner, target });
    return found as LiveVerdict | Promise<LiveVerdict>; // live media is never passed on unkept
  }

  /** What this thread has for another one. */
  #findFor(asked: AskMessage & Asked): Found | Promise<Found> {
    const { host, path, query } = asked;
    const runtime = this.sites.find(host) ?? (isPackaged(path) ? this.sites.platform : null);
    // The asking thread has decided which of the two it is, by the path as the viewer wrote it.
    if (this.live && asked.key.startsWith(LIVE_KEY)) {
      const parsed = parseTarget(query === "" ? path : `${path}?${query}`);
      if ("refusal" in parsed) return { kind: "problem", result: "refused", refusal: parsed.refusal };
      return this.live.find(parsed.target);
    }
    if (!runtime) return { kind: "problem", result: "refused", refusal: { code: "SITE_UNKNOWN", data: { host } } };
    const plan = this.siteServer.plan(runtime, path, query);
    if ("code" in plan) return { kind: "problem", result: "refused", refusal: plan };
    // While a configuration is changing, the threads may not agree on whose the host is.
    if (plan.key !== asked.key) return { kind: "pass", status: { fwd: "bypass" }, answer: undefined };
    return this.#findSiteFor(asked, plan);
  }

  async #findSiteFor(asked: Asked, plan: Plan): Promise<Verdict> {
    const verdict = await this.finder.find(asked, plan);
    return verdict.kind === "pass" ? forOne(verdict, plan.runtime, this.#forOne) : verdict;
  }

  async #open(own: Pick<RawListenerOptions, "name" | "port" | "portVariable" | "certificates">): Promise<RawListener> {
    const { config, log, ready } = this.#deps;
    const listener = await openRawListener({
      ...own,
      ...{ host: config.host, log, ready, reusePort: config.isShared },
      ...(this.#accessLog ? { accessLog: this.#accessLog } : {}),
      hasHealth: (request) => this.#hasHealth(request),
      handle: (exchange) => this.#route(exchange),
      noted: (exchange) => this.#count(exchange),
      refusedBytes: (bytes) => this.#count({ context: undefined, status: 400, wireBytes: bytes, firstByteMs: 0 }),
    });
    this.#listeners.push(listener);
    return listener;
  }

  /**
   * Probes may come by any host that no site names. Figures are for no viewer: they are shown to this machine alone,
   * and at the operator's door.
   */
  #hasHealth({ host, path, remoteAddress }: RawRequest): boolean {
    const site = this.sites.find(host)?.site;
    if (site?.hostnames.includes(hostnameOf(host))) return false;
    return path !== "/metrics" || (site === undefined && isLoopback(remoteAddress));
  }

  /** Phase "account". What no handler saw through was refused, and is nobody's. */
  #count({ context, status, wireBytes, firstByteMs }: NotedExchange): void {
    const known = context as Context | undefined; // put there by one of our servers
    const result = known?.result ?? "refused";
    const account = known?.account ?? this.#deps.accounts.other;
    this.metrics.answered(result, wireBytes);
    account.count({ status, sentBytes: wireBytes, isHit: isHit(result), ttfbMs: firstByteMs });
  }

  /** Phase "route": whose request it is. A host that is no customer's site is the platform's own. */
  #route(exchange: RawExchange): Promise<void> | undefined {
    const runtime = this.sites.find(exchange.host);
    if (runtime) {
      if (isMedia(exchange.path) && hasPackager(runtime.site)) return this.media.serve(exchange, runtime);
      const isLive = this.live !== null && exchange.path.startsWith("/live/") && hasLive(runtime);
      return isLive ? this.live.serve(exchange) : this.siteServer.serve(exchange, runtime);
    }
    const platform = isOpen(exchange.path) || isMedia(exchange.path) ? this.sites.platform : null;
    if (platform && isMedia(exchange.path)) return this.media.serve(exchange, platform);
    if (platform) return this.siteServer.serve(exchange, platform);
    if (this.live) return this.live.serve(exchange);
    exchange.problem({ code: "SITE_UNKNOWN", data: { host: exchange.host } });
    return undefined;
  }
}

const openLog = async ({ config, log }: NodeDeps): Promise<AccessLog | undefined> => {
  if (config.accessLog === null) return undefined;
  const { path, format, every } = config.accessLog;
  const details = ({ context }: AccessEntry): AccessDetails | undefined => {
    const known = context as Context | undefined; // as in #count
    return known && { cache: known.result, customer: known.customer };
  };
  return openAccessLog({
    path,
    format,
    log,
    details,
    sample: { every, errorsAlways: true },
    fileBytesMax: LOG_BYTES_MAX,
  });
};

/** Live media is counted for the tenants that own it. */
const tenantContexts = (accounts: Accounts): ((tenant: string | undefined) => Contexts) => {
  const nobody = accountedContexts(accounts.other, PLATFORM);
  const known = new Map<string, Contexts>();
  return (tenant) => {
    if (tenant === undefined) return nobody;
    let contexts = known.get(tenant);
    if (!contexts) {
      contexts = accountedContexts(accounts.row({ hostname: "*", customer: PLATFORM, tenant }), PLATFORM);
      known.set(tenant, contexts);
    }
    return contexts;
  };
};

/** Of live media between threads; sites' keys begin with a customer and a slash. */
const LIVE_KEY = "live ";

/** Files of the packagers that anybody may ask for: what titles are made of is behind `/api/media/` (design §9). */
const isOpen = (path: string): boolean => path.startsWith("/i/");
/** Paths of packagers, as threads ask each other for them. */
const isPackaged = (path: string): boolean => isOpen(path) || isContentPath(path);

const hasLive = ({ site }: SiteRuntime): boolean =>
  site.origins.some((origin) => origin.kind === "plexbd" && origin.plexbd === "live");
