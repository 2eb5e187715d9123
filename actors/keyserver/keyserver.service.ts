import type { ServiceBroker, ServiceSchema } from "moleculer";
import { schedule } from "node-cron";
import { contentPurged } from "../../contracts/catalog.ts";
import {
  contentKey,
  deliverKey,
  listKeyDeliveries,
  renewContentKey,
  tokenSigningKey,
} from "../../contracts/keyserver.ts";
import { answer, type Call, tenantOf } from "../../lib/actor/contract.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Config } from "../../lib/config/config.ts";
import { MasterKeys } from "../../lib/crypto/master-keys.ts";
import type { Database } from "../../lib/db/database.ts";
import type { EventBus } from "../../lib/events/events.ts";
import type { Jobs } from "../../lib/jobs/jobs.ts";
import type { Log } from "../../lib/log/log.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import { Keyserver } from "./keyserver.ts";
import { masterKeyPlace } from "./master-key-place.ts";

export interface KeyserverDeps {
  readonly config: Config & { readonly edgePublicUrl: string };
  readonly broker: ServiceBroker;
  readonly db: Database;
  readonly events: EventBus;
  readonly objects: ObjectStore;
  readonly jobs: Jobs;
  readonly clock: Clock;
  readonly log: Log;
}

const CHECK_AT = "*/10 * * * *";
const TRIM_AT = "41 * * * *"; // hourly; every control node does it: the second finds nothing

/** Wiring of the actor: contract ↔ behaviour. */
export const keyserverServices = ({ config, db, events, objects, clock, log }: KeyserverDeps): ServiceSchema[] => {
  const masterKeys = new MasterKeys(masterKeyPlace(config));
  const keyserver = new Keyserver({ db, objects, masterKeys, clock, log });
  const own = (call: Call): string => tenantOf(call).tenantId;
  const quietly = (what: string, run: () => Promise<void>) => () =>
    run().catch((error: unknown) => log.warn({ err: error }, `${what} failed; it is tried again later`));
  const trim = quietly("removing old key deliveries", () => keyserver.trim());
  const check = quietly("looking for missing master keys", () => keyserver.check());
  let stopTimer = async (): Promise<void> => {};
  return [
    {
      name: "keyserver",
      actions: {
        contentKey: answer(contentKey, ({ tenantId, contentId }) => keyserver.contentKey(tenantId, contentId)),
        deliverKey: answer(deliverKey, (input) => keyserver.deliverKey(input)),
        tokenSigningKey: answer(tokenSigningKey, () => keyserver.tokenSigningKey()),
        renewContentKey: answer(renewContentKey, ({ titleId }, call) => keyserver.renewContentKey(own(call), titleId)),
        keyDeliveries: answer(listKeyDeliveries, (input, call) => keyserver.deliveries(own(call), input)),
      },
      async started() {
        await events.subscribe("keyserver", [contentPurged], ({ payload: { tenantId, titleId } }) =>
          keyserver.purged(tenantId, titleId),
        );
        await check();
        const timers = [
          schedule(TRIM_AT, trim, { name: "key-delivery-trim", noOverlap: true, unref: true }),
          schedule(CHECK_AT, check, { name: "master-key-check", noOverlap: true, unref: true }),
        ];
        stopTimer = async () => void (await Promise.all(timers.map((timer) => timer.destroy())));
      },
      stopped: () => stopTimer(),
    },
  ];
};
