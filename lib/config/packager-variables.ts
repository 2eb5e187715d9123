/**
 * The packager's variables: its port, and every option of a CasterPak `config.ini` under the name that CasterPak gives
 * it in the environment (`CASTERPAK_SECTION_OPTION`), with the same default where there was one.
 */
import {
  cidrList,
  cronLine,
  flag,
  hex,
  integer,
  type Kind,
  megabytes,
  minutes,
  oneOf,
  path,
  pathPatterns,
  port,
  seconds,
  serverName,
  text,
  url,
  urlPrefix,
} from "./kinds.ts";
import { fixed, open } from "./variable.ts";

const roles = ["packager"] as const;

interface Words {
  readonly doc: string;
  readonly secret?: true;
}

const placed = (section: string, option: string) => ({
  env: `CASTERPAK_${section.toUpperCase()}_${option.toUpperCase()}`,
  ini: { section, option },
});

/** An option with a default: `place` is `section.option` as `config.ini` has it. */
const set = <T>(place: string, kind: Kind<T>, fallback: string, words: Words) => {
  const [section = "", option = ""] = place.split(".");
  const { env, ini } = placed(section, option);
  return fixed(env, kind, fallback, { ...words, roles, ini });
};

/** An option that may be absent. */
const may = <T>(place: string, kind: Kind<T>, words: Words & { otherwise: string }) => {
  const [section = "", option = ""] = place.split(".");
  const { env, ini } = placed(section, option);
  return open(env, kind, { ...words, roles, ini });
};

const printable = text("1 to 1000 printable characters", /^[^\p{Cc}]{1,1000}$/u);
const host = text("a host name or an address", /^[A-Za-z0-9._:-]{1,255}$/);
const remotePort: Kind<number> = { ...integer(1, 65_535), takes: "a port from 1 to 65535" };
const percent = integer(1, 100);
const manifestName = text("a file name that ends in .m3u8", /^[A-Za-z0-9_.-]{1,100}\.m3u8$/);
const logPlace: Kind<string> = { ...path, takes: "a path, or - for the standard output" };
const passphrase = text("16 to 200 printable characters", /^[\x20-\x7e]{16,200}$/);
const token = text("16 to 200 printable characters without spaces", /^[\x21-\x7e]{16,200}$/);

const YEAR_MS = 366 * 86_400_000;
const timeout = seconds(100, 600_000);

const input = {
  inputType: set("input.input_type", oneOf("filesystem", "http", "s3", "ftp", "sftp", "scp", "rsync"), "filesystem", {
    doc: "Where stored files come from; the section of that name says the rest.",
  }),
  videoCachePath: set("input.videoCachePath", path, "/tmp/video_input", {
    doc: "Where the input cache keeps copies of remote files.",
  }),
  connectTimeoutMs: set("input.connect_timeout", timeout, "10", { doc: "Time for a source to take a connection." }),
  idleTimeoutMs: set("input.idle_timeout", timeout, "10", { doc: "Time for a source to send more." }),
  sanitize: set("input.sanitize", oneOf("refuse", "strip"), "refuse", {
    doc: "Names are taken as they are, and unsafe ones refused; strip takes characters out of them as CasterPak does.",
  }),
};

const output = {
  serverName: may("output.serverName", serverName, {
    otherwise: "playlists have relative addresses",
    doc: "Host that playlists name in absolute addresses; https:// before it stands for use_https.",
  }),
  useHttps: set("output.use_https", flag, "off", { doc: "Absolute addresses begin with https." }),
  trustedProxies: set("output.trusted_proxies", cidrList, "", {
    doc: "Proxies whose X-Forwarded-Proto and X-Forwarded-Host are believed.",
  }),
  packagerUrlPrefix: set("output.url_prefix", urlPrefix, "/i/", { doc: "What the paths of stored files begin with." }),
  segmentSeconds: set("output.segmentDuration", integer(1, 60), "6", { doc: "Length of a segment in seconds." }),
  childManifestFilename: set("output.childManifestFilename", manifestName, "index_0_av.m3u8", {
    doc: "Name of a file's media playlist.",
  }),
  segmentVersion: set("output.segment_version", flag, "on", {
    doc: "Segment addresses carry ?v= of their file, so that a replaced file is never mixed with its old self.",
  }),
  segmentParentPath: set("output.segmentParentPath", path, "/tmp/segments", {
    doc: "Where the segment cache keeps what was made.",
  }),
  segmentSlots: set("output.segment_slots", integer(1, 256), "8", {
    doc: "Segments that are made at a time; each may take 6 MiB of memory.",
  }),
};

