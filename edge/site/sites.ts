/** The sites that are served now: a configuration's sites with their origins, guards and accounts, changed as one. */
import type { Log } from "../../lib/log/log.ts";
import { openSource } from "../../lib/source/open.ts";
import type { Accounts } from "../analytics/accounts.ts";
import { DEFAULT_RULE, NO_SITES, type Rule, type Site, type SiteOrigin, type Sites } from "../config/sites.ts";
import { Guard } from "../guard/guard.ts";
import { accountedContexts } from "../node/metrics.ts";
import { OriginSet } from "../origin/site/origin-set.ts";
import type { ContentOrigin, PackagerOrigin, UrlOrigin } from "../origin/site/set-options.ts";
import { UpstreamError } from "../origin/upstream.ts";
import type { SiteOrigins, SiteRuntime } from "./runtime.ts";
import { hostnameOf } from "./target.ts";

export interface ServedSitesDeps {
  readonly log: Log;
  /** Monotonic. */
  readonly nowMs: () => number;
  readonly allowPrivateSources: readonly string[];
  /** Base URLs of the platform's packagers. */
  readonly packagers: () => readonly string[];
  /** Base URLs of the platform's gateways. */
  readonly gateways: () => readonly string[];
  /** Counts what requests for a hostname cost. */
  readonly accounts: Accounts;
}

/** Transfers of a former configuration end by themselves until then. */
const DRAIN_MS = 300_000;
/** Spellings of hosts that are remembered. */
const HOSTS_MAX = 10_000;

/** The customer whose media is the platform's own. */
export const PLATFORM = "platform";
const PLATFORM_RULE: Rule = Object.freeze({ ...DEFAULT_RULE, prefetch: true });
const PLATFORM_SITE: Site = Object.freeze({
  id: `${PLATFORM}/*`,
  customer: PLATFORM,
  tenant: null,
  hostnames: ["*"],
  isWildcard: true,
  origins: [{ id: "packager", order: 0, weight: 1, kind: "plexbd", plexbd: "packager" } as const],
  parents: [],
  health: null,
  signing: null,
  certificate: null,
  ruleFor: () => PLATFORM_RULE,
});

/** What is for one viewer: content keys, licences, heartbeats. */
const GATEWAY_RULE: Rule = Object.freeze({ ...DEFAULT_RULE, cache: "bypass" });
const GATEWAY_SITE: Site = Object.freeze({
  ...PLATFORM_SITE,
  id: `${PLATFORM}/gateway`,
  origins: [],
  ruleFor: () => GATEWAY_RULE,
});

const isLive = (origin: SiteOrigin): boolean => origin.kind === "plexbd" && origin.plexbd === "live";

export const hasPackager = ({ origins }: Site): boolean =>
  origins.some((origin) => origin.kind === "plexbd" && origin.plexbd === "packager");

/** Origins whose clients are loaded on first use: a protocol that no site has costs nothing. */
class LateOrigins implements SiteOrigins {
  readonly #opening: Promise<OriginSet>;
  #set: OriginSet | undefined;

  constructor(opening: Promise<OriginSet>) {
    this.#opening = opening;
    opening.then(
      (set) => {
        this.#set = set;
      },
      () => {}, // told to who asks
    );
  }

  get isDown(): boolean {
    const known = this.#set?.health() ?? [];
    return known.length > 0 && known.every(({ isUp }) => !isUp);
  }

  get usualMs(): number | undefined {
    const known = (this.#set?.health() ?? []).flatMap(({ isUp, usualMs }) =>
      isUp && usualMs !== undefined ? [usualMs] : [],
    );
    return known.length === 0 ? undefined : Math.min(...known);
  }

  async ask(...question: Parameters<OriginSet["ask"]>): ReturnType<OriginSet["ask"]> {
    if (this.#set) return this.#set.ask(...question);
    const set = await this.#opening.catch((error: unknown) => {
      throw new UpstreamError("connect", error);
    });
    return set.ask(...question);
  }

  async close(): Promise<void> {
    await this.#opening.then(
      (set) => set.close(),
      () => {},
    );
  }
}

interface Served {
  readonly site: Site;
  readonly origins: SiteOrigins;
  readonly guard: Guard | null;
  /** Of what its origins were made: who keeps it keeps them, with all that is known of their health. */
  readonly madeOf: string;
}

export class ServedSites {
  readonly #deps: ServedSitesDeps;
  #sites: Sites = NO_SITES;
  #byId = new Map<string, Served>();
  /** Hosts as requests write them. */
  readonly #byHost = new Map<string, SiteRuntime | undefined>();
  #platform: SiteRuntime | null = null;
  #gateway: SiteRuntime | null = null;
  readonly #draining = new Set<{ readonly timer: NodeJS.Timeout; readonly origins: SiteOrigins }>();

  constructor(deps: ServedSitesDeps) {
    this.#deps = deps;
  }

