/**
 * One object of a site is fetched once, however many wait for it (RFC 9111 §4).
 *
 *   asking ── a head that may be kept ──► streaming ── last byte ──► stored
 *      │                                     └── cut ──► resumed from the same origin under an equal strong validator
 *      │                                                     └── or broken: readers are reset, nothing is stored
 *      ├── 304 ──► renewed: what was stored serves on
 *      ├── a head that may not be kept ──► passed: for one reader alone, the others go on their own
 *      └── no origin ──► failed
 *
 * A fill belongs to nobody: it goes on when all its readers have left.
 */
import { CACHE_NAME } from "../../domain/http-cache/cache-status.ts";
import { contentRangeOf } from "../../domain/http-cache/content-range.ts";
import { type FieldList, fieldValue } from "../../domain/http-cache/fields.ts";
import { storedFields } from "../../domain/http-cache/forward.ts";
import { isOriginError } from "../../domain/http-cache/status.ts";
import { type Freshness, storability } from "../../domain/http-cache/storability.ts";
import { afterValidation, validationFields, validatorsOf } from "../../domain/http-cache/validation.ts";
import { varyKey, varyNames } from "../../domain/http-cache/vary.ts";
import { FillingBody } from "../cache/body.ts";
import type { Described, Stored } from "../cache/stored.ts";
import type { OriginAnswer } from "../origin/site/contract.ts";
import { UpstreamError } from "../origin/upstream.ts";
import { describe, renew, type SiteFacts, sharedRules, tagsOf } from "./entry.ts";
import type { FillTask, SiteFillDeps } from "./fills.ts";

export type SiteOutcome =
  | {
      readonly kind: "body";
      readonly described: Described;
      readonly body: FillingBody;
      readonly bornAtMs: number;
      readonly isStored: boolean;
      /** Which requests it is for, where it varies. */
      readonly vary: Vary | undefined;
    }
  | { readonly kind: "renewed"; readonly stored: Stored }
  | { readonly kind: "passed"; readonly take: () => OriginAnswer | undefined; readonly reason: string }
  | { readonly kind: "failed"; readonly isLate: boolean; readonly isBusy: boolean };

export interface Vary {
  readonly names: readonly string[];
  readonly key: string;
}

const RESUMES_MAX = 3;
/** A revalidation without an answer by then is given up while what is stored may serve: viewers don't wait for it. */
const REVALIDATE_FIRST_BYTE_MS = 1_000;

export class SiteFill {
  readonly task: FillTask;
  readonly settled: Promise<SiteOutcome>;
  /** Its body broke off: whoever comes now needs another fill. */
  isBroken = false;
  readonly #deps: SiteFillDeps;
  #settle: (outcome: SiteOutcome) => void = () => {};
  #seq = 0;
  #answer: OriginAnswer | undefined;
  #body: FillingBody | undefined;

  constructor(task: FillTask, deps: SiteFillDeps) {
    this.task = task;
    this.#deps = deps;
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** Resolves when the last byte is in or nothing more will come. */
  async run(): Promise<void> {
    try {
      await this.#run();
    } catch (error) {
      if (!(error instanceof UpstreamError)) this.#deps.log.error({ err: error, key: this.task.key }, "bug: a fill");
      this.#giveUp();
      const reason = error instanceof UpstreamError ? error.reason : "protocol";
      this.#deps.metrics.originFailed(reason);
      this.#settle({ kind: "failed", isLate: reason === "first-byte" || reason === "idle", isBusy: reason === "busy" });
    }
  }

  /** Whatever went wrong, readers must not wait for what will not come. */
  #giveUp(): void {
    this.#answer?.drop();
    if (this.#body?.state !== "filling") return;
    this.isBroken = true;
    this.#body.broken();
  }

  async #run(): Promise<void> {
    const { stored } = this.task;
    const answer = await this.#ask(stored?.facts ? validationFields(stored.facts.fields) : []);
    if (answer.status !== 304 || !stored?.facts) return this.#take(answer);
    answer.drop();
    if (this.#renewed(stored, stored.facts, answer)) return;
    // A 304 for another object than ours says nothing: it is asked for without conditions (RFC 9111 §4.3.4).
    await this.#take(await this.#ask([]));
  }

  #ask(conditions: FieldList): Promise<OriginAnswer> {
    const { fields, runtime, target, key, stored } = this.task;
    const nowMs = this.#deps.nowMs();
    this.#deps.metrics.asked();
    this.#seq = this.#deps.store.seq; // before it is asked: what is purged meanwhile is purged with it
    runtime.account.countOrigin(1, 0);
    const mayWait = stored === undefined || nowMs >= stored.staleUntilMs;
    return runtime.origins.ask(
      { method: "GET", target, fields: [...fields, ...conditions], key },
      mayWait ? {} : { firstByteMs: REVALIDATE_FIRST_BYTE_MS },
    );
  }

