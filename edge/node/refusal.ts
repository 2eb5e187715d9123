/** Answers without media, never kept for long. */
import { type Refusal, writeProblem } from "../../lib/http/problem.ts";
import type { Exchange } from "./answer.ts";
import { cacheStatusOf, type Headers, OPEN_TO_ALL } from "./headers.ts";

/** How long anybody may remember that there is nothing here. */
const MISSING_MAX_AGE_S = 1;

export const refuse = ({ request, response, via }: Exchange, refusal: Refusal, headers?: Headers): void =>
  writeProblem({ request, response }, refusal, {
    ...OPEN_TO_ALL,
    "cache-status": cacheStatusOf({}),
    via,
    ...(refusal.code === "NOT_FOUND" ? { "cache-control": `public, max-age=${MISSING_MAX_AGE_S}` } : {}),
    ...headers,
  });