const cache = {
  segmentCache: set("cache.segment_cache", flag, "off", {
    doc: "Keep made segments on disk; pays for slow sources only.",
  }),
  segmentFileAgeMs: set("cache.segment_file_age", minutes, "4320", {
    doc: "Minutes after their last use when segments leave the cache.",
  }),
  segmentCacheBytes: set("cache.segment_file_cache_size", megabytes, "16384", {
    doc: "Size of the segment cache in MB.",
  }),
  segmentCachePercent: set("cache.segment_file_cache_limit", percent, "85", {
    doc: "Per cent of that size above which the oldest segments go, however young.",
  }),
  inputFileAgeMs: set("cache.input_file_age", minutes, "8640", {
    doc: "Minutes after their last use when copies of remote files leave the cache.",
  }),
  inputCacheBytes: set("cache.input_file_cache_size", megabytes, "8192", { doc: "Size of the input cache in MB." }),
  inputCachePercent: set("cache.input_file_cache_limit", percent, "85", {
    doc: "Per cent of that size above which the oldest copies go, however young.",
  }),
  cleanupIntervalMs: set("cache.cleanup_interval", seconds(1_000, 86_400_000), "300", {
    doc: "Seconds between two cleanings of the caches.",
  }),
  cleanupCron: may("cache.cleanup_cron", cronLine, {
    otherwise: "every cleanup_interval",
    doc: "When the caches are cleaned, as a crontab line says it (*/5 * * * *).",
  }),
  cacheDatabase: may("cache.database", path, {
    otherwise: "cacheDB.db in DATA_DIR/packager",
    doc: "The SQLite file that knows when which cached file was last used.",
  }),
  sourceRecheckMs: set("cache.source_recheck", seconds(0, 3_600_000), "1", {
    doc: "Seconds for which a file counts as unchanged once it was looked at.",
  }),
  indexCacheBytes: set("cache.index_cache_size", megabytes, "48", {
    doc: "MB of memory for the indexes of opened files.",
  }),
};

const cacheInput = (section: string) =>
  set(`${section}.cache_input`, flag, "off", { doc: "Copy files to the input cache before they are served." });

const caFile = (section: string) =>
  may(`${section}.ca_file`, path, {
    otherwise: "the usual ones",
    doc: "PEM file of the authorities that its certificate may be from.",
  });

const login = {
  host: (section: string) => may(`${section}.host`, host, { otherwise: "needed", doc: "The server." }),
  user: (section: string, without: string) =>
    may(`${section}.user`, printable, { otherwise: without, doc: "Whom to log in as." }),
  password: (section: string) =>
    may(`${section}.password`, printable, { otherwise: "none", doc: "That user's password.", secret: true }),
  keyfile: (section: string) =>
    may(`${section}.keyfile`, path, { otherwise: "none", doc: "Private SSH key to log in with." }),
  passphrase: (section: string) =>
    may(`${section}.passphrase`, printable, { otherwise: "none", doc: "Opens the private key.", secret: true }),
  knownHosts: (section: string) =>
    may(`${section}.known_hosts`, path, {
      otherwise: "~/.ssh/known_hosts",
      doc: "File with the server's SSH key; a server that is not in it is refused.",
    }),
  root: (section: string) =>
    may(`${section}.path`, path, {
      otherwise: "the one that a login leads to",
      doc: "Folder there that paths begin from.",
    }),
};
const ssh = (section: string) => ({
  port: set(`${section}.port`, remotePort, "22", { doc: "Its SSH port." }),
});