  #freshnessOf(status: number, fields: FieldList, delayMs: number) {
    const { rule, requestField } = this.task;
    return storability({
      method: "GET",
      status,
      requestFields: requestField,
      responseFields: fields,
      rules: sharedRules(rule),
      nowWallMs: this.#deps.wallMs(),
      responseDelayMs: delayMs,
    });
  }

  #renewed(stored: Stored, facts: SiteFacts, answer: OriginAnswer): boolean {
    const fields = afterValidation(facts.fields, answer.fields);
    if (!fields) return false;
    const { status } = stored.described;
    const verdict = this.#freshnessOf(status, fields, answer.firstByteMs);
    if (!verdict.store) return false;
    const described = describe(fields, { status, via: this.#deps.via, dateMs: this.#deps.wallMs() });
    const renewal = { facts: { ...facts, fields, freshness: verdict.freshness }, described, seq: this.#seq };
    renew(stored, renewal, this.#deps.nowMs());
    this.#deps.store.renewed(this.task, stored);
    this.#settle({ kind: "renewed", stored });
    return true;
  }

  async #take(answer: OriginAnswer): Promise<void> {
    const verdict = this.#freshnessOf(answer.status, answer.fields, answer.firstByteMs);
    const isError = answer.status >= 500;
    // An error serves nobody later, but all who wait now: each of them asking again would be a storm.
    if (!verdict.store && !isError) return this.#pass(answer, verdict.reason);
    if (isOriginError(answer.status) && this.#standsBehind()) {
      answer.drop();
      this.#settle({ kind: "failed", isLate: false, isBusy: false });
      return;
    }
    if (answer.status === 206) return this.#pass(answer, "partial");
    const body = new FillingBody({ ...this.#deps, sizeBytes: answer.sizeBytes, maxBytes: this.#deps.objectBytesMax });
    const refusal = body.open();
    if (refusal) return this.#pass(answer, refusal);
    await this.#stream(answer, body, verdict.store ? verdict.freshness : undefined);
  }

  /** Whether something stored may serve in place of an error. */
  #standsBehind(): boolean {
    const { stored } = this.task;
    return stored !== undefined && this.#deps.nowMs() < stored.staleUntilMs;
  }

  #pass(answer: OriginAnswer, reason: string): void {
    let isTaken = false;
    // Nothing is known of the address where our own memory is short, or where it answered somebody's credentials.
    const isOfAddress = reason !== "busy" && this.task.requestField("authorization") === undefined;
    if (isOfAddress) this.#deps.store.uncacheable(this.task, { isTooLarge: reason === "size" });
    this.#settle({
      kind: "passed",
      reason,
      take: () => {
        if (isTaken) return undefined;
        isTaken = true;
        return answer;
      },
    });
  }

  async #stream(answer: OriginAnswer, body: FillingBody, freshness: Freshness | undefined): Promise<void> {
    const { rule, requestField } = this.task;
    const nowWallMs = this.#deps.wallMs();
    const { stripSetCookie } = rule;
    const fields = storedFields(answer.fields, { stripSetCookie, nowWallMs, cacheName: CACHE_NAME });
    const described = describe(fields, { status: answer.status, via: this.#deps.via, dateMs: nowWallMs });
    const bornAtMs = this.#deps.nowMs() - (freshness?.initialAgeMs ?? 0);
    const names = varyNames(answer.fields);
    const vary = names === "*" || names.length === 0 ? undefined : { names, key: varyKey(names, requestField) };
    this.#body = body;
    this.#settle({ kind: "body", described, body, bornAtMs, isStored: freshness !== undefined, vary });
    if (!(await this.#read(answer, body))) return;
    const isWhole = answer.framed || body.sizeBytes !== undefined;
    if (!freshness || !isWhole) return;
    const facts: SiteFacts = { fields, freshness, varyNames: vary?.names ?? [] };
    this.#deps.store.keep(this.task, {
      described,
      body: body.view(),
      facts,
      tags: tagsOf(fields),
      vary,
      seq: this.#seq,
    });
  }

  /** True when the body is whole, whichever way its bytes came. */
  async #read(first: OriginAnswer, body: FillingBody): Promise<boolean> {
    const { strongEtag } = validatorsOf(first.fields);
    let answer: OriginAnswer | undefined = first;
    for (let tries = 0; answer; tries += 1) {
      this.#answer = answer;
      try {
        await answer.read((chunk) => this.#came(body, chunk));
        // A part may be less than was asked for (RFC 9110 §15.3.7): it is whole, the object is not.
        if (body.sizeBytes !== undefined && !body.isCovered) throw new UpstreamError("reset");
        break;
      } catch (error) {
        if (body.isCovered) break;
        const mayResume = tries < RESUMES_MAX && strongEtag !== undefined && body.sizeBytes !== undefined;
        answer = mayResume && isCut(error) ? await this.#resume(answer.originId, strongEtag, body) : undefined;
      }
    }
    this.#answer = undefined;
    this.#deps.metrics.filled(answer ? "whole" : "broken", body.filledBytes);
    if (!answer) {
      this.isBroken = true;
      body.broken();
      return false;
    }
    body.whole();
    return true;
  }

  #came(body: FillingBody, chunk: Buffer): void {
    this.task.runtime.account.countOrigin(0, chunk.length);
    const refusal = body.append(chunk);
    // No length was announced, so that its readers have to be cut off: the next ones get it past the cache.
    if (refusal === "size" && body.sizeBytes === undefined) {
      this.#deps.store.uncacheable(this.task, { isTooLarge: true });
    }
    if (refusal) throw new UpstreamError(refusal);
    // The rest came in beside it.
    if (body.isCovered && body.sizeBytes !== undefined && body.filledBytes < body.sizeBytes) this.#answer?.drop();
  }

  /** From the same origin, and only what is the same object (RFC 9110 §14.4): undefined otherwise. */
  async #resume(originId: string, etag: string, body: FillingBody): Promise<OriginAnswer | undefined> {
    const { filledBytes: from, sizeBytes = 0 } = body;
    return this.#part({ from, to: sizeBytes, etag, originId, sizeBytes });
  }

  async #part(wanted: Part): Promise<OriginAnswer | undefined> {
    const { from, to, etag, originId, sizeBytes } = wanted;
    const { fields, runtime, target, key } = this.task;
    runtime.account.countOrigin(1, 0);
    const range = ["Range", `bytes=${from}-${to - 1}`, "If-Range", etag];
    try {
      const answer = await runtime.origins.ask(
        { method: "GET", target, fields: [...fields, ...range], key },
        { only: originId },
      );
      const got = contentRangeOf(fieldValue(answer.fields, "content-range"));
      const isSame = answer.status === 206 && fieldValue(answer.fields, "etag") === etag;
      if (isSame && got?.kind === "part" && got.start === from && got.end <= to && got.sizeBytes === sizeBytes) {
        return answer;
      }
      answer.drop();
    } catch (error) {
      this.#deps.log.debug({ err: error, key }, "a part can't be had");
    }
    return undefined;
  }

  /**
   * Asks for the bytes from `start` on beside the front, for a reader that would wait long for them. Nothing happens
   * where the object has no strong validator: then two answers can't be put together.
   */
  async bringNear(start: number, end: number): Promise<void> {
    const body = this.#body;
    const first = this.#answer;
    const etag = first && validatorsOf(first.fields).strongEtag;
    if (!body || !first || etag === undefined || body.sizeBytes === undefined) return;
    // Another reader was faster: one of another thread may not know of its piece yet.
    const span = body.isNear(start, 0) ? undefined : body.span(start);
    if (!span) return;
    const { originId } = first;
    const answer = await this.#part({ from: start, to: end, etag, originId, sizeBytes: body.sizeBytes });
    await answer
      ?.read((chunk) => {
        this.task.runtime.account.countOrigin(0, chunk.length);
        if (!body.appendTo(span, chunk)) throw new UpstreamError("size");
        if (body.isCovered) this.#answer?.drop();
      })
      .catch((error: unknown) => this.#deps.log.debug({ err: error, key: this.task.key }, "a part broke off"));
  }
}

interface Part {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  readonly etag: string;
  readonly originId: string;
  /** Of the whole. */
  readonly sizeBytes: number;
}

/** The origin broke off; else it is our own limit, or the origin lied. */
const isCut = (error: unknown): boolean =>
  error instanceof UpstreamError && ["reset", "idle", "body-time", "connect"].includes(error.reason);
