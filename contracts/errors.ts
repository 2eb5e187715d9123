/**
 * The error catalogue: the only errors that a caller ever sees. `fail(code, data)` raises one.
 * Matched by `code`, never by `instanceof`: classes do not survive the bus. Anything else that is thrown is a bug.
 */
import type { ErrorEntry } from "./error-entry.ts";
import { TITLE_ERRORS } from "./title-errors.ts";

export const ERRORS = {
  BAD_INPUT: { status: 422, fault: "client", retry: false, message: "The request does not fit its schema." },
  BAD_JSON: { status: 400, fault: "client", retry: false, message: "The body is not valid JSON." },
  BAD_CURSOR: { status: 400, fault: "client", retry: false, message: "The cursor is not one that this list gave out." },
  BODY_TOO_LARGE: {
    status: 413,
    fault: "client",
    retry: false,
    message: "The body is larger than {limitBytes} bytes.",
  },
  BODY_LATE: { status: 408, fault: "client", retry: true, message: "The body did not arrive within {seconds} s." },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, fault: "client", retry: false, message: "The body must be application/json." },
  NO_ORIGINS: { status: 400, fault: "client", retry: false, message: "A channel needs at least one origin." },
  UNAUTHENTICATED: {
    status: 401,
    fault: "client",
    retry: false,
    message: "A valid API key is needed: Authorization: Bearer <key>.",
  },
  SCOPE_MISSING: { status: 403, fault: "client", retry: false, message: "The key lacks the scope {scope}." },
  TENANT_MISSING: { status: 403, fault: "client", retry: false, message: "The call carries no tenant." },
  NOT_FOUND: { status: 404, fault: "client", retry: false, message: "There is nothing at this address." },
  PATH_REFUSED: { status: 400, fault: "client", retry: false, message: "The path is refused: {reason}." },
  TARGET_TOO_LONG: { status: 414, fault: "client", retry: false, message: "The address is longer than {limit}." },
  METHOD_NOT_ALLOWED: { status: 405, fault: "client", retry: false, message: "This address does not take {method}." },
  METHOD_UNKNOWN: { status: 501, fault: "client", retry: false, message: "No address takes {method}." },
  REQUEST_MALFORMED: { status: 400, fault: "client", retry: false, message: "The request is no HTTP/1.1: {reason}." },
  HTTP_VERSION_UNSUPPORTED: {
    status: 505,
    fault: "client",
    retry: false,
    message: "Only HTTP/1.1 and 1.0 are spoken.",
  },
  HEAD_TOO_LARGE: { status: 431, fault: "client", retry: false, message: "The request's head is over {limit}." },
  HEAD_LATE: {
    status: 408,
    fault: "client",
    retry: true,
    message: "The request's head did not arrive within {seconds} s.",
  },
  CONNECTIONS_FULL: { status: 503, fault: "server", retry: true, message: "Too many connections are open." },
  CHANNEL_NOT_FOUND: { status: 404, fault: "client", retry: false, message: "There is no channel {channelId}." },
  ORIGIN_NOT_FOUND: {
    status: 404,
    fault: "client",
    retry: false,
    message: "Channel {channelId} has no origin {originId}.",
  },
  ORIGIN_TAKEN: {
    status: 409,
    fault: "client",
    retry: false,
    message: "Channel {channelId} already has an origin on streamer {streamerId}.",
  },
  LAST_ORIGIN: {
    status: 409,
    fault: "client",
    retry: false,
    message: "The last origin of a channel can't be removed; delete the channel instead.",
  },
  STREAMER_NOT_FOUND: { status: 404, fault: "client", retry: false, message: "There is no streamer {streamerId}." },
  STREAMER_IN_USE: {
    status: 409,
    fault: "client",
    retry: false,
    message: "Streamer {streamerId} still has {originCount} channel origins.",
  },
  STREAMER_ONLINE: {
    status: 409,
    fault: "client",
    retry: false,
    message: "Streamer {streamerId} is a running node of ours and would register itself again; stop it first.",
  },
  STREAMER_TAKEN: {
    status: 409,
    fault: "client",
    retry: false,
    message: "A streamer with the base URL {baseUrl} already exists.",
  },
  STREAMER_NOT_YOURS: {
    status: 403,
    fault: "client",
    retry: false,
    message: "Streamer {streamerId} belongs to the platform.",
  },
  TENANT_NOT_FOUND: { status: 404, fault: "client", retry: false, message: "There is no tenant {tenantId}." },
  TENANT_SLUG_TAKEN: { status: 409, fault: "client", retry: false, message: "The tenant slug {slug} is taken." },
  API_KEY_NOT_FOUND: { status: 404, fault: "client", retry: false, message: "There is no API key {apiKeyId}." },
  LAST_ADMIN_KEY: {
    status: 409,
    fault: "client",
    retry: false,
    message: "The last key with platform:admin can't be revoked.",
  },
  CHANNEL_SLUG_EMPTY: {
    status: 422,
    fault: "client",
    retry: false,
    message: "The name {name} leaves no letter or digit for a stream id.",
  },
  CHANNEL_SLUG_TAKEN: {
    status: 409,
    fault: "client",
    retry: false,
    message: "The stream id {streamId} is taken by channel {channelId}.",
  },
  CHANNEL_SLUG_LEAVING: {
    status: 409,
    fault: "client",
    retry: true,
    message: "The stream id {streamId} is free once a deleted channel's streams are gone from: {streamers}.",
  },
  SOURCE_TYPE_MISMATCH: {
    status: 422,
    fault: "client",
    retry: false,
    message: "The source type {sourceType} does not take the URL {url}.",
  },
  SOURCE_URL_REFUSED: { status: 422, fault: "client", retry: false, message: "The URL {url} is refused: {reason}." },
  VERSION_CONFLICT: {
    status: 412,
    fault: "client",
    retry: false,
    message: "The resource has changed: its version is {version}.",
  },
  IDEMPOTENCY_MISMATCH: {
    status: 422,
    fault: "client",
    retry: false,
    message: "This Idempotency-Key was used with another request.",
  },
  IDEMPOTENCY_RUNNING: {
    status: 409,
    fault: "client",
    retry: true,
    message: "The first request with this Idempotency-Key is still running.",
  },
  ALL_ORIGINS_FAILED: {
    status: 502,
    fault: "upstream",
    retry: false,
    message: "No streamer accepted the channel; nothing was kept.",
  },
  STALE_EPOCH: {
    status: 409,
    fault: "server",
    retry: false,
    message: "The command's lease epoch {leaseEpoch} is older than {highestEpoch}.",
  },
  STREAM_NOT_FOUND: { status: 404, fault: "client", retry: false, message: "There is no stream {streamId} here." },
  STREAM_EXISTS: { status: 500, fault: "client", retry: false, message: "stream already exists" },
  STREAMER_FULL: {
    status: 503,
    fault: "server",
    retry: true,
    message: "The streamer runs its {streamsMax} streams already.",
  },
  PLAYLIST_NOT_FOUND: {
    status: 404,
    fault: "client",
    retry: false,
    message: "The object store has no files at {url}.",
  },
  SOURCE_NOT_FOUND: { status: 404, fault: "client", retry: false, message: "There is no file {path}." },
  SOURCE_DENIED: { status: 403, fault: "upstream", retry: false, message: "The source refuses to give {path}." },
  SOURCE_ARCHIVED: {
    status: 503,
    fault: "upstream",
    retry: true,
    message: "{path} is in an archive; it is being restored.",
  },
  SOURCE_FAILED: { status: 502, fault: "upstream", retry: true, message: "The source failed while reading {path}." },
  SOURCE_TIMEOUT: { status: 504, fault: "upstream", retry: true, message: "The source did not give {path} in time." },
  SOURCE_CHANGED: { status: 503, fault: "upstream", retry: true, message: "{path} was replaced while it was read." },
  SOURCE_TRUNCATED: {
    status: 502,
    fault: "upstream",
    retry: true,
    message: "The source has fewer bytes of {path} than it says.",
  },
  SOURCE_FETCHING: {
    status: 503,
    fault: "server",
    retry: true,
    message: "{path} is being fetched from its source.",
  },
  MEDIA_UNSUPPORTED: { status: 415, fault: "client", retry: false, message: "{path} can't be served: {reason}." },
  MEDIA_DAMAGED: { status: 415, fault: "client", retry: false, message: "{path} is damaged: {reason}." },
  QUERY_REFUSED: { status: 400, fault: "client", retry: false, message: "The query is refused: {reason}." },
  SEGMENT_NOT_FOUND: {
    status: 404,
    fault: "client",
    retry: false,
    message: "There is no segment {segment} of {path}.",
  },
  VERSION_GONE: {
    status: 404,
    fault: "client",
    retry: false,
    message: "{path} was replaced since this playlist was made; ask for the playlist again.",
  },
  RENDITIONS_EMPTY: {
    status: 404,
    fault: "client",
    retry: false,
    message: "No rendition of the set is left by the filters or there.",
  },
  TOKEN_MISSING: { status: 401, fault: "client", retry: false, message: "This address needs a token." },
  TOKEN_REFUSED: { status: 403, fault: "client", retry: false, message: "The token is refused: {reason}." },
  PACKAGER_BUSY: { status: 503, fault: "server", retry: true, message: "The packager is at its limit." },
  MAILBOX_FULL: { status: 429, fault: "server", retry: true, message: "Too many requests wait for {key}." },
  DEADLINE_PASSED: { status: 504, fault: "server", retry: true, message: "{what} did not answer in time." },
  ACTOR_MOVED: { status: 503, fault: "server", retry: true, message: "{key} has no owner at the moment." },
  BUS_DOWN: { status: 503, fault: "server", retry: true, message: "The message bus is not reachable." },
  DATABASE_DOWN: { status: 503, fault: "server", retry: true, message: "The database is not reachable." },
  CDN_REVISION_NOT_FOUND: {
    status: 404,
    fault: "client",
    retry: false,
    message: "There is no configuration {revision} of CDN customers, or it is too old to be kept.",
  },
  SHUTTING_DOWN: { status: 503, fault: "server", retry: true, message: "This node is shutting down." },
  STARTING: { status: 503, fault: "server", retry: true, message: "{what} is not ready yet." },
  UPSTREAM_FAILED: { status: 502, fault: "upstream", retry: true, message: "No origin could deliver {path}." },
  UPSTREAM_TIMEOUT: { status: 504, fault: "upstream", retry: true, message: "No origin answered in time for {path}." },
  SITE_UNKNOWN: { status: 421, fault: "client", retry: false, message: "No site of this edge is called {host}." },
  EDGE_BUSY: { status: 503, fault: "server", retry: true, message: "Nobody can deliver this at the moment." },
  REQUEST_LOOPED: { status: 508, fault: "server", retry: false, message: "The request has been here before." },
  INTERNAL: {
    status: 500,
    fault: "server",
    retry: false,
    message: "An unexpected error happened; the log has it under the request id.",
  },
  ...TITLE_ERRORS,
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;
export type FaultData = Readonly<Record<string, unknown>>;