  /** The platform's own stored media, on every host that is no customer's; null without packagers. */
  get platform(): SiteRuntime | null {
    if (this.#platform || this.#deps.packagers().length === 0) return this.#platform;
    const account = this.#deps.accounts.row({ hostname: "*", customer: PLATFORM, tenant: null });
    const contexts = accountedContexts(account, PLATFORM);
    const origins = new LateOrigins(this.#open(PLATFORM_SITE));
    this.#platform = { site: PLATFORM_SITE, origins, guard: null, account, contexts };
    return this.#platform;
  }

  /** The platform's gateways, for what is nobody else's; null where none are known. */
  get gateway(): SiteRuntime | null {
    const urls = this.#deps.gateways();
    if (this.#gateway || urls.length === 0) return this.#gateway;
    const { log, nowMs } = this.#deps;
    const set = new OriginSet({
      origins: urls.map((url, order) => ({ id: `gateway:${order}`, url: url.replace(/\/+$/, "") })),
      ...{ site: "", trusted: true, nowMs, log, random: Math.random },
    });
    const account = this.#deps.accounts.row({ hostname: "*", customer: PLATFORM, tenant: null });
    const origins = new LateOrigins(Promise.resolve(set));
    this.#gateway = {
      site: GATEWAY_SITE,
      origins,
      guard: null,
      account,
      contexts: accountedContexts(account, PLATFORM),
    };
    return this.#gateway;
  }

  /** From now on these are served; origins that are as they were go on. */
  apply(sites: Sites): void {
    const before = this.#byId;
    this.#byId = new Map(sites.all.map((site) => [site.id, this.#served(site, before.get(site.id))]));
    this.#sites = sites;
    this.#byHost.clear();
    const kept = new Set([...this.#byId.values()].map(({ origins }) => origins));
    for (const { origins } of before.values()) if (!kept.has(origins)) this.#drain(origins);
  }

  /** The site of a request's Host; undefined where none has it. */
  find(host: string): SiteRuntime | undefined {
    if (this.#byHost.has(host)) return this.#byHost.get(host);
    if (this.#byHost.size >= HOSTS_MAX) this.#byHost.clear();
    const hostname = hostnameOf(host);
    const site = this.#sites.find(hostname);
    const served = site && this.#byId.get(site.id);
    const runtime = served && this.#runtime(served, hostname);
    this.#byHost.set(host, runtime);
    return runtime;
  }

  #runtime({ site, origins, guard }: Served, asked: string): SiteRuntime {
    const { customer, tenant, hostnames } = site;
    // As configured: what clients call a host that takes every name is theirs to make up.
    const hostname = hostnames.includes(asked) ? asked : "*";
    const account = this.#deps.accounts.row({ hostname, customer, tenant });
    return { site, origins, guard, account, contexts: accountedContexts(account, customer) };
  }

  async close(): Promise<void> {
    const drained = [...this.#draining].map(({ timer, origins }) => {
      clearTimeout(timer);
      return origins;
    });
    this.#draining.clear();
    const served = [...this.#byId.values()].map(({ origins }) => origins);
    await Promise.all(
      [...served, ...drained, this.#platform?.origins, this.#gateway?.origins].map((origins) => origins?.close()),
    );
  }

  #drain(origins: SiteOrigins): void {
    const timer = setTimeout(() => {
      this.#draining.delete(entry);
      void origins.close();
    }, DRAIN_MS).unref();
    const entry = { timer, origins };
    this.#draining.add(entry);
  }

  #served(site: Site, before: Served | undefined): Served {
    const { origins, parents, health, hostnames, signing } = site;
    const madeOf = JSON.stringify({ origins, parents, health, hostnames });
    return {
      site,
      madeOf,
      guard: signing && new Guard(signing.keys, { prefix: signing.prefix }),
      origins: before?.madeOf === madeOf ? before.origins : new LateOrigins(this.#open(site)),
    };
  }

  async #open(site: Site): Promise<OriginSet> {
    const { log, nowMs, packagers } = this.#deps;
    const [hostname = ""] = site.hostnames;
    const made = site.origins.filter((origin) => !isLive(origin)).map((origin) => this.#origin(origin));
    return new OriginSet({
      origins: await Promise.all(made),
      parents: site.parents,
      ...(site.health ? { health: site.health } : {}),
      // A file is the operator's own word, and a signed revision that of a platform's admin (design §9).
      ...{ packagers, site: hostname, trusted: true, nowMs, log, random: Math.random },
    });
  }

  async #origin(origin: SiteOrigin): Promise<UrlOrigin | ContentOrigin | PackagerOrigin> {
    const { id, order, weight } = origin;
    switch (origin.kind) {
      case "http": {
        const { url, hostHeader } = origin;
        return { id, order, weight, url, ...(hostHeader === null ? {} : { hostHeader }) };
      }
      case "source": {
        const { log, allowPrivateSources } = this.#deps;
        return { id, order, weight, source: await openSource(origin.settings, { log, allowPrivateSources }) };
      }
      case "plexbd":
        return { id, order, weight, plexbd: "packager" };
    }
  }
}
