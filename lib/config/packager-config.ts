/** The packager's part of the configuration, in the shape in which it is used. */
import { homedir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import type { SourceSettings } from "../source/settings.ts";
import { ConfigError } from "./config-error.ts";
import { ENCRYPTION_OPTIONS, type PACKAGER_VARIABLES, TOKEN_OPTIONS } from "./packager-variables.ts";
import { ofRule, type Texts } from "./texts.ts";
import type { ValuesOf } from "./variable.ts";

/** Bounds of one of the two caches on disk. */
export interface DiskCacheConfig {
  readonly on: boolean;
  readonly dir: string;
  /** After this long without use a file goes. */
  readonly ageMs: number;
  readonly sizeBytes: number;
  /** Above this share of `sizeBytes`, 1 to 100, the oldest files go. */
  readonly limitPercent: number;
}

/** Which paths need a token, and what it is signed with. */
export interface TokenRule {
  /** `default`, or the name of `[token_<name>]`. */
  readonly name: string;
  /** Paths below the prefix with a leading slash and `*` for anything. */
  readonly paths: readonly string[];
  readonly password: string;
  readonly alternatePassword: string | null;
  readonly sessionMs: number;
}

/** Which paths are encrypted, and how. */
export interface EncryptionRule {
  readonly name: string;
  readonly paths: readonly string[];
  readonly method: "none" | "aes-128" | "sample-aes" | "cenc" | "cbcs";
  /** 32 hexadecimal digits; null: made from `secret`. One of the two is there unless the method is none. */
  readonly key: string | null;
  readonly keyId: string | null;
  readonly secret: string | null;
  /** Null: the packager gives the key itself. */
  readonly keyUrl: string | null;
}

/** All that a packager is told. Times in ms, sizes in bytes, paths absolute. */
export interface PackagerConfig {
  readonly port: number;
  /** Begins and ends with a slash. */
  readonly urlPrefix: string;
  /** Host for absolute addresses in playlists; null: relative ones. */
  readonly serverName: string | null;
  readonly useHttps: boolean;
  readonly trustedProxies: readonly string[];
  readonly sanitize: "refuse" | "strip";
  readonly segmentSeconds: number;
  readonly childManifestFilename: string;
  readonly segmentVersion: boolean;
  readonly segmentSlots: number;
  readonly indexCacheBytes: number;
  /** A file counts as unchanged for so long once it was looked at. */
  readonly sourceRecheckMs: number;
  readonly source: SourceSettings;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** `whole`: files are copied before they are served; `ranges`: what of them is asked for. */
  readonly inputCache: DiskCacheConfig & { readonly mode: "whole" | "ranges" };
  readonly segmentCache: DiskCacheConfig;
  readonly cacheDatabase: string;
  readonly cleanup: {
    readonly intervalMs: number /** Counts instead of the interval. */;
    readonly cron: string | null;
  };
  /** `-` is the standard output; null: no access log, and the process's log for the others. */
  readonly logs: { readonly access: string | null; readonly error: string | null; readonly cache: string | null };
  readonly adminToken: string | null;
  /** The first rule with a path that fits decides: named ones by their names, then the one without. */
  readonly tokens: readonly TokenRule[];
  /** Signed with every token and never sent. */
  readonly tokenSalt: string | null;
  readonly encryption: readonly EncryptionRule[];
}

type Values = ValuesOf<typeof PACKAGER_VARIABLES>;
interface Place {
  readonly texts: Texts;
  readonly dataDir: string;
}

const needed = <T>(value: T | null, variable: string, why: string): T => {
  if (value === null) throw new ConfigError(variable, `is needed by ${why}.`);
  return value;
};

const thisUser = (): string => {
  try {
    return userInfo().username;
  } catch {
    return "root"; // a container's user without an entry in passwd
  }
};

const KNOWN_HOSTS = join(homedir(), ".ssh", "known_hosts");

/** A source over SSH of the section `kind`. */
const sshSource = <K extends "sftp" | "scp">(values: Values, kind: K) => ({
  kind,
  host: needed<string>(values[`${kind}Host`], `CASTERPAK_${kind.toUpperCase()}_HOST`, `input type ${kind}`),
  port: values[`${kind}Port`],
  user: values[`${kind}User`] ?? thisUser(),
  password: values[`${kind}Password`],
  keyFile: values[`${kind}Keyfile`],
  passphrase: values[`${kind}Passphrase`],
  knownHostsFile: values[`${kind}KnownHosts`] ?? KNOWN_HOSTS,
  path: values[`${kind}Path`] ?? "",
});

const s3Credentials = ({ s3AccessKeyId: accessKeyId, s3SecretAccessKey: secretAccessKey }: Values) => {
  if (accessKeyId === null && secretAccessKey === null) return null;
  return {
    accessKeyId: needed(accessKeyId, "CASTERPAK_S3_ACCESS_KEY_ID", "its secret"),
    secretAccessKey: needed(secretAccessKey, "CASTERPAK_S3_SECRET_ACCESS_KEY", "the access key"),
  };
};

const SOURCES: { readonly [K in SourceSettings["kind"]]: (values: Values) => SourceSettings } = {
  filesystem: (values) => ({ kind: "filesystem", root: resolve(values.videoParentPath) }),
  http: ({ httpUrl, httpCaFile: caFile }) => ({
    kind: "http",
    url: needed(httpUrl, "CASTERPAK_HTTP_URL", "input type http"),
    caFile,
  }),
  s3: (values) => ({
    kind: "s3",
    bucket: needed(values.s3Bucket, "CASTERPAK_S3_BUCKET", "input type s3"),
    endpoint: values.s3Endpoint,
    region: values.s3Region,
    prefix: (values.s3Prefix ?? "").replace(/^\/+|\/+$/g, ""),
    credentials: s3Credentials(values),
    pathStyle: values.s3PathStyle ?? values.s3Endpoint !== null,
    restore: values.s3RestoreTier && { tier: values.s3RestoreTier, days: values.s3RestoreDays },
  }),
  ftp: (values) => ({
    kind: "ftp",
    host: needed(values.ftpHost, "CASTERPAK_FTP_HOST", "input type ftp"),
    port: values.ftpPort,
    user: values.ftpUser ?? "anonymous",
    password: values.ftpPassword ?? "anonymous@",
    path: values.ftpPath ?? "",
    secure: values.ftpSecure,
    caFile: values.ftpCaFile,
  }),
  sftp: (values) => sshSource(values, "sftp"),
  scp: (values) => sshSource(values, "scp"),
  rsync: (values) => ({
    kind: "rsync",
    host: needed(values.rsyncHost, "CASTERPAK_RSYNC_HOST", "input type rsync"),
    port: values.rsyncPort ?? (values.rsyncModule === null ? 22 : 873),
    module: values.rsyncModule,
    user: values.rsyncUser ?? thisUser(),
    password: values.rsyncPassword,
    keyFile: values.rsyncKeyfile,
    passphrase: null, // ssh(1) asks nobody
    knownHostsFile: values.rsyncKnownHosts ?? KNOWN_HOSTS,
    path: values.rsyncPath ?? "",
  }),
};

/** Whether the source gives whole files only: SCP and rsync do, and HTTP servers that ignore ranges. */
const givesWholeFiles = ({ inputType, httpRanges }: Values): boolean =>
  inputType === "scp" || inputType === "rsync" || (inputType === "http" && !httpRanges);

/** Whether files are copied before they are served. */
const cachesInput = (values: Values): boolean => {
  const { inputType } = values;
  if (inputType === "scp" || inputType === "rsync" || givesWholeFiles(values)) return true;
  return values[`${inputType}CacheInput`];
};

const tokenRule = (texts: Texts, name: string | null): TokenRule[] => {
  const { paths, password, alternatePassword, sessionMs } =
    name === null
      ? TOKEN_OPTIONS
      : {
          paths: ofRule(TOKEN_OPTIONS.paths, name),
          password: ofRule(TOKEN_OPTIONS.password, name),
          alternatePassword: ofRule(TOKEN_OPTIONS.alternatePassword, name),
          sessionMs: ofRule(TOKEN_OPTIONS.sessionMs, name),
        };
  const options = [paths, alternatePassword, sessionMs];
  const given = texts.read(password);
  if (given === null) {
    // Paths that were to be protected must not be open because a line is missing.
    const set = options.find((option) => texts.has(option));
    if (set) throw new ConfigError(password.env, `is needed where ${set.ini?.option} is set.`);
    return [];
  }
  return [
    {
      name: name ?? "default",
      paths: texts.read(paths) ?? [],
      password: given,
      alternatePassword: texts.read(alternatePassword),
      sessionMs: texts.read(sessionMs) ?? 0,
    },
  ];
};

const encryptionRule = (texts: Texts, name: string | null): EncryptionRule[] => {
  const option = <K extends keyof typeof ENCRYPTION_OPTIONS>(key: K): (typeof ENCRYPTION_OPTIONS)[K] =>
    name === null ? ENCRYPTION_OPTIONS[key] : ofRule(ENCRYPTION_OPTIONS[key], name);
  const method = texts.read(option("method")) ?? "none";
  if (name === null && method === "none") return [];
  const key = texts.read(option("key"));
  const secret = texts.read(option("secret"));
  if (method !== "none" && key === null && secret === null) {
    throw new ConfigError(option("key").env, `or ${option("secret").env} is needed by the method ${method}.`);
  }
  return [
    {
      name: name ?? "default",
      paths: texts.read(option("paths")) ?? [],
      method,
      key,
      keyId: texts.read(option("keyId")),
      secret,
      keyUrl: texts.read(option("keyUrl")),
    },
  ];
};

/** From the texts of all variables. Throws ConfigError for what is missing. */
export const packagerConfig = (values: Values, { texts, dataDir }: Place): PackagerConfig => ({
  port: values.packagerPort,
  urlPrefix: values.packagerUrlPrefix,
  serverName: values.serverName?.host ?? null,
  useHttps: values.serverName?.isHttps ?? values.useHttps,
  trustedProxies: values.trustedProxies,
  sanitize: values.sanitize,
  segmentSeconds: values.segmentSeconds,
  childManifestFilename: values.childManifestFilename,
  segmentVersion: values.segmentVersion,
  segmentSlots: values.segmentSlots,
  indexCacheBytes: values.indexCacheBytes,
  sourceRecheckMs: values.sourceRecheckMs,
  source: SOURCES[values.inputType](values),
  connectTimeoutMs: values.connectTimeoutMs,
  idleTimeoutMs: values.idleTimeoutMs,
  inputCache: {
    on: cachesInput(values),
    mode: givesWholeFiles(values) ? "whole" : "ranges",
    dir: resolve(values.videoCachePath),
    ageMs: values.inputFileAgeMs,
    sizeBytes: values.inputCacheBytes,
    limitPercent: values.inputCachePercent,
  },
  segmentCache: {
    on: values.segmentCache,
    dir: resolve(values.segmentParentPath),
    ageMs: values.segmentFileAgeMs,
    sizeBytes: values.segmentCacheBytes,
    limitPercent: values.segmentCachePercent,
  },
  cacheDatabase: resolve(values.cacheDatabase ?? join(dataDir, "packager", "cacheDB.db")),
  cleanup: { intervalMs: values.cleanupIntervalMs, cron: values.cleanupCron },
  logs: { access: values.accessLog, error: values.errorLog, cache: values.cacheLog },
  adminToken: values.packagerAdminToken,
  tokens: [...texts.ruleNames("token"), null].flatMap((name) => tokenRule(texts, name)),
  tokenSalt: values.tokenSalt,
  encryption: [...texts.ruleNames("encryption"), null].flatMap((name) => encryptionRule(texts, name)),
});
