/**
 * What an edge is told of CDN customers: whose hostnames it serves, from which origins, by which rules. The same words
 * in an operator's edge.json and in a configuration that the fleet publishes.
 */
import { z } from "zod";
import { TenantSlug } from "./ids.ts";

/** A document of more bytes is refused unread; 10,000 customers with a chain of 5 kB each fit. */
export const EDGE_CONFIG_BYTES_MAX = 64 * 1024 * 1024;
const CUSTOMERS_MAX = 10_000;
const SITES_MAX = 100; // of a customer
const HOSTNAMES_MAX = 100; // of a site
const HOSTNAMES_MAX_ALL = 20_000;
const ORIGINS_MAX = 16;
const PARENTS_MAX = 64;
const RULES_MAX = 200;
const SUFFIXES_MAX = 50;
const QUERY_NAMES_MAX = 50;
const KEYS_MAX = 16;
const TEXT_MAX = 2_000;
const PATH_MAX = 1_024; // escaped; what a token can name
const PEM_MAX = 64 * 1024; // a chain of four certificates is under 10 kB

const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const HOUR_MS = 3_600_000;
const YEAR_MS = 366 * 24 * HOUR_MS;

/** The ms of a length of time written with its unit (`500ms`, `6s`, `2m`, `1h`); undefined where it is none. */
export const durationMs = (text: string): number | undefined => {
  const [, digits, unit = ""] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text) ?? [];
  const factor = MS_PER_UNIT[unit];
  return digits === undefined || factor === undefined ? undefined : Math.round(Number(digits) * factor);
};

const inHours = (ms: number): string => (ms % HOUR_MS === 0 ? `${ms / HOUR_MS}h` : `${ms}ms`);
const Duration = (minMs: number, maxMs: number) =>
  z
    .string()
    .max(20)
    .refine(
      (text) => {
        const ms = durationMs(text);
        return ms !== undefined && ms >= minMs && ms <= maxMs;
      },
      `must be a length of time from ${minMs}ms to ${inHours(maxMs)} with its unit, such as 500ms, 6s or 2m`,
    );

const Id = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62})$/, "must be 1 to 63 letters, digits, ., _ or -, no sign first");

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const isHostname = (text: string): boolean => {
  if (text.length > 253 || !URL.canParse(`http://${text}/`)) return false;
  // What the URL standard would write in another way (upper case, ports, IDNA, odd addresses) no request would match.
  if (new URL(`http://${text}/`).hostname !== text) return false;
  return text.startsWith("[") || text.split(".").every((label) => LABEL.test(label));
};
/** As requests name it: lower case, ASCII, no port; `*` is every host that is not named. */
export const Hostname = z
  .string()
  .refine(
    (text) => text === "*" || isHostname(text),
    'must be a host name in lower case without a port, or "*" for every other host',
  );

