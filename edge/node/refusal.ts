/** Answers without media, never kept for long. */
import { cacheStatus } from "../../domain/http-cache/cache-status.ts";
import { OPEN_TO_ALL } from "../../lib/http/cors.ts";
import type { HeaderLines, RawExchange } from "../../lib/http/exchange.ts";
import type { Refusal } from "../../lib/http/problem.ts";

/** How long anybody may remember that there is nothing here. */
const MISSING_MAX_AGE_S = 1;

/** A problem document of the edge itself, which players of all hosts may read. */
export const refuse = (exchange: RawExchange, refusal: Refusal, { via, more = "" }: RefusalLines): void => {
  const kept = refusal.code === "NOT_FOUND" ? `Cache-Control: public, max-age=${MISSING_MAX_AGE_S}\r\n` : "";
  exchange.problem(refusal, `${OPEN_TO_ALL}Cache-Status: ${cacheStatus({})}\r\nVia: ${via}\r\n${kept}${more}`);
};

interface RefusalLines {
  readonly via: string;
  readonly more?: HeaderLines;
}