const sources = {
  videoParentPath: set("filesystem.videoParentPath", path, "/mnt/data/videos", {
    doc: "Folder of the stored files: what is below it is what follows the prefix in an address.",
  }),
  filesystemCacheInput: cacheInput("filesystem"),
  httpUrl: may("http.url", url("http", "https"), {
    otherwise: "needed with input type http",
    doc: "Address that paths are put behind.",
    secret: true,
  }),
  httpCaFile: caFile("http"),
  httpCacheInput: cacheInput("http"),
  httpRanges: set("http.ranges", flag, "on", {
    doc: "Off for a server that ignores Range: files are then copied whole to the input cache before they are served.",
  }),
  s3Bucket: may("s3.bucket", text("a bucket's name", /^[A-Za-z0-9._-]{3,255}$/), {
    otherwise: "needed with input type s3",
    doc: "Bucket of the stored files.",
  }),
  s3Endpoint: may("s3.endpoint", url("http", "https"), {
    otherwise: "AWS",
    doc: "An S3 server that is not Amazon's.",
  }),
  s3Region: set("s3.region", text("a region's name", /^[a-z0-9-]{1,64}$/), "us-east-1", {
    doc: "Region of the bucket.",
  }),
  s3Prefix: may("s3.prefix", path, { otherwise: "none", doc: "What the keys of stored files begin with." }),
  s3AccessKeyId: may("s3.access_key_id", printable, {
    otherwise: "as the AWS SDK finds it",
    doc: "Access key.",
    secret: true,
  }),
  s3SecretAccessKey: may("s3.secret_access_key", printable, {
    otherwise: "as the AWS SDK finds it",
    doc: "Its secret.",
    secret: true,
  }),
  s3PathStyle: may("s3.path_style", flag, {
    otherwise: "on with an endpoint",
    doc: "The bucket's name is in the path and not in the host.",
  }),
  s3RestoreTier: may("s3.restore_tier", oneOf("Expedited", "Standard", "Bulk"), {
    otherwise: "they stay archived, and are answered 503",
    doc: "How archived files that are asked for are restored (Glacier).",
  }),
  s3RestoreDays: set("s3.restore_days", integer(1, 365), "7", { doc: "Days for which a restored file stays." }),
  s3CacheInput: cacheInput("s3"),
  ftpHost: login.host("ftp"),
  ftpPort: set("ftp.port", remotePort, "21", { doc: "Its port." }),
  ftpUser: login.user("ftp", "anonymous"),
  ftpPassword: login.password("ftp"),
  ftpPath: login.root("ftp"),
  ftpSecure: set("ftp.secure", oneOf("off", "explicit", "implicit"), "off", {
    doc: "TLS: by AUTH TLS, or from the start.",
  }),
  ftpCaFile: caFile("ftp"),
  ftpCacheInput: cacheInput("ftp"),
  sftpHost: login.host("sftp"),
  sftpPort: ssh("sftp").port,
  sftpUser: login.user("sftp", "the user that this process runs as"),
  sftpPassword: login.password("sftp"),
  sftpKeyfile: login.keyfile("sftp"),
  sftpPassphrase: login.passphrase("sftp"),
  sftpKnownHosts: login.knownHosts("sftp"),
  sftpPath: login.root("sftp"),
  sftpCacheInput: cacheInput("sftp"),
  scpHost: login.host("scp"),
  scpPort: ssh("scp").port,
  scpUser: login.user("scp", "the user that this process runs as"),
  scpKeyfile: login.keyfile("scp"),
  scpPassphrase: login.passphrase("scp"),
  scpPassword: login.password("scp"),
  scpKnownHosts: login.knownHosts("scp"),
  scpPath: login.root("scp"),
  rsyncHost: login.host("rsync"),
  rsyncPort: may("rsync.port", remotePort, { otherwise: "22, and 873 with a module", doc: "Its port." }),
  rsyncModule: may("rsync.module", text("a module's name", /^[A-Za-z0-9._-]{1,100}$/), {
    otherwise: "rsync over SSH",
    doc: "Module of an rsync daemon.",
  }),
  rsyncUser: login.user("rsync", "the user that this process runs as"),
  rsyncPassword: may("rsync.password", printable, {
    otherwise: "none",
    doc: "That user's password at a daemon; over SSH only keys without a passphrase are taken.",
    secret: true,
  }),
  rsyncKeyfile: login.keyfile("rsync"),
  rsyncKnownHosts: login.knownHosts("rsync"),
  rsyncPath: login.root("rsync"),
};