const isHttpUrl = (text: string): boolean => {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return false;
  const { hostname, username, password, search, hash } = new URL(text);
  return hostname !== "" && `${username}${password}${search}${hash}` === "" && !/[?#\s]/.test(text);
};
const HttpUrl = z
  .string()
  .max(TEXT_MAX)
  .refine(isHttpUrl, "must be an http:// or https:// URL without query, fragment or credentials");

const hasNoControls = (text: string): boolean => !/\p{Cc}/u.test(text);
const Text = z.string().min(1).max(TEXT_MAX).refine(hasNoControls, "must hold no control characters");
/** A path of the edge's own disk; a relative one begins where the edge was started. */
const FilePath = Text;
/** No escape that two readers could take differently: of a slash, a backslash or a control character; none broken. */
const ESCAPES = /^(?:[^%]|%(?!2f|5c|7f|[01])[0-9a-f]{2})*$/i;
const DOT_SEGMENT = /\/(?:\.|%2e){1,2}(?:\/|$)/i;
const isUrlPath = (text: string): boolean =>
  text.length <= PATH_MAX &&
  /^\/[^\s?#\\\p{Cc}]*$/u.test(text) &&
  ESCAPES.test(text) &&
  !DOT_SEGMENT.test(text) &&
  text.isWellFormed() &&
  text.replace(/[^\0-\x7f]+/g, (letters) => encodeURIComponent(letters)).length <= PATH_MAX;
const UrlPath = z
  .string()
  .refine(isUrlPath, "must be a path that begins with a slash, without query, dot segments or encoded slashes");

const pem = (what: string) =>
  z
    .string()
    .max(PEM_MAX)
    .regex(new RegExp(`^\\s*-----BEGIN ${what}-----[\\s\\S]+-----END ${what}-----\\s*$`), "must be PEM");

/** Stands in an answer for a secret; in a document that is published: as it was. */
export const KEPT = "(kept)";
type SecretKind = (schema: z.ZodType<string>) => z.ZodType<string>;
const asIs: SecretKind = (schema) => schema;
const orKept: SecretKind = (schema) => z.literal(KEPT).or(schema);

const exactlyOne = (names: readonly string[]) => (value: object) =>
  names.filter((name) => (value as Readonly<Record<string, unknown>>)[name] !== undefined).length === 1;
const isUnique = (ids: readonly string[]): boolean => new Set(ids).size === ids.length;
const uniqueIds = (list: readonly { readonly id: string }[]): boolean => isUnique(list.map(({ id }) => id));
const UNIQUE_IDS = "must have each id once";

const certificateOf = (secret: SecretKind) =>
  z
    .strictObject({
      certFile: FilePath.optional(),
      keyFile: FilePath.optional(),
      /** The chain, the server's own first. */
      cert: pem("CERTIFICATE").optional(),
      key: secret(pem("(?:[A-Z]+ )?PRIVATE KEY")).optional(),
    })
    .refine(
      ({ certFile, keyFile, cert, key }) =>
        (certFile !== undefined && keyFile !== undefined && cert === undefined && key === undefined) ||
        (cert !== undefined && key !== undefined && certFile === undefined && keyFile === undefined),
      "must have certFile and keyFile, or cert and key",
    );

const SOURCE_SCHEMES = ["file", "http", "https", "s3", "ftp", "ftps", "sftp", "scp", "rsync", "rsync+ssh"] as const;
const isSourceUrl = (text: string): boolean => {
  const scheme = SOURCE_SCHEMES.find((one) => text.startsWith(`${one}://`));
  if (!scheme || !URL.canParse(text)) return false;
  const { username, password, search, hash, hostname } = new URL(text);
  if (`${username}${password}${search}${hash}` !== "" || /[?#]/.test(text)) return false;
  return scheme === "file" ? /^file:\/\/\//.test(text) : hostname !== "";
};
/** A place that files are read from, as the packager reads them too. */
const sourceOf = (secret: SecretKind) =>
  z.strictObject({
    /** `file:///folder`, `http(s)://host/base`, `s3://bucket/prefix`, `(s)ftp(s)://host/folder` … */
    url: z
      .string()
      .max(TEXT_MAX)
      .refine(isSourceUrl, `must be a URL of ${SOURCE_SCHEMES.join(", ")} without query, fragment or credentials`),
    user: Text.optional(),
    password: secret(Text).optional(),
    /** SSH: a private key's file, what opens it, and the servers that are known. */
    keyFile: FilePath.optional(),
    passphrase: secret(Text).optional(),
    knownHostsFile: FilePath.optional(),
    /** PEM of authorities to trust instead of the usual ones. */
    caFile: FilePath.optional(),
    /** S3. */
    endpoint: HttpUrl.optional(),
    region: z
      .string()
      .regex(/^[a-z0-9-]{1,64}$/, "must be a region's name")
      .optional(),
    accessKeyId: Text.optional(),
    secretAccessKey: secret(Text).optional(),
    pathStyle: z.boolean().optional(),
    /** FTP: TLS by AUTH TLS; ftps is TLS from the start. */
    explicitTls: z.boolean().optional(),
  });

const originOf = (secret: SecretKind) =>
  z
    .strictObject({
      id: Id,
      url: HttpUrl.optional(),
      source: sourceOf(secret).optional(),
      /** This platform's own streamers, or its packager. */
      plexbd: z.enum(["live", "packager"]).optional(),
      /** Lower ones are asked first; equal ones share by weight. */
      order: z.int().min(0).max(100).optional(),
      weight: z.int().min(1).max(1_000).optional(),
      /** What `Host` says to it; its own name unless told. */
      hostHeader: z
        .string()
        .regex(
          /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9a-fA-F:.]{2,45}\])(?::\d{1,5})?$/,
          "must be a host, perhaps with a port",
        )
        .optional(),
    })
    .refine(exactlyOne(["url", "source", "plexbd"]), "must have one of url, source and plexbd")
    .refine(({ hostHeader, url }) => hostHeader === undefined || url !== undefined, {
      path: ["hostHeader"],
      message: "has a meaning with url alone",
    });

const Parent = z.strictObject({ id: Id, url: HttpUrl });
const Health = z.strictObject({ path: UrlPath, intervalMs: z.int().min(500).max(600_000).optional() });

/** The first rule whose prefix and suffix both fit a path counts; one without either fits every path. */
const CacheRule = z
  .strictObject({
    prefix: UrlPath.optional(),
    suffixes: z
      .array(z.string().regex(/^[^\s?#\p{Cc}]{1,100}$/u, "must be the end of a path, such as .m3u8"))
      .min(1)
      .max(SUFFIXES_MAX)
      .optional(),
    /** honour: what the origin says, ttl where it is silent; override: ttl whatever it says; bypass: never kept. */
    cache: z.enum(["honour", "override", "bypass"]),
    ttl: Duration(0, YEAR_MS).optional(),
    negativeTtl: Duration(0, 24 * HOUR_MS).optional(),
    /** How long past its freshness an object may be served while origins fail. */
    grace: Duration(0, YEAR_MS).optional(),
    staleWhileRevalidate: Duration(0, 24 * HOUR_MS).optional(),
    /** What of the query belongs to the cache key and reaches the origin; a list: these names alone. */
    query: z
      .union([
        z.enum(["keep", "drop", "sort"]),
        z
          .array(z.string().regex(/^[^\s&=#\p{Cc}]{1,100}$/u, "must be a parameter's name"))
          .min(1)
          .max(QUERY_NAMES_MAX),
      ])
      .optional(),
    stripSetCookie: z.boolean().optional(),
    /** The next segments of playlists are fetched before they are asked for. */
    prefetch: z.boolean().optional(),
  })
  .refine(({ cache, ttl }) => cache !== "override" || ttl !== undefined, {
    path: ["ttl"],
    message: "is needed by override",
  })
  .refine(
    ({ cache, ...rest }) =>
      cache !== "bypass" ||
      [rest.ttl, rest.negativeTtl, rest.grace, rest.staleWhileRevalidate].every((text) => text === undefined),
    { path: ["cache"], message: "bypass keeps nothing: ttl, negativeTtl, grace and staleWhileRevalidate mean nothing" },
  );

/** What a token can name its key by. */
const KeyId = z.string().regex(/^[A-Za-z0-9_-]{1,32}$/, "must be 1 to 32 letters, digits, _ or -");
/** Whole bytes, written in the one way: what the last character has beyond them is zero. */
const BASE64URL = /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$/;
const Base64Url = (minBytes: number, maxBytes: number, what: string) =>
  z
    .string()
    .refine(
      (text) =>
        BASE64URL.test(text) &&
        Math.floor((text.length * 3) / 4) >= minBytes &&
        Math.floor((text.length * 3) / 4) <= maxBytes,
      `must be ${what} in base64url without padding`,
    );
const signingOf = (secret: SecretKind) =>
  z.strictObject({
    /** Paths that need a token; all unless told. */
    prefix: UrlPath.optional(),
    keys: z
      .array(
        z.discriminatedUnion("algorithm", [
          z.strictObject({
            id: KeyId,
            algorithm: z.literal("HS256"),
            /** At least as long as the hash (RFC 7518 §3.2). */
            secret: secret(Base64Url(32, 256, "32 to 256 bytes")),
          }),
          z.strictObject({ id: KeyId, algorithm: z.literal("EdDSA"), publicKey: Base64Url(32, 32, "32 bytes") }),
        ]),
      )
      .min(1)
      .max(KEYS_MAX)
      .refine(uniqueIds, UNIQUE_IDS),
  });

const siteOf = (secret: SecretKind) =>
  z.strictObject({
    hostnames: z.array(Hostname).min(1).max(HOSTNAMES_MAX),
    certificate: certificateOf(secret).optional(),
    origins: z.array(originOf(secret)).min(1).max(ORIGINS_MAX).refine(uniqueIds, UNIQUE_IDS),
    /** Shield edges, chosen by rendezvous hash of the key. */
    parents: z.array(Parent).max(PARENTS_MAX).refine(uniqueIds, UNIQUE_IDS).optional(),
    health: Health.optional(),
    rules: z.array(CacheRule).max(RULES_MAX).optional(),
    signing: signingOf(secret).optional(),
  });

const customersOf = (secret: SecretKind) =>
  z
    .array(
      z.strictObject({
        id: z
          .string()
          .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, "must be 1 to 63 lower-case letters, digits or -"),
        /** Slug of the platform's tenant; absent for a third party. */
        tenant: TenantSlug.optional(),
        sites: z.array(siteOf(secret)).min(1).max(SITES_MAX),
      }),
    )
    .max(CUSTOMERS_MAX);

type Customers = z.output<ReturnType<typeof customersOf>>;

/** A hostname has one owner; the complaint stands at the second one. */
const onceOverAll = (customers: Customers, context: z.RefinementCtx<Customers>): void => {
  const owners = new Map<string, string>();
  const ids = new Set<string>();
  const complain = (path: PropertyKey[], message: string): void =>
    context.addIssue({ code: "custom", path, message, input: customers });
  for (const [customerIndex, { id, sites }] of customers.entries()) {
    if (ids.has(id)) complain([customerIndex, "id"], "is the id of another customer too");
    ids.add(id);
    for (const [siteIndex, { hostnames }] of sites.entries()) {
      for (const [index, hostname] of hostnames.entries()) {
        const owner = owners.get(hostname);
        const path = [customerIndex, "sites", siteIndex, "hostnames", index];
        if (owner !== undefined) complain(path, `${hostname} is named before, by ${owner}`);
        else owners.set(hostname, id);
      }
    }
  }
  if (owners.size > HOSTNAMES_MAX_ALL) complain([], `must have at most ${HOSTNAMES_MAX_ALL} hostnames in all`);
};

/** A whole edge.json. */
export const EdgeConfig = z.strictObject({ customers: customersOf(asIs).superRefine(onceOverAll) });
export type EdgeConfig = z.output<typeof EdgeConfig>;
/** The same where secrets may be left as they were (KEPT): what the API shows and takes. */
export const EdgeConfigDraft = z.strictObject({ customers: customersOf(orKept).superRefine(onceOverAll) });
export type EdgeCustomer = EdgeConfig["customers"][number];
export type EdgeSite = EdgeCustomer["sites"][number];
export type EdgeOrigin = EdgeSite["origins"][number];
export type EdgeSource = NonNullable<EdgeOrigin["source"]>;
export type EdgeRule = NonNullable<EdgeSite["rules"]>[number];
