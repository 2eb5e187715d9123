/** Header lines of the edge's answers. */
import { type CacheStatusParts, cacheStatus } from "../../domain/http-cache/cache-status.ts";
import { OPEN_TO_ALL } from "../../lib/http/cors.ts";
import type { HeaderLines } from "../../lib/http/exchange.ts";

export { OPEN_TO_ALL };

export const ALLOWED_METHODS = "GET, HEAD, OPTIONS";
export const PREFLIGHT: HeaderLines = [
  `${OPEN_TO_ALL}Access-Control-Allow-Methods: ${ALLOWED_METHODS}`,
  "Access-Control-Allow-Headers: Range, If-Range, If-None-Match, If-Modified-Since, Cache-Control, Authorization",
  "Access-Control-Max-Age: 86400",
  "",
].join("\r\n");

/** The lines that each answer from the cache or through it has of its own. */
export const ownLines = (ageMs: number, status: CacheStatusParts): HeaderLines =>
  `Age: ${Math.max(0, Math.floor(ageMs / 1_000))}\r\nCache-Status: ${cacheStatus(status)}\r\n`;

/** True when the request has been through this very edge: its origins lead back to it. */
export const hasLooped = (via: string | undefined, own: string): boolean =>
  via?.split(",").some((hop) => hop.trim().split(/\s+/)[1] === own) ?? false;