/** Options of `[token]`, and of each `[token_<name>]`. */
export const TOKEN_OPTIONS = {
  paths: set("token.paths", pathPatterns, "/*", {
    doc: "Paths below the prefix that need a token; the first rule that fits decides.",
  }),
  password: may("token.password", printable, {
    otherwise: "no tokens are asked for",
    doc: "What tokens are signed with.",
    secret: true,
  }),
  alternatePassword: may("token.alternate_password", printable, {
    otherwise: "none",
    doc: "A second one that is taken too, while passwords are changed.",
    secret: true,
  }),
  sessionMs: set("token.session_lifetime", seconds(60_000, YEAR_MS), "86400", {
    doc: "Seconds for which a session token is good.",
  }),
};

/** Options of `[encryption]`, and of each `[encryption_<name>]`. */
export const ENCRYPTION_OPTIONS = {
  paths: set("encryption.paths", pathPatterns, "/*", {
    doc: "Paths below the prefix that are encrypted; the first rule that fits decides.",
  }),
  method: set("encryption.method", oneOf("none", "aes-128", "sample-aes", "cenc", "cbcs"), "none", {
    doc: "How.",
  }),
  key: may("encryption.key", hex(16), {
    otherwise: "made from the secret, one per folder",
    doc: "One key for all of it.",
    secret: true,
  }),
  keyId: may("encryption.key_id", hex(16), {
    otherwise: "made from the path",
    doc: "Name of that key in cenc and cbcs.",
  }),
  secret: may("encryption.secret", passphrase, { otherwise: "none", doc: "What keys are made from.", secret: true }),
  keyUrl: may("encryption.key_url", url("http", "https", "skd"), {
    otherwise: "the packager gives the key itself",
    doc: "Where playlists send players for the key.",
  }),
};

/** All of them, under the names of their values. */
export const PACKAGER_VARIABLES = {
  packagerPort: fixed("PACKAGER_PORT", port, "5000", { doc: "Port of the packager.", roles }),
  casterpakConfig: open("CASTERPAK_CONFIG", path, {
    otherwise: "./config.ini where there is one",
    doc: "A CasterPak config.ini; what the environment says counts more.",
    roles,
  }),
  packagerDebug: set("application.debug", flag, "off", { doc: "LOG_LEVEL is debug unless it is set." }),
  packagerAdminToken: may("application.admin_token", token, {
    otherwise: "there is nothing at these addresses",
    doc: "Bearer token for POST /purge, POST /clean and GET /caches at the packager's own listener.",
    secret: true,
  }),
  ...input,
  ...sources,
  ...output,
  ...cache,
  accessLog: may("logging.access_log", logPlace, { otherwise: "no access log", doc: "A line per request." }),
  errorLog: may("logging.error_log", logPlace, { otherwise: "the log of the process", doc: "What went wrong." }),
  cacheLog: may("logging.cache_log", logPlace, { otherwise: "the log of the process", doc: "What the caches did." }),
  tokenPaths: TOKEN_OPTIONS.paths,
  tokenPassword: TOKEN_OPTIONS.password,
  tokenAlternatePassword: TOKEN_OPTIONS.alternatePassword,
  tokenSessionMs: TOKEN_OPTIONS.sessionMs,
  tokenSalt: may("token.salt", printable, {
    otherwise: "none",
    doc: "Signed with every token and never sent; for all rules.",
    secret: true,
  }),
  encryptionPaths: ENCRYPTION_OPTIONS.paths,
  encryptionMethod: ENCRYPTION_OPTIONS.method,
  encryptionKey: ENCRYPTION_OPTIONS.key,
  encryptionKeyId: ENCRYPTION_OPTIONS.keyId,
  encryptionSecret: ENCRYPTION_OPTIONS.secret,
  encryptionKeyUrl: ENCRYPTION_OPTIONS.keyUrl,
} as const;
