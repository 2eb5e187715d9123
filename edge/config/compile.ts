/** From a configuration's words to what requests are answered by: all of it, or a refusal that names each fault. */
import { homedir } from "node:os";
import type { EdgeConfig, EdgeCustomer, EdgeOrigin, EdgeRule, EdgeSite } from "../../contracts/edge-config.ts";
import type { FieldError } from "../../contracts/errors.ts";
import { normalPrefix } from "../../domain/signed-url/token.ts";
import { duration } from "../../lib/config/kinds.ts";
import { type ServerCertificate, serverCertificate } from "../../lib/crypto/server-certificate.ts";
import { ConfigRefused } from "./refused.ts";
import { DEFAULT_RULE, isWildcard, type Rule, type Site, type SiteOrigin, Sites } from "./sites.ts";
import { sourceSettings } from "./source.ts";

/** The text of a file that a configuration names; throws where it can't be read. */
export type ReadText = (path: string) => string;

export interface CompileDeps {
  readonly readText: ReadText;
  /** What was compiled before: certificates whose bytes are the same are not looked at again. */
  readonly former?: Sites | undefined;
  /** Where `.ssh/known_hosts` is looked for; the user's own unless told. */
  readonly homeDir?: string;
}

const HEALTH_INTERVAL_MS = 2_000;
const ERRORS_MAX = 50;
const ANY_LENGTH = duration(0, Number.MAX_SAFE_INTEGER); // the contract has looked at its bounds

/** Faults are collected, so that an operator sees all of them at once. */
class Faults {
  readonly list: FieldError[] = [];
  add(path: string, message: string): void {
    if (this.list.length < ERRORS_MAX) this.list.push({ path, message });
  }
}

interface Context {
  readonly faults: Faults;
  readonly readText: ReadText;
  readonly homeDir: string;
  /** By both texts: one object for all sites that share a pair. */
  readonly certificates: Map<string, ServerCertificate>;
}

const msOf = (text: string | undefined, otherwise: number): number =>
  text === undefined ? otherwise : ANY_LENGTH.parse(text);
const withoutSlash = (url: string): string => url.replace(/\/+$/, "");
const pairOf = (cert: string, key: string): string => `${cert}\0${key}`;

const compileRule = (rule: EdgeRule): Rule =>
  Object.freeze({
    cache: rule.cache,
    ttlMs: rule.ttl === undefined ? null : ANY_LENGTH.parse(rule.ttl),
    negativeTtlMs: msOf(rule.negativeTtl, DEFAULT_RULE.negativeTtlMs),
    graceMs: msOf(rule.grace, DEFAULT_RULE.graceMs),
    staleWhileRevalidateMs:
      rule.staleWhileRevalidate === undefined ? null : ANY_LENGTH.parse(rule.staleWhileRevalidate),
    query: Array.isArray(rule.query) ? new Set(rule.query) : (rule.query ?? DEFAULT_RULE.query),
    stripSetCookie: rule.stripSetCookie ?? DEFAULT_RULE.stripSetCookie,
    prefetch: rule.prefetch ?? DEFAULT_RULE.prefetch,
  });

/** In the form that requests' paths are compared in; the contract lets only paths through that have one. */
const normal = (path: string): string => normalPrefix(path) ?? path;
const escaped = (suffix: string): string => suffix.replace(/[^\0-\x7f]+/g, (letters) => encodeURIComponent(letters));

/** Finds a path's rule; asked once per request. */
const ruleFinder = (rules: readonly EdgeRule[]): ((path: string) => Rule) => {
  const compiled = rules.map((rule) => ({
    prefix: rule.prefix === undefined ? "" : normal(rule.prefix),
    suffixes: rule.suffixes?.map(escaped) ?? [""],
    rule: compileRule(rule),
  }));
  return (path) => {
    for (const { prefix, suffixes, rule } of compiled) {
      if (path.startsWith(prefix) && suffixes.some((suffix) => path.endsWith(suffix))) return rule;
    }
    return DEFAULT_RULE;
  };
};

