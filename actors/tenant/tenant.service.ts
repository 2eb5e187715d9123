import type { ServiceSchema } from "moleculer";
import { schedule } from "node-cron";
import {
  authenticate,
  beginIdempotent,
  createApiKey,
  createTenant,
  endIdempotent,
  listApiKeys,
  listTenants,
  revokeApiKey,
} from "../../contracts/tenant.ts";
import { answer, type Call, tenantOf } from "../../lib/actor/contract.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import type { Log } from "../../lib/log/log.ts";
import { Idempotency } from "./idempotency.ts";
import { KeyUse } from "./key-use.ts";
import { Tenants } from "./tenant.ts";

export interface TenantDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
}

const KEY_USE_FLUSH_MS = 30_000;
const TRIM_AT = "17 * * * *"; // hourly; every control node does it: the second finds nothing

/** Wiring of the tenant actor: contract ↔ behaviour, and its two timers. */
export const tenantService = ({ db, clock, log }: TenantDeps): ServiceSchema => {
  const uses = new KeyUse({ db, clock });
  const tenants = new Tenants({ db, used: (tenantId, apiKeyId) => uses.note(tenantId, apiKeyId) });
  const idempotency = new Idempotency(db);
  const quietly = (what: string, run: () => Promise<unknown>) => () =>
    run().then(
      () => {},
      (error: unknown) => log.warn({ err: error }, `${what} failed; it is tried again later`),
    );
  const flushUses = quietly("writing when keys were used", () => uses.flush());
  const trim = quietly("removing old idempotency records", () => idempotency.trim());
  const own = (call: Call): string => tenantOf(call).tenantId;
  let stopTimers = async (): Promise<void> => {};

  return {
    name: "tenant",
    actions: {
      create: answer(createTenant, (input) => tenants.create(input)),
      list: answer(listTenants, (input) => tenants.list(input)),
      createApiKey: answer(createApiKey, (input, call) => tenants.createKey(own(call), input)),
      listApiKeys: answer(listApiKeys, (input, call) => tenants.listKeys(own(call), input)),
      revokeApiKey: answer(revokeApiKey, (input, call) => tenants.revokeKey(own(call), input)),
      authenticate: answer(authenticate, ({ key }) => tenants.authenticate(key)),
      beginIdempotent: answer(beginIdempotent, (input, call) => idempotency.begin(own(call), input)),
      endIdempotent: answer(endIdempotent, (input, call) => idempotency.end(own(call), input)),
    },
    started() {
      const flushing = setInterval(flushUses, KEY_USE_FLUSH_MS).unref();
      const trimming = schedule(TRIM_AT, trim, { name: "idempotency-trim", noOverlap: true, unref: true });
      stopTimers = async () => {
        clearInterval(flushing);
        await trimming.destroy();
      };
    },
    async stopped() {
      await stopTimers();
      await flushUses();
    },
  };
};
