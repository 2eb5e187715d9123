/** Refusals of a site's requests: problem documents (RFC 9457) that nobody keeps. */
import { cacheStatus } from "../../domain/http-cache/cache-status.ts";
import type { RawExchange } from "../../lib/http/exchange.ts";
import type { Refusal } from "../../lib/http/problem.ts";

export const siteProblem = (exchange: RawExchange, refusal: Refusal, via: string): void =>
  exchange.problem(refusal, `Cache-Status: ${cacheStatus({})}\r\nVia: ${via}\r\n`);
