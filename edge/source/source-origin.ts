/**
 * A content source (folder, bucket, server) as an origin: GET and HEAD of its files with validators, conditions and
 * single ranges, as an HTTP server in front of it would answer (RFC 9110 §13, §14).
 */
import { codeOf, type ErrorCode, Fault } from "../../contracts/errors.ts";
import { type Conditions, checkConditions, chooseRange } from "../../lib/http/conditions.ts";
import { checkedSourcePath } from "../../lib/source/paths.ts";
import type { ContentSource, SourceObject, SourceStat } from "../../lib/source/port.ts";
import type { AttemptOptions, Origin, OriginAnswer, OriginRequest } from "../origin/site/contract.ts";
import { UpstreamError } from "../origin/upstream.ts";
import { contentTypeOf } from "./content-types.ts";
import { SourceBody } from "./source-body.ts";
import { untilAborted } from "./until-aborted.ts";
import { WholeCopies } from "./whole-copies.ts";

export interface SourceOriginOptions {
  readonly id: string;
  /** Closed with the origin. */
  readonly source: ContentSource;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  /** Where files of a source without ranges are copied to while they are read; the system's temporary folder unless
   * told. */
  readonly tempDir?: string | undefined;
}

/** What an error of a source is as an answer; what is not here is 502. */
const STATUSES: { readonly [C in ErrorCode]?: number } = {
  SOURCE_NOT_FOUND: 404,
  PATH_REFUSED: 404,
  SOURCE_DENIED: 403,
  SOURCE_ARCHIVED: 503,
  SOURCE_CHANGED: 503,
  SOURCE_TIMEOUT: 504,
};
const RETRY_SECONDS = 60;

const fieldOf = (fields: readonly string[], name: string): string | undefined => {
  for (let at = 0; at + 1 < fields.length; at += 2) if (fields[at]!.toLowerCase() === name) return fields[at + 1];
  return undefined;
};

const conditionsOf = ({ fields, method }: OriginRequest): Conditions => ({
  ifMatch: fieldOf(fields, "if-match"),
  ifNoneMatch: fieldOf(fields, "if-none-match"),
  ifModifiedSince: fieldOf(fields, "if-modified-since"),
  ifUnmodifiedSince: fieldOf(fields, "if-unmodified-since"),
  ifRange: fieldOf(fields, "if-range"),
  range: method === "GET" ? fieldOf(fields, "range") : undefined,
});

/** The file that a target names: decoded once, part by part, so that an encoded slash stays in its part. */
const pathOf = (target: string): string => {
  const [path = ""] = target.split("?", 1);
  const parts = path.slice(1).split("/");
  try {
    const decoded = parts.map(decodeURIComponent);
    if (!decoded.some((part) => part.includes("/"))) return checkedSourcePath(decoded.join("/"));
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
  }
  throw new Fault("PATH_REFUSED", { path, reason: "it is not percent-encoded as paths are" });
};

/** One part of an answer: the bytes from `from` to before `to`. */
interface Part {
  readonly status: number;
  readonly fields: readonly string[];
  readonly from: number;
  readonly to: number;
}

export class SourceOrigin implements Origin {
  readonly #id: string;
  readonly #source: ContentSource;
  readonly #nowMs: () => number;
  readonly #copies: WholeCopies;

  constructor({ id, source, nowMs, tempDir }: SourceOriginOptions) {
    this.#id = id;
    this.#source = source;
    this.#nowMs = nowMs;
    this.#copies = new WholeCopies(source, tempDir);
  }

