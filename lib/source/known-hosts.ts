/** The file of SSH host keys that are trusted, in the form of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". Pure. */
import { createHmac } from "node:crypto";

/** A key as it goes over the wire (RFC 4253 §6.6). */
interface HostKey {
  readonly type: string;
  readonly blob: Buffer;
}

export interface HostKeys {
  readonly trusted: readonly HostKey[];
  readonly revoked: readonly HostKey[];
}

const DEFAULT_PORT = 22;

/** `host`, or `[host]:port` where the port is another than 22. */
export const hostNameOf = (host: string, port: number): string =>
  port === DEFAULT_PORT ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`;

const isMatch = (pattern: string, name: string): boolean => {
  const escaped = pattern.toLowerCase().replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`).test(name);
};

/** `|1|salt|hash`: HMAC-SHA1 of the name under the salt. */
const isHashOf = (hashed: string, name: string): boolean => {
  const [, , salt = "", hash = ""] = hashed.split("|");
  return createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest("base64") === hash;
};

const namesHost = (field: string, name: string): boolean => {
  if (field.startsWith("|1|")) return isHashOf(field, name);
  const patterns = field.split(",");
  const denied = patterns.some((pattern) => pattern.startsWith("!") && isMatch(pattern.slice(1), name));
  return !denied && patterns.some((pattern) => isMatch(pattern, name));
};

const keysNamed = (file: string, name: string): HostKeys => {
  const trusted: HostKey[] = [];
  const revoked: HostKey[] = [];
  for (const line of file.split(/\r?\n/)) {
    const fields = line.trim().split(/[ \t]+/);
    const marker = fields[0]?.startsWith("@") ? fields.shift() : undefined;
    const [hosts = "", type = "", blob = ""] = fields;
    if (hosts.startsWith("#") || blob === "" || !namesHost(hosts, name)) continue;
    const key = { type, blob: Buffer.from(blob, "base64") };
    if (marker === undefined) trusted.push(key);
    else if (marker === "@revoked") revoked.push(key);
  }
  return { trusted, revoked };
};

/**
 * The keys of one server. Where its port is named nowhere, those of its host count, as they do for ssh(1).
 * Certificates' authorities are left out: a host certificate is not looked at.
 */
export const hostKeysOf = (file: string, host: string, port: number): HostKeys => {
  const exact = keysNamed(file, hostNameOf(host, port));
  if (port === DEFAULT_PORT) return exact;
  const bare = keysNamed(file, hostNameOf(host, DEFAULT_PORT));
  const trusted = exact.trusted.length > 0 ? exact.trusted : bare.trusted;
  return { trusted, revoked: [...exact.revoked, ...bare.revoked] };
};

/** Whether a server that shows this key is the one that is meant. */
export const isTrusted = ({ trusted, revoked }: HostKeys, shown: Buffer): boolean =>
  trusted.some(({ blob }) => blob.equals(shown)) && !revoked.some(({ blob }) => blob.equals(shown));

/** Signature algorithms to ask a server for, so that it shows a key of a type that is known. */
export const algorithmsOf = ({ trusted }: HostKeys): string[] => {
  const types = new Set(trusted.map(({ type }) => type));
  // RFC 8332: keys of the type ssh-rsa sign in three ways.
  return [...types].flatMap((type) => (type === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"] : [type]));
};
