/**
 * What an operator asks of a packager at its own listener, with the admin token: `POST /purge`, `POST /clean`,
 * `GET /caches`. Without an admin token in the configuration there is nothing at these addresses.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { fail } from "../../contracts/errors.ts";
import { type Purged, PurgeTargets } from "../../contracts/packager.ts";
import { fieldErrors } from "../../lib/field-errors.ts";
import type { RawExchange } from "../../lib/http/exchange.ts";
import { jsonIn } from "../../lib/http/json-body.ts";
import type { CleanedCache } from "./cache-cleaner.ts";
import type { CacheStore, CacheUsage } from "./cache-store.ts";
import { headerLines, TYPES } from "./caching.ts";
import type { IsMeant, Targets } from "./forget.ts";

const BODY_BYTES_MAX = 1024 * 1024; // 1000 addresses of 1 KiB

const PurgeBody = z
  .strictObject({ ...PurgeTargets.shape, dryRun: z.boolean().default(false) })
  .refine(({ urls, all }) => (urls !== undefined) !== (all === true), "either urls or all");

/** What was let go of; of a dry run what would be, indexes in memory not counted. */
export type PurgeAnswer = Purged & { readonly dryRun: boolean };

export interface CacheState extends CacheUsage {
  readonly cache: "input" | "segment";
}

export interface AdminDeps {
  /** Null: nobody may. */
  readonly adminToken: string | null;
  purge(targets: Targets): Promise<Purged>;
  /** Throws as `purge` does for addresses that no file can have. */
  meantBy(targets: Targets): Promise<IsMeant>;
  readonly stores: readonly CacheStore[];
  clean(): Promise<CleanedCache[]>;
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Whether an Authorization field has the token (RFC 6750 §2.1); its time does not tell how far it fits. */
const isAuthorized = (field: string | undefined, token: string): boolean => {
  const [, given = ""] = /^bearer +(\S+)$/i.exec(field ?? "") ?? [];
  return timingSafeEqual(digest(given), digest(token));
};

/** What `purge` would remove from the disk. */
const counted = (stores: readonly CacheStore[], isMeant: IsMeant): Purged => {
  const counts = stores.map((store) => ({ name: store.options.name, ...store.count(({ path }) => isMeant(path)) }));
  const countOf = (cache: string): number => counts.find(({ name }) => name === cache)?.entryCount ?? 0;
  const sizeBytes = counts.reduce((sum, { bytes }) => sum + bytes, 0);
  return { indexCount: 0, inputCount: countOf("input"), segmentCount: countOf("segment"), sizeBytes };
};

/** Purges as a body says. BAD_INPUT, PATH_REFUSED. */
const purgeRequest = async (body: unknown, deps: AdminDeps): Promise<PurgeAnswer> => {
  const parsed = PurgeBody.safeParse(body);
  if (!parsed.success) return fail("BAD_INPUT", { errors: fieldErrors(parsed.error) });
  const { dryRun, ...targets } = parsed.data;
  if (dryRun) return { dryRun, ...counted(deps.stores, await deps.meantBy(targets)) };
  return { dryRun, ...(await deps.purge(targets)) };
};

/** How full the caches are. */
const cacheStates = (stores: readonly CacheStore[]): CacheState[] =>
  stores.map((store) => ({ cache: store.options.name, ...store.usage() }));

interface Verb {
  readonly method: "GET" | "POST";
  readonly act: (exchange: RawExchange, deps: AdminDeps) => Promise<unknown>;
}

const VERBS: Readonly<Record<string, Verb>> = {
  "/purge": {
    method: "POST",
    act: async (exchange, deps) => purgeRequest(jsonIn(await exchange.readBody(BODY_BYTES_MAX)), deps),
  },
  "/clean": { method: "POST", act: async (_, deps) => ({ caches: await deps.clean() }) },
  "/caches": { method: "GET", act: async (_, { stores }) => ({ caches: cacheStates(stores) }) },
};

export const isAdminPath = (path: string): boolean => Object.hasOwn(VERBS, path);

/** Answers at an address of `isAdminPath`. Faults are thrown. */
export const answerAdmin = async (exchange: RawExchange, deps: AdminDeps): Promise<void> => {
  const verb = VERBS[exchange.path];
  if (!verb || deps.adminToken === null) return exchange.problem({ code: "NOT_FOUND" });
  if (!isAuthorized(exchange.header("authorization"), deps.adminToken)) {
    return exchange.problem({ code: "UNAUTHENTICATED" });
  }
  const { method } = exchange;
  if (method !== verb.method) {
    return exchange.problem({ code: "METHOD_NOT_ALLOWED", data: { method } }, `Allow: ${verb.method}\r\n`);
  }
  const answer = await verb.act(exchange, deps);
  exchange.send(200, headerLines({ type: TYPES.json, freshness: "secret" }), Buffer.from(JSON.stringify(answer)));
};
