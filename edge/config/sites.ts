/** What a configuration is once it is compiled: immutable, and looked up per request. */
import type { ServerCertificate } from "../../lib/crypto/server-certificate.ts";
import type { SourceSettings } from "../../lib/source/settings.ts";

/** How answers to certain paths are kept. Times in ms; null: not said. */
export interface Rule {
  readonly cache: "honour" | "override" | "bypass";
  /** Freshness where the origin is silent, or (override) whatever it says. */
  readonly ttlMs: number | null;
  /** Freshness of 404s and the like that say nothing themselves. */
  readonly negativeTtlMs: number;
  /** Past its freshness, while origins fail (RFC 5861 §4). */
  readonly graceMs: number;
  /** Null: what the origin says (RFC 5861 §3). */
  readonly staleWhileRevalidateMs: number | null;
  /** A set: these parameters alone are kept. */
  readonly query: "keep" | "drop" | "sort" | ReadonlySet<string>;
  readonly stripSetCookie: boolean;
  readonly prefetch: boolean;
}

interface Placed {
  /** Unique in its site. */
  readonly id: string;
  /** Lower ones first. */
  readonly order: number;
  readonly weight: number;
}
export type SiteOrigin = Placed &
  (
    | {
        readonly kind: "http";
        /** Without a slash at its end. */
        readonly url: string;
        /** Null: the host of the URL. */
        readonly hostHeader: string | null;
      }
    | { readonly kind: "source"; readonly settings: SourceSettings }
    | { readonly kind: "plexbd"; readonly plexbd: "live" | "packager" }
  );

export interface SiteParent {
  readonly id: string;
  /** Without a slash at its end. */
  readonly url: string;
}

export type SigningKey =
  | { readonly id: string; readonly algorithm: "HS256" /** Base64url. */; readonly secret: string }
  | { readonly id: string; readonly algorithm: "EdDSA" /** 32 bytes in base64url. */; readonly publicKey: string };

export interface SiteSigning {
  /** Paths that begin so need a token. */
  readonly prefix: string;
  readonly keys: readonly SigningKey[];
}

export interface Site {
  /** `customer/first-hostname`: the same as long as these two are. */
  readonly id: string;
  readonly customer: string;
  /** Slug of the platform's tenant; null for a third party. */
  readonly tenant: string | null;
  readonly hostnames: readonly string[];
  /** It answers for every host that nobody names. */
  readonly isWildcard: boolean;
  /** By order; those of one order as they were written. */
  readonly origins: readonly SiteOrigin[];
  readonly parents: readonly SiteParent[];
  /** Null: origins are watched through viewers' requests alone. */
  readonly health: { readonly path: string; readonly intervalMs: number } | null;
  readonly signing: SiteSigning | null;
  /** The same object for as long as its bytes are the same. */
  readonly certificate: ServerCertificate | null;
  /** The first rule that fits a path (in normal form, without its query); DEFAULT_RULE where none does. */
  ruleFor(path: string): Rule;
}

export const DEFAULT_RULE: Rule = Object.freeze({
  cache: "honour",
  ttlMs: null,
  negativeTtlMs: 1_000,
  graceMs: 3_600_000,
  staleWhileRevalidateMs: null,
  query: "keep",
  stripSetCookie: false,
  prefetch: false,
});

const ANY_HOST = "*";

/** A configuration and the texts of the files that it names, by their paths. */
export interface MadeOf {
  readonly config: unknown;
  readonly texts: ReadonlyMap<string, string>;
}

/** All sites of one configuration. */
export class Sites {
  readonly all: readonly Site[];
  /** What they were compiled from, so that another thread can do the same; null: nothing was. */
  readonly madeOf: MadeOf | null;
  readonly #byHostname = new Map<string, Site>();
  readonly #wildcard: Site | undefined;

  constructor(all: readonly Site[], madeOf: MadeOf | null = null) {
    this.madeOf = madeOf;
    this.all = Object.freeze([...all]);
    for (const site of all) for (const hostname of site.hostnames) this.#byHostname.set(hostname, site);
    this.#wildcard = this.#byHostname.get(ANY_HOST);
  }

  /** The site of a request's host, which is in lower case and has no port. */
  find(host: string): Site | undefined {
    return this.#byHostname.get(host) ?? this.#wildcard;
  }
}

/** An edge that has not been told of any customer. */
export const NO_SITES = new Sites([]);
export const isWildcard = (hostnames: readonly string[]): boolean => hostnames.includes(ANY_HOST);
