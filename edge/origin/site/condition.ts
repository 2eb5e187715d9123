/**
 * What is known of one origin: whether it is up, and how long it takes to its first byte.
 *
 *   up ── connect error, timeout, three bad answers or lost hedges in a row ──► resting (1, 2, 4, 5, 5 … s)
 *   resting ── its time is over, a probe or a request gets an answer ──► up
 */
import { Health } from "../health.ts";
import type { UpstreamReason } from "../upstream.ts";

/** One page that always fails must not take the origin from all the others. */
const STREAK_MAX = 3;
const SMOOTHING = 0.125; // of a new value, as in TCP's round trip time (RFC 6298 §2)
const KEY = "";

export class Condition {
  readonly #health = new Health();
  #streak = 0;
  #lostCount = 0;
  #firstByteMs: number | undefined;
  #deviationMs = 0;
  /** When it was last asked; the one rested longest is the first to be tried when all are down. */
  askedAtMs = -1;

  get isUp(): boolean {
    return this.#health.isUp(KEY);
  }

  /** Smoothed; undefined until it has answered. */
  get firstByteMs(): number | undefined {
    return this.#firstByteMs;
  }

  /** When most of its answers have begun: the wait after which it is worth to ask another one. */
  get usualMs(): number | undefined {
    if (this.#firstByteMs === undefined) return undefined;
    return Math.max(2 * this.#firstByteMs, this.#firstByteMs + 4 * this.#deviationMs);
  }

  /** An answer that an origin in good health could give. */
  answered(firstByteMs: number): void {
    this.#streak = 0;
    this.#lostCount = 0;
    this.#health.succeeded(KEY);
    this.#observe(firstByteMs);
  }

  /** It answered 500, 502, 503 or 504. */
  answeredBadly(nowMs: number): void {
    this.#streak += 1;
    if (this.#streak >= STREAK_MAX || !this.isUp) this.#health.failed(KEY, nowMs);
  }

  failed(reason: UpstreamReason, nowMs: number): void {
    if (reason === "busy") return; // our own limit
    if (reason === "connect" || reason === "address" || reason === "first-byte") this.#health.failed(KEY, nowMs);
    else this.answeredBadly(nowMs);
  }

  /** Another one answered first, after it had been waited for so long. */
  lost(waitedMs: number, nowMs: number): void {
    this.#lostCount += 1;
    this.#observe(waitedMs);
    if (this.#lostCount >= STREAK_MAX) this.#health.failed(KEY, nowMs);
  }

  /** Something else than a viewer's request, an active check, knows how it is. */
  set(isUp: boolean, nowMs: number): void {
    if (!isUp) {
      this.#health.failed(KEY, nowMs);
      return;
    }
    this.#streak = 0;
    this.#lostCount = 0;
    this.#health.succeeded(KEY);
  }

  /** True once per time that it rested: the caller sends the probe and says how it went. */
  takeProbe(nowMs: number): boolean {
    return this.#health.takeProbe(KEY, nowMs);
  }

  #observe(ms: number): void {
    if (this.#firstByteMs === undefined) {
      this.#firstByteMs = ms;
      this.#deviationMs = ms / 2;
      return;
    }
    this.#deviationMs += SMOOTHING * 2 * (Math.abs(ms - this.#firstByteMs) - this.#deviationMs);
    this.#firstByteMs += SMOOTHING * (ms - this.#firstByteMs);
  }
}
