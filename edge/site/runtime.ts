/** A compiled site together with what lives as long as it does: its origins, its guard, its account. */
import type { Site } from "../config/sites.ts";
import type { Guard } from "../guard/guard.ts";
import type { Context, Result } from "../node/metrics.ts";
import type { OriginAnswer, OriginRequest } from "../origin/site/contract.ts";

export interface AskOptions {
  readonly signal?: AbortSignal;
  /** This origin and no other. */
  readonly only?: string;
  /** From the request being sent to the head. */
  readonly firstByteMs?: number;
}
/** What a site's objects come from. */
export interface SiteOrigins {
  ask(request: OriginRequest, options?: AskOptions): Promise<OriginAnswer>;
  /** None of them is known to answer: what is stored may serve at once. */
  readonly isDown: boolean;
  close(): Promise<void>;
}
/** Counts what the site's requests cost. */
export interface SiteAccount {
  origin(requestCount: number, bytes: number): void;
}
/** What a request's exchange carries until it is over, and whom it is counted for. */
export interface SiteContext extends Context {
  readonly account: SiteAccount;
}

export interface SiteRuntime {
  readonly site: Site;
  readonly origins: SiteOrigins;
  /** Null: every address is open. */
  readonly guard: Guard | null;
  readonly account: SiteAccount;
  readonly contexts: Readonly<Record<Result, SiteContext>>;
}
