/** Header lines of the edge's answers. */
import { type CacheStatusParts, cacheStatus } from "../../domain/http-cache/cache-status.ts";
import type { HeaderLines } from "../../lib/http/exchange.ts";

export const ALLOWED_METHODS = "GET, HEAD, OPTIONS";

/** The lines that each answer from the cache or through it has of its own. */
export const ownLines = (ageMs: number, status: CacheStatusParts): HeaderLines =>
  `Age: ${Math.max(0, Math.floor(ageMs / 1_000))}\r\nCache-Status: ${cacheStatus(status)}\r\n`;

/** True when the request has been through this very edge: its origins lead back to it. */
export const hasLooped = (via: string | undefined, own: string): boolean =>
  via?.split(",").some((hop) => hop.trim().split(/\s+/)[1] === own) ?? false;
