/** By the clock: ends interrupted creations, catches up with supervisors, asks whether castis nodes are there. */
import { setTimeout as pause } from "node:timers/promises";
import { codeOf } from "../../contracts/errors.ts";
import type { Database } from "../../lib/db/database.ts";
import type { Log } from "../../lib/log/log.ts";
import { allTenants, laggingChannels } from "./channel.store.ts";
import type { Creation } from "./creation.ts";
import { applyObserved } from "./observation.ts";
import type { StreamerRegistry } from "./streamer-registry.ts";

export interface RoundsDeps {
  readonly db: Database;
  readonly log: Log;
  readonly creation: Pick<Creation, "sweep">;
  readonly registry: Pick<StreamerRegistry, "probe">;
}

const SWEEP_EVERY_MS = 2_000;
const CATCH_UP_EVERY_MS = 3_000;
const PROBE_EVERY_MS = 10_000;
const STOP_WAIT_MS = 2_000;

interface Round {
  readonly what: string;
  readonly everyMs: number;
  readonly run: () => Promise<void>;
}

/** Rounds of one kind never overlap; one that fails is left to the next. */
export const rounds = ({ db, log, creation, registry }: RoundsDeps): { start(): void; stop(): Promise<void> } => {
  const timers = new Map<string, NodeJS.Timeout>();
  const running = new Map<string, Promise<void>>();
  let stopped = false;
  const all: readonly Round[] = [
    {
      what: "sweep of interrupted creations",
      everyMs: SWEEP_EVERY_MS,
      run: async () => {
        for (const tenant of await db.tenantTx(null, allTenants)) if (!stopped) await creation.sweep(tenant);
      },
    },
    {
      what: "catching up with supervisors",
      everyMs: CATCH_UP_EVERY_MS,
      run: async () => {
        for (const { id: tenantId } of await db.tenantTx(null, allTenants)) {
          if (stopped) return;
          const lagging = await db.tenantTx(tenantId, laggingChannels);
          for (const channelId of lagging)
            await db.tenantTx(tenantId, (tx) => applyObserved(tx, { tenantId, channelId }));
        }
      },
    },
    {
      what: "probe of castis nodes",
      everyMs: PROBE_EVERY_MS,
      run: async () => {
        const tenants = await db.tenantTx(null, allTenants);
        for (const tenantId of [null, ...tenants.map(({ id }) => id)]) if (!stopped) await registry.probe(tenantId);
      },
    },
  ];
  const go = (round: Round): void => {
    const done = round
      .run()
      .catch((error: unknown) => {
        const level = codeOf(error) === undefined ? "error" : "debug";
        log[level]({ err: error }, `channel: ${round.what} failed; it is tried again`);
      })
      .then(() => {
        if (!stopped) timers.set(round.what, setTimeout(() => go(round), round.everyMs).unref());
      });
    running.set(round.what, done);
  };
  return {
    start: () => all.forEach(go),
    async stop() {
      stopped = true;
      for (const timer of timers.values()) clearTimeout(timer);
      // What a round leaves half done is as durable as if the process had died.
      const late = pause(STOP_WAIT_MS, undefined, { ref: false });
      await Promise.race([Promise.all(running.values()), late]);
    },
  };
};
