/** A compiled site together with what lives as long as it does: its origins, its guard, its account. */
import type { AccountRow } from "../analytics/accounts.ts";
import type { Site } from "../config/sites.ts";
import type { Guard } from "../guard/guard.ts";
import type { Contexts } from "../node/metrics.ts";
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
  /** When most answers have begun, of the fastest that is up; undefined where nothing is known. */
  readonly usualMs: number | undefined;
  close(): Promise<void>;
}
export interface SiteRuntime {
  readonly site: Site;
  readonly origins: SiteOrigins;
  /** Null: every address is open. */
  readonly guard: Guard | null;
  /** Of the hostname that was asked for. */
  readonly account: AccountRow;
  readonly contexts: Contexts;
}
