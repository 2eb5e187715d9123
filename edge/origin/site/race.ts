/**
 * One request and the origins that may answer it, in their order. The first one is asked; the next when it fails, or as
 * well when it takes longer than usual. The first good head wins, the other request is dropped.
 */
import { UpstreamError } from "../upstream.ts";
import { isSafe, type OriginAnswer, type OriginRequest } from "./contract.ts";
import { isBad, type Member } from "./member.ts";

/** Origins that one request may be sent to. */
const ATTEMPTS_MAX = 5;
/** Requests under way at once: the first, and one hedge. */
const AT_ONCE_MAX = 2;
const HEDGE_UNKNOWN_MS = 500;

export interface RaceRules {
  readonly members: readonly Member[];
  readonly firstByteMs: number;
  /** Undefined: nobody else is asked while one is waited for. */
  readonly hedgeMinMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Whether a request on top may be sent. */
  readonly spend: () => boolean;
  readonly nowMs: () => number;
}

interface Attempt {
  readonly member: Member;
  readonly controller: AbortController;
  readonly beganAtMs: number;
  /** The first is 0. */
  readonly place: number;
}

/** Nothing of the request has reached the origin. */
const isUnsent = (error: UpstreamError): boolean =>
  error.reason === "connect" || error.reason === "address" || error.reason === "busy";

export class Race {
  readonly #request: OriginRequest;
  readonly #rules: RaceRules;
  readonly #left: Member[];
  readonly #running = new Set<Attempt>();
  readonly #onEnd = Promise.withResolvers<OriginAnswer>();
  readonly #onAbort = (): void => this.#end();
  #hedgeTimer: NodeJS.Timeout | undefined;
  /** The last answer of those that another origin could better. */
  #held: OriginAnswer | undefined;
  #error: unknown;
  #isOver = false;
  #count = 0;

  constructor(request: OriginRequest, rules: RaceRules) {
    this.#request = request;
    this.#rules = rules;
    this.#left = rules.members.slice(0, ATTEMPTS_MAX);
  }

  /** Rejects with the last UpstreamError when nobody answers, or with the signal's reason. */
  run(): Promise<OriginAnswer> {
    const { signal } = this.#rules;
    signal?.throwIfAborted();
    const first = this.#left.shift();
    if (!first) throw new UpstreamError("connect", new Error("the site has no origin that could be asked"));
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.#ask(first);
    return this.#onEnd.promise;
  }

  #ask(member: Member): void {
    const { firstByteMs, nowMs } = this.#rules;
    const attempt = { member, controller: new AbortController(), beganAtMs: nowMs(), place: this.#count };
    this.#count += 1;
    this.#running.add(attempt);
    this.#hedgeAfter(member);
    member.ask(this.#request, { signal: attempt.controller.signal, firstByteMs }).then(
      (answer) => this.#answered(attempt, answer),
      (error: unknown) => this.#failed(attempt, error),
    );
  }

  #answered(attempt: Attempt, answer: OriginAnswer): void {
    this.#running.delete(attempt);
    if (this.#isOver) {
      answer.drop();
      return;
    }
    if (!this.#isBettered(answer.status)) {
      this.#win(attempt, answer);
      return;
    }
    this.#held?.drop();
    this.#held = answer;
    this.#next();
  }

  /** Whether another origin should be asked, or is, instead of giving this answer. */
  #isBettered(status: number): boolean {
    if (!isBad(status) || !isSafe(this.#request.method)) return false;
    if (this.#running.size > 0) return true;
    const [next] = this.#left;
    return next !== undefined && (status !== 500 || next.condition.isUp);
  }

  #failed(attempt: Attempt, error: unknown): void {
    this.#running.delete(attempt);
    if (this.#isOver) return;
    this.#error = error;
    // Anything else is a bug of ours: it would be one at the next origin, too.
    const isUpstream = error instanceof UpstreamError;
    const mayGoOn = isUpstream && (isSafe(this.#request.method) || isUnsent(error));
    if (mayGoOn) this.#next();
    else this.#end();
  }

  /** One has failed: the next, unless another request is under way already. */
  #next(): void {
    if (this.#running.size > 0) return;
    const member = this.#left.shift();
    if (member && this.#rules.spend()) this.#ask(member);
    else this.#end();
  }

  #hedgeAfter({ condition, kind }: Member): void {
    const { hedgeMinMs } = this.#rules;
    clearTimeout(this.#hedgeTimer);
    const [next] = this.#left;
    if (hedgeMinMs === undefined || !next || this.#running.size >= AT_ONCE_MAX) return;
    // Beside a parent no origin: what parents are slow to get, origins are spared.
    if (next.kind !== kind || kind === "packager" || !next.condition.isUp) return;
    const delayMs = Math.max(hedgeMinMs, condition.usualMs ?? HEDGE_UNKNOWN_MS);
    if (delayMs < this.#rules.firstByteMs) this.#hedgeTimer = setTimeout(() => this.#hedge(), delayMs);
  }

  #hedge(): void {
    const [next] = this.#left;
    if (!next?.condition.isUp || !this.#rules.spend()) return;
    this.#left.shift();
    this.#ask(next);
  }

  #win(winner: Attempt, answer: OriginAnswer): void {
    this.#held?.drop();
    this.#held = undefined;
    const nowMs = this.#rules.nowMs();
    // One that was asked after the winner has not had its time.
    for (const { member, beganAtMs, place } of this.#running) {
      if (place < winner.place) member.condition.lost(nowMs - beganAtMs, nowMs);
    }
    this.#over();
    this.#onEnd.resolve(answer);
  }

  #end(): void {
    this.#over();
    const { signal } = this.#rules;
    if (signal?.aborted) {
      this.#held?.drop();
      this.#onEnd.reject(signal.reason);
    } else if (this.#held) this.#onEnd.resolve(this.#held);
    else this.#onEnd.reject(this.#error);
  }

  #over(): void {
    this.#isOver = true;
    clearTimeout(this.#hedgeTimer);
    this.#rules.signal?.removeEventListener("abort", this.#onAbort);
    for (const { controller } of this.#running) controller.abort();
  }
}
