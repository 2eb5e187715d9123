/**
 * JSON over HTTP from The Movie Database, API version 3 (developer.themoviedb.org: "Authentication", "Rate Limiting",
 * "Errors"): a bearer token, 429 with Retry-After, error bodies `{success, status_code, status_message}`.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { codeOf, ERRORS, Fault, fail } from "../../contracts/errors.ts";
import type { Clock } from "../clock.ts";
import { Rate } from "./rate.ts";

export interface TmdbSettings {
  /** `https://api.themoviedb.org/3` or what speaks like it. */
  readonly url: string;
  readonly token: string;
  readonly requestsPerSecond: number;
  readonly clock: Clock;
  /** Of one request with its body. */
  readonly deadlineMs?: number;
  /** Of all tries of one request, pauses too. */
  readonly patienceMs?: number;
  /** After the first failure; each further one is twice as long. */
  readonly pauseMs?: number;
}
export type Query = Readonly<Record<string, string | number | undefined>>;

const DEADLINE_MS = 10_000;
const PATIENCE_MS = 30_000;
const PAUSE_MS = 250;
const TRIES_MAX = 4;
const RETRY_AFTER_MAX_MS = 60_000;
/** A film with all appended parts is below 2 MB. */
const BODY_BYTES_MAX = 8 * 1024 * 1024;
const ERROR_BODY_BYTES_MAX = 64 * 1024;

const ErrorBody = z.object({ status_code: z.int().optional(), status_message: z.string().max(500) });

/** The body, refused as soon as it is larger. */
const bodyOf = async (response: Response, bytesMax: number): Promise<string> => {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body ?? []) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > bytesMax) return fail("METADATA_FAILED", { reason: `its answer is larger than ${bytesMax} bytes` });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
};

/** Seconds, or a date (RFC 9110 §10.2.3); undefined where it says nothing of use. */
const retryAfterMs = (header: string | null, nowMs: number): number | undefined => {
  if (header === null) return undefined;
  const ms = /^\d{1,6}$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), RETRY_AFTER_MAX_MS) : undefined;
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return fail("METADATA_FAILED", { reason: "its answer is not JSON" });
  }
};

export class TmdbClient {
  readonly #settings: TmdbSettings;
  readonly #rate: Rate;

  constructor(settings: TmdbSettings) {
    this.#settings = settings;
    const pause = async (ms: number, signal: AbortSignal) => void (await sleep(ms, undefined, { signal }));
    this.#rate = new Rate({ perSecond: settings.requestsPerSecond, clock: settings.clock, pause });
  }

  /**
   * Fails with METADATA_NOT_FOUND, METADATA_REFUSED (a token or a request that it does not take) or METADATA_FAILED
   * (tried again already).
   */
  async get<S extends z.ZodType>(path: string, query: Query, schema: S, signal?: AbortSignal): Promise<z.output<S>> {
    const { patienceMs = PATIENCE_MS, pauseMs = PAUSE_MS } = this.#settings;
    const patience = AbortSignal.timeout(patienceMs);
    const until = signal ? AbortSignal.any([signal, patience]) : patience;
    for (let tries = 1; ; tries += 1) {
      try {
        const answer = schema.safeParse(await this.#once(path, query, until));
        if (answer.success) return answer.data;
        return fail("METADATA_FAILED", { reason: `its answer to ${path} has another form than it should` });
      } catch (error) {
        const code = codeOf(error);
        if (signal?.aborted || code === undefined || !ERRORS[code].retry || tries >= TRIES_MAX) throw error;
        const isOver = await sleep(pauseMs * 2 ** (tries - 1), undefined, { signal: until }).catch(() => "over");
        if (isOver) throw error;
      }
    }
  }

  async #once(path: string, query: Query, until: AbortSignal): Promise<unknown> {
    const { url, token, clock, deadlineMs = DEADLINE_MS } = this.#settings;
    const target = new URL(`${url.replace(/\/$/, "")}${path}`);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) target.searchParams.set(name, String(value));
    }
    try {
      if (!(await this.#rate.take(until))) return fail("METADATA_FAILED", { reason: "too many requests wait for it" });
      const response = await fetch(target, {
        headers: { authorization: `Bearer ${token}`, accept: "application/json" },
        redirect: "error",
        signal: AbortSignal.any([until, AbortSignal.timeout(deadlineMs)]),
      });
      if (response.ok) return parsed(await bodyOf(response, BODY_BYTES_MAX));
      const waitMs = retryAfterMs(response.headers.get("retry-after"), clock.nowMs());
      if (waitMs !== undefined) this.#rate.holdUntil(clock.nowMs() + waitMs);
      return await refused(response, path);
    } catch (error) {
      if (codeOf(error) !== undefined) throw error;
      const isLate = error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError");
      const fault = new Fault("METADATA_FAILED", { reason: isLate ? "no answer in time" : "it can't be reached" });
      fault.cause = error;
      throw fault;
    }
  }
}

const refused = async (response: Response, path: string): Promise<never> => {
  const { status } = response;
  const text = await bodyOf(response, ERROR_BODY_BYTES_MAX).catch(() => "");
  if (status === 404) return fail("METADATA_NOT_FOUND", { what: path });
  const word = ErrorBody.safeParse(safeJson(text)).data?.status_message ?? `status ${status}`;
  if (status === 429 || status >= 500) return fail("METADATA_FAILED", { reason: word.replace(/\.$/, "") });
  return fail("METADATA_REFUSED", { reason: word.replace(/\.$/, "") });
};

const safeJson = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};
