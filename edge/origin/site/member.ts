/** One origin of a site, with what is known of it. */
import { UpstreamError } from "../upstream.ts";
import { Condition } from "./condition.ts";
import type { AttemptOptions, Origin, OriginAnswer, OriginRequest } from "./contract.ts";

export interface MemberOptions {
  readonly id: string;
  readonly origin: Origin;
  /** `parent`: another edge; `packager`: asked by key, each title on one of them. */
  readonly kind: "origin" | "parent" | "packager";
}

/** Answers that another origin may better. */
export const isBad = (status: number): boolean => status === 500 || status === 502 || status === 503 || status === 504;

export class Member {
  readonly id: string;
  readonly kind: MemberOptions["kind"];
  readonly condition = new Condition();
  readonly #origin: Origin;
  readonly #nowMs: () => number;

  constructor({ id, kind, origin }: MemberOptions, nowMs: () => number) {
    this.id = id;
    this.kind = kind;
    this.#origin = origin;
    this.#nowMs = nowMs;
  }

  /** As the origin's own; how it went is remembered. */
  async ask(request: OriginRequest, options: AttemptOptions): Promise<OriginAnswer> {
    this.condition.askedAtMs = this.#nowMs();
    try {
      const answer = await this.#origin.ask(request, options);
      if (isBad(answer.status)) this.condition.answeredBadly(this.#nowMs());
      else this.condition.answered(answer.firstByteMs);
      return answer;
    } catch (error) {
      if (error instanceof UpstreamError) this.condition.failed(error.reason, this.#nowMs());
      throw error;
    }
  }

  /** As `ask`, and nothing is remembered. */
  probe(request: OriginRequest, options: AttemptOptions): Promise<OriginAnswer> {
    return this.#origin.ask(request, options);
  }

  close(): Promise<void> {
    return this.#origin.close();
  }
}