  async ask(request: OriginRequest, { signal, firstByteMs }: AttemptOptions): Promise<OriginAnswer> {
    const sentAtMs = this.#nowMs();
    if (request.method !== "GET" && request.method !== "HEAD") {
      return this.#plain(405, ["Allow", "GET, HEAD"], sentAtMs);
    }
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new UpstreamError("first-byte")), firstByteMs);
    const both = AbortSignal.any([signal, late.signal]);
    try {
      const path = pathOf(request.target);
      const opening = this.#source.open(path, { signal: both });
      const object = await untilAborted(opening, both, (unwanted) => void unwanted.close().catch(() => {}));
      return await this.#answer({ request, path, object, sentAtMs });
    } catch (error) {
      return this.#refusal(error, sentAtMs);
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    await this.#source.close();
  }

  async #answer(found: Found): Promise<OriginAnswer> {
    const { request, path, object, sentAtMs } = found;
    const part = this.#partOf(request, path, object.stat);
    const hasBody = request.method === "GET" && part.to > part.from;
    if (!hasBody) await object.close();
    const body = hasBody ? new SourceBody({ path, object, ...part, copies: this.#copies }) : undefined;
    return {
      status: part.status,
      fields: part.fields,
      sizeBytes: hasBody ? part.to - part.from : 0,
      framed: true,
      originId: this.#id,
      firstByteMs: this.#nowMs() - sentAtMs,
      read: async (onChunk, limits) => body?.read(onChunk, limits),
      drop: () => body?.drop(),
    };
  }

  #partOf(request: OriginRequest, path: string, stat: SourceStat): Part {
    const { sizeBytes, modifiedMs } = stat;
    const etag = this.#etagOf(stat);
    const lastModified = modifiedMs === null ? undefined : new Date(modifiedMs).toUTCString();
    const validity = ["ETag", etag, ...(lastModified === undefined ? [] : ["Last-Modified", lastModified])];
    const conditions = conditionsOf(request);
    const verdict = checkConditions(conditions, { etag, lastModified });
    if (verdict === "not-modified") return { status: 304, fields: validity, from: 0, to: 0 };
    if (verdict === "failed") return { status: 412, fields: ["Content-Length", "0"], from: 0, to: 0 };
    const about = ["Content-Type", contentTypeOf(path), ...validity, "Accept-Ranges", "bytes"];
    const range = chooseRange(conditions, { etag, lastModified }, sizeBytes);
    if (range.kind === "unsatisfiable") {
      const fields = ["Content-Range", `bytes */${sizeBytes}`, "Content-Length", "0"];
      return { status: 416, fields, from: 0, to: 0 };
    }
    if (range.kind === "whole") {
      return { status: 200, fields: [...about, "Content-Length", String(sizeBytes)], from: 0, to: sizeBytes };
    }
    const { start: from, end } = range;
    const place = ["Content-Range", `bytes ${from}-${end}/${sizeBytes}`, "Content-Length", String(end + 1 - from)];
    return { status: 206, fields: [...about, ...place], from, to: end + 1 };
  }

  /** Strong where the source says that no change stays unnoticed (RFC 9110 §8.8.1). */
  #etagOf({ etag, version }: SourceStat): string {
    if (etag !== null) return /^(?:W\/)?".*"$/.test(etag) ? etag : `"${etag}"`;
    return this.#source.capabilities.strongVersion ? `"${version}"` : `W/"${version}"`;
  }

  #refusal(error: unknown, sentAtMs: number): OriginAnswer {
    const code = codeOf(error);
    if (code === undefined) throw error; // the caller's reason, the deadline, or a bug
    const status = STATUSES[code] ?? 502;
    const retryAfter = code === "SOURCE_ARCHIVED" ? ["Retry-After", String(retrySecondsOf(error))] : [];
    return this.#plain(status, retryAfter, sentAtMs);
  }

  #plain(status: number, fields: readonly string[], sentAtMs: number): OriginAnswer {
    return {
      status,
      fields: [...fields, "Content-Length", "0"],
      sizeBytes: 0,
      framed: true,
      originId: this.#id,
      firstByteMs: this.#nowMs() - sentAtMs,
      read: async () => {},
      drop: () => {},
    };
  }
}

interface Found {
  readonly request: OriginRequest;
  readonly path: string;
  readonly object: SourceObject;
  readonly sentAtMs: number;
}

const retrySecondsOf = (error: unknown): number => {
  const seconds = error instanceof Fault ? Number(error.data.retryAfterSeconds) : Number.NaN;
  return Number.isFinite(seconds) && seconds > 0 ? Math.ceil(seconds) : RETRY_SECONDS;
};