const compileOrigin = (context: Context, origin: EdgeOrigin, at: string): SiteOrigin[] => {
  const { id, order = 0, weight = 1, url, source, plexbd, hostHeader } = origin;
  const placed = { id, order, weight };
  if (url !== undefined) return [{ ...placed, kind: "http", url: withoutSlash(url), hostHeader: hostHeader ?? null }];
  if (plexbd !== undefined) return [{ ...placed, kind: "plexbd", plexbd }];
  if (source === undefined) return [];
  const settings = sourceSettings(source, context.homeDir);
  if ("kind" in settings) return [{ ...placed, kind: "source", settings }];
  context.faults.add(`${at}.source.${settings.field}`, settings.message);
  return [];
};

const reasonOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

const textOf = ({ faults, readText }: Context, path: string, at: string): string | undefined => {
  try {
    return readText(path);
  } catch (error) {
    faults.add(at, `the file ${path} can't be read (${reasonOf(error)})`);
    return undefined;
  }
};

const compileCertificate = (context: Context, { certificate }: EdgeSite, at: string): ServerCertificate | null => {
  if (!certificate) return null;
  const { certFile, keyFile } = certificate;
  const cert = certFile === undefined ? certificate.cert : textOf(context, certFile, `${at}.certFile`);
  const key = keyFile === undefined ? certificate.key : textOf(context, keyFile, `${at}.keyFile`);
  if (cert === undefined || key === undefined) return null;
  const known = context.certificates.get(pairOf(cert, key));
  if (known) return known;
  const made = serverCertificate(cert, key);
  if (typeof made === "string") {
    context.faults.add(at, made);
    return null;
  }
  context.certificates.set(pairOf(cert, key), Object.freeze(made));
  return made;
};

const compileSite = (context: Context, { id: customer, tenant }: EdgeCustomer, site: EdgeSite, at: string): Site => {
  const origins = site.origins
    .flatMap((origin, index) => compileOrigin(context, origin, `${at}.origins.${index}`))
    .sort((a, b) => a.order - b.order);
  const { health, signing } = site;
  return Object.freeze({
    id: `${customer}/${site.hostnames[0]}`,
    customer,
    tenant: tenant ?? null,
    hostnames: site.hostnames,
    isWildcard: isWildcard(site.hostnames),
    origins,
    parents: (site.parents ?? []).map(({ id, url }) => ({ id, url: withoutSlash(url) })),
    health: health ? { path: health.path, intervalMs: health.intervalMs ?? HEALTH_INTERVAL_MS } : null,
    signing: signing ? { prefix: normal(signing.prefix ?? "/"), keys: signing.keys } : null,
    certificate: compileCertificate(context, site, `${at}.certificate`),
    ruleFor: ruleFinder(site.rules ?? []),
  });
};

const certificatesOf = (former: Sites | undefined): Map<string, ServerCertificate> =>
  new Map(
    (former?.all ?? []).flatMap(({ certificate }) =>
      certificate ? [[pairOf(certificate.cert, certificate.key), certificate] as const] : [],
    ),
  );

/** The sites of a configuration that its schema has let through. Throws ConfigRefused. */
export const compileConfig = (config: EdgeConfig, { readText, former, homeDir = homedir() }: CompileDeps): Sites => {
  const texts = new Map<string, string>();
  const read: ReadText = (path) => {
    const text = readText(path);
    texts.set(path, text);
    return text;
  };
  const context = { faults: new Faults(), readText: read, homeDir, certificates: certificatesOf(former) };
  const sites = config.customers.flatMap((customer, customerIndex) =>
    customer.sites.map((site, siteIndex) =>
      compileSite(context, customer, site, `customers.${customerIndex}.sites.${siteIndex}`),
    ),
  );
  if (context.faults.list.length > 0) throw new ConfigRefused(context.faults.list);
  return new Sites(sites, { config, texts });
};
