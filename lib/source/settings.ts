/** What an operator says of a source, by its kind. Credentials in it never reach a log or an error. */
import type { Clock } from "../clock.ts";
import type { Log } from "../log/log.ts";

export interface SourceTools {
  readonly log: Log;
  /** The system's unless told. */
  readonly clock?: Clock;
  /** Until a connection stands, the wait for a free one included: 10 s unless told. */
  readonly connectTimeoutMs?: number;
  /** Without a byte of an answer: 10 s unless told. */
  readonly idleTimeoutMs?: number;
  /** To the server at once; each kind has a default. */
  readonly connectionsMax?: number;
  /** Private networks to which a server of the source may redirect (`ALLOW_PRIVATE_SOURCES`): none unless told. */
  readonly allowPrivateSources?: readonly string[];
}

/** A folder of this machine. */
export interface FilesystemSettings {
  readonly kind: "filesystem";
  /** Its path. */
  readonly root: string;
}

/** An HTTP(S) server. */
export interface HttpSettings {
  readonly kind: "http";
  /** Paths are put behind it; a user and a password in it are for Basic authentication. */
  readonly url: string;
  /** PEM of authorities to trust instead of the usual ones. */
  readonly caFile?: string | null;
}

/** What is asked for when an object turns out to be in an archive class. */
export interface S3Restore {
  readonly tier: "Expedited" | "Standard" | "Bulk";
  /** How long the copy is kept; without meaning for INTELLIGENT_TIERING. */
  readonly days: number;
}

/** A bucket of S3, or of a server that speaks like it. */
export interface S3Settings {
  readonly kind: "s3";
  readonly bucket: string;
  /** Null: Amazon's. */
  readonly endpoint: string | null;
  readonly region: string;
  /** Without slashes around it; empty for the whole bucket. */
  readonly prefix: string;
  /** Null: as the AWS SDK finds them. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | null;
  /** The bucket's name in the path and not in the host; true unless told where there is an endpoint. */
  readonly pathStyle?: boolean;
  /** Null, or absent: archived objects stay archived. */
  readonly restore?: S3Restore | null;
}

/** A folder of an FTP server. */
export interface FtpSettings {
  readonly kind: "ftp";
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Of the folder; empty for the one that a login leads to. */
  readonly path: string;
  /** TLS: by AUTH TLS (RFC 4217), or from the start. */
  readonly secure: "off" | "explicit" | "implicit";
  /** PEM of authorities to trust instead of the usual ones. */
  readonly caFile?: string | null;
}

/** How an SSH server is logged in to. */
export interface SshLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | null;
  /** A private key; tried besides the password. */
  readonly keyFile: string | null;
  /** Opens the private key. */
  readonly passphrase: string | null;
  /** A server whose key is not in this file is refused. */
  readonly knownHostsFile: string;
}

/** A folder of an SSH server, by SFTP; the path is empty for the one that a login leads to. */
export interface SftpSettings extends SshLogin {
  readonly kind: "sftp";
  readonly path: string;
}

/** The same by scp. */
export interface ScpSettings extends SshLogin {
  readonly kind: "scp";
  readonly path: string;
}

/** The same by rsync over SSH, or a module of an rsync daemon. */
export interface RsyncSettings extends SshLogin {
  readonly kind: "rsync";
  /** Null: over SSH, with its programs. With a daemon the port is its own. */
  readonly module: string | null;
  readonly path: string;
}

export type SourceSettings =
  | FilesystemSettings
  | HttpSettings
  | S3Settings
  | FtpSettings
  | SftpSettings
  | ScpSettings
  | RsyncSettings;
