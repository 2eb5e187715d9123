/** Secrets in a configuration: never shown, and kept where a new one says so. Pure. */
import { type EdgeConfig, type EdgeSite, type EdgeSource, KEPT } from "../../contracts/edge-config.ts";
import type { FieldError } from "../../contracts/errors.ts";

interface Secret {
  /** The same in another configuration, whatever the order there. */
  readonly name: string;
  /** Where it stands in its site. */
  readonly path: string;
  readonly value: string;
}
type Change = (secret: Secret) => string;

const SOURCE_SECRETS = ["password", "passphrase", "secretAccessKey"] as const;

const changeSource = (source: EdgeSource, change: (field: string, value: string) => string): EdgeSource => {
  const changed = SOURCE_SECRETS.flatMap((field) => {
    const value = source[field];
    return value === undefined ? [] : [[field, change(field, value)] as const];
  });
  return { ...source, ...Object.fromEntries(changed) };
};

/** A site whose secrets are what `change` makes of them. */
const changeSite = (site: EdgeSite, change: Change): EdgeSite => {
  const { certificate, signing } = site;
  const key = certificate?.key;
  const origins = site.origins.map((origin, index) => {
    if (!origin.source) return origin;
    const source = changeSource(origin.source, (field, value) =>
      change({ name: `origin ${origin.id} ${field}`, path: `origins.${index}.source.${field}`, value }),
    );
    return { ...origin, source };
  });
  const keys = signing?.keys.map((one, index) => {
    if (one.algorithm !== "HS256") return one;
    const path = `signing.keys.${index}.secret`;
    return { ...one, secret: change({ name: `key ${one.id}`, path, value: one.secret }) };
  });
  return {
    ...site,
    origins,
    ...(key === undefined
      ? {}
      : { certificate: { ...certificate, key: change({ name: "certificate", path: "certificate.key", value: key }) } }),
    ...(signing && keys ? { signing: { ...signing, keys } } : {}),
  };
};

/** As it may be shown. */
export const withoutSecrets = (config: EdgeConfig): EdgeConfig => ({
  customers: config.customers.map((customer) => ({
    ...customer,
    sites: customer.sites.map((site) => changeSite(site, () => KEPT)),
  })),
});

const secretsOf = (site: EdgeSite | undefined): ReadonlyMap<string, string> => {
  const secrets = new Map<string, string>();
  if (!site) return secrets;
  changeSite(site, ({ name, value }) => {
    secrets.set(name, value);
    return value;
  });
  return secrets;
};

/** The draft with every KEPT replaced by what the same customer's site (one that shares a hostname) had there. */
export const withKeptSecrets = (
  draft: EdgeConfig,
  former: EdgeConfig,
): { readonly config: EdgeConfig; readonly errors: readonly FieldError[] } => {
  const errors: FieldError[] = [];
  const customers = draft.customers.map((customer, customerIndex) => {
    const before = former.customers.find(({ id }) => id === customer.id)?.sites ?? [];
    const sites = customer.sites.map((site, siteIndex) => {
      const same = before.find(({ hostnames }) => hostnames.some((name) => site.hostnames.includes(name)));
      const secrets = secretsOf(same);
      return changeSite(site, ({ name, path, value }) => {
        const kept = value === KEPT ? secrets.get(name) : value;
        if (kept !== undefined) return kept;
        const at = `customers.${customerIndex}.sites.${siteIndex}.${path}`;
        errors.push({ path: at, message: "there is nothing to keep here" });
        return value;
      });
    });
    return { ...customer, sites };
  });
  return { config: { customers }, errors };
};
