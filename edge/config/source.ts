/** An origin's `source` as the settings that lib/source opens. */
import { userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { EdgeSource } from "../../contracts/edge-config.ts";
import type { SourceSettings } from "../../lib/source/settings.ts";

const S3_REGION = "us-east-1";
const FTP_PORT = 21;
const FTPS_PORT = 990;
const SSH_PORT = 22;
const RSYNC_PORT = 873;
/** Fields of a source besides its URL, by the kinds that look at them. */
const FIELDS: Readonly<Record<SourceSettings["kind"], readonly (keyof EdgeSource)[]>> = {
  filesystem: [],
  http: ["user", "password", "caFile"],
  s3: ["endpoint", "region", "accessKeyId", "secretAccessKey", "pathStyle"],
  ftp: ["user", "password", "caFile", "explicitTls"],
  sftp: ["user", "password", "keyFile", "passphrase", "knownHostsFile"],
  scp: ["user", "password", "keyFile", "passphrase", "knownHostsFile"],
  rsync: ["user", "password", "keyFile", "knownHostsFile"],
};
const KINDS: Readonly<Record<string, SourceSettings["kind"]>> = {
  file: "filesystem",
  http: "http",
  https: "http",
  s3: "s3",
  ftp: "ftp",
  ftps: "ftp",
  sftp: "sftp",
  scp: "scp",
  rsync: "rsync",
  "rsync+ssh": "rsync",
};

/** A field that is wrong, and why. */
export interface SourceComplaint {
  readonly field: keyof EdgeSource;
  readonly message: string;
}

/** A URL's host without the brackets that its standard puts around an IPv6 address. */
const bareHost = ({ hostname }: URL): string => hostname.replace(/^\[(.*)\]$/, "$1");
const pathOf = ({ pathname }: URL): string => decodeURIComponent(pathname).replace(/\/+$/, "");
const portOf = ({ port }: URL, usual: number): number => (port === "" ? usual : Number(port));

const thisUser = (): string => {
  try {
    return userInfo().username;
  } catch {
    return "root"; // a container's user without an entry in passwd
  }
};

const sshOf = (source: EdgeSource, url: URL, homeDir: string) => ({
  host: bareHost(url),
  port: portOf(url, SSH_PORT),
  user: source.user ?? thisUser(),
  password: source.password ?? null,
  keyFile: source.keyFile ?? null,
  passphrase: source.passphrase ?? null,
  knownHostsFile: source.knownHostsFile ?? join(homeDir, ".ssh", "known_hosts"),
});

const httpOf = ({ user, password, caFile }: EdgeSource, url: URL): SourceSettings => {
  url.username = encodeURIComponent(user ?? "");
  url.password = encodeURIComponent(password ?? "");
  return { kind: "http", url: url.href.replace(/\/+$/, ""), caFile: caFile ?? null };
};

const s3Of = (source: EdgeSource, url: URL): SourceSettings => {
  const { endpoint = null, accessKeyId, secretAccessKey } = source;
  return {
    kind: "s3",
    bucket: url.hostname,
    endpoint,
    region: source.region ?? S3_REGION,
    prefix: pathOf(url).replace(/^\/+/, ""),
    credentials: accessKeyId === undefined || secretAccessKey === undefined ? null : { accessKeyId, secretAccessKey },
    pathStyle: source.pathStyle ?? endpoint !== null,
  };
};

const ftpOf = (source: EdgeSource, url: URL): SourceSettings => {
  const isImplicit = url.protocol === "ftps:";
  const explicit = source.explicitTls === true ? "explicit" : "off";
  return {
    kind: "ftp",
    host: bareHost(url),
    port: portOf(url, isImplicit ? FTPS_PORT : FTP_PORT),
    user: source.user ?? "anonymous",
    password: source.password ?? "anonymous@",
    path: pathOf(url),
    secure: isImplicit ? "implicit" : explicit,
    caFile: source.caFile ?? null,
  };
};

const rsyncOf = (source: EdgeSource, url: URL, homeDir: string): SourceSettings => {
  const ssh = sshOf(source, url, homeDir);
  if (url.protocol === "rsync+ssh:") return { kind: "rsync", ...ssh, module: null, path: pathOf(url) };
  const [, module = "", ...rest] = pathOf(url).split("/");
  return { kind: "rsync", ...ssh, port: portOf(url, RSYNC_PORT), module, path: rest.join("/") };
};

const complaintOf = (source: EdgeSource, kind: SourceSettings["kind"], url: URL): SourceComplaint | undefined => {
  const stray = (Object.keys(source) as (keyof EdgeSource)[]).find(
    (field) => field !== "url" && source[field] !== undefined && !FIELDS[kind].includes(field),
  );
  if (stray) return { field: stray, message: `has no meaning for ${url.protocol}//` };
  if ((source.accessKeyId === undefined) !== (source.secretAccessKey === undefined))
    return { field: "accessKeyId", message: "and secretAccessKey are given together" };
  if (source.password !== undefined && source.user === undefined && kind === "http")
    return { field: "user", message: "is needed by the password" };
  if (url.protocol === "rsync:" && pathOf(url) === "")
    return { field: "url", message: "needs a module: rsync://host/module/folder" };
  return undefined;
};

const decodes = (url: URL): boolean => {
  try {
    decodeURIComponent(url.pathname);
    return !/%2f|%00/i.test(url.pathname);
  } catch {
    return false;
  }
};

/** `homeDir`: where `.ssh/known_hosts` is looked for. The URL has passed the contract's schema. */
export const sourceSettings = (source: EdgeSource, homeDir: string): SourceSettings | SourceComplaint => {
  const url = new URL(source.url);
  const kind = KINDS[url.protocol.slice(0, -1)];
  if (kind === undefined || !decodes(url)) return { field: "url", message: "can't be read" };
  const complaint = complaintOf(source, kind, url);
  if (complaint) return complaint;
  switch (kind) {
    case "filesystem":
      return { kind, root: fileURLToPath(url) };
    case "http":
      return httpOf(source, url);
    case "s3":
      return s3Of(source, url);
    case "ftp":
      return ftpOf(source, url);
    case "rsync":
      return rsyncOf(source, url, homeDir);
    default:
      return { kind, ...sshOf(source, url, homeDir), path: pathOf(url) };
  }
};