/** One field's complaint, as it stands in `errors[]` of a problem document (RFC 9457). */
export interface FieldError {
  readonly path: string;
  readonly message: string;
}

export class Fault extends Error {
  readonly code: ErrorCode;
  readonly data: FaultData;
  constructor(code: ErrorCode, data: FaultData = {}) {
    super(messageOf(code, data));
    this.name = "Fault";
    this.code = code;
    this.data = data;
  }
  get status(): number {
    return ERRORS[this.code].status;
  }
}

/** The catalogue's sentence with its places filled; values are cut at 200 characters. */
export const messageOf = (code: ErrorCode, data: FaultData = {}): string =>
  ERRORS[code].message.replace(/\{(\w+)\}/g, (_, name: string) => String(data[name] ?? `{${name}}`).slice(0, 200));

/** The only way to raise an error that a caller may see. */
export const fail = (code: ErrorCode, data: FaultData = {}): never => {
  throw new Fault(code, data);
};

/** The catalogue code of anything thrown, also after it crossed the bus; undefined for a bug. */
export const codeOf = (error: unknown): ErrorCode | undefined => {
  if (typeof error !== "object" || error === null) return undefined;
  const { code, type } = error as { code?: unknown; type?: unknown };
  for (const name of [code, type]) if (typeof name === "string" && name in ERRORS) return name as ErrorCode;
  return undefined;
};
