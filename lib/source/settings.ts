/** What an operator says of a source, by its kind. Credentials in it never reach a log or an error. */
import type { Log } from "../log/log.ts";

export interface SourceTools {
  readonly log: Log;
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

export type SourceSettings = FilesystemSettings | HttpSettings;
