/** Refusals of a site's requests: problem documents (RFC 9457) that nobody keeps. */
import { cacheStatus } from "../../domain/http-cache/cache-status.ts";
import { OPEN_TO_ALL } from "../../lib/http/cors.ts";
import type { RawExchange } from "../../lib/http/exchange.ts";
import type { Refusal } from "../../lib/http/problem.ts";

/**
 * Open to scripts of all hosts, whatever the origin would say: a browser hides the status of an answer that is not, and
 * hls.js takes such a one for what can't be tried again, where a 502 is.
 */
export const siteProblem = (exchange: RawExchange, refusal: Refusal, via: string): void =>
  exchange.problem(refusal, `${OPEN_TO_ALL}Cache-Status: ${cacheStatus({})}\r\nVia: ${via}\r\n`);
