/** Phase "cache lookup": what is to be done with what the cache holds. Pure. */
import type { Stored } from "./stored.ts";

/** `hit`: answer with it. `ask`: an origin has to be asked; `stored` may then stand in or be found unchanged. */
export type Lookup =
  | { readonly kind: "hit"; readonly stored: Stored; readonly stale: boolean }
  | { readonly kind: "missing" }
  | { readonly kind: "ask"; readonly why: "uri-miss" | "stale"; readonly stored: Stored | undefined };

export const lookUp = (stored: Stored | undefined, missing: boolean, nowMs: number): Lookup => {
  if (stored && nowMs < stored.freshUntilMs) return { kind: "hit", stored, stale: false };
  if (stored && nowMs < stored.askAgainAtMs) return { kind: "hit", stored, stale: true };
  if (missing) return { kind: "missing" };
  return { kind: "ask", why: stored ? "stale" : "uri-miss", stored };
};
