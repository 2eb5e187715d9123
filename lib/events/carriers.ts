/** The carrier that fits this process, with what belongs to it: trimming of the outbox, and its depth as metrics. */
import type { Database } from "../db/database.ts";
import type { Log } from "../log/log.ts";
import { gauge } from "../metrics/metrics.ts";
import { jetStreamEvents } from "./jetstream-events.ts";
import { pgEvents } from "./pg-events.ts";
import type { EventBus } from "./port.ts";
import { startTrimming } from "./trim.ts";

export interface OpenEventsOptions {
  readonly db: Database;
  /** null: straight from PostgreSQL. All processes of an installation have the same. */
  readonly natsUrl: string | null;
  /** First part of the subjects in NATS. */
  readonly prefix: string;
  readonly log: Log;
}

export function openEvents({ db, natsUrl, prefix, log }: OpenEventsOptions): EventBus {
  const carrier = natsUrl === null ? pgEvents({ db, log }) : jetStreamEvents({ db, natsUrl, prefix, log });
  let trimming: { stop(): Promise<void> } | undefined;
  return {
    subscribe: (consumer, facts, handler) => carrier.subscribe(consumer, facts, handler),
    depths: () => carrier.depths(),
    start: async () => {
      await carrier.start();
      trimming = startTrimming({ db, log });
      showDepths(carrier);
    },
    stop: async () => {
      if (shown === carrier) shown = undefined;
      await trimming?.stop();
      await carrier.stop();
    },
  };
}

/** A process has one carrier; tests have several, one after the other. */
let shown: EventBus | undefined;

function showDepths(carrier: EventBus): void {
  shown = carrier;
  const facts = gauge({
    name: "castellan_event_todo",
    help: "Facts that wait for a consumer or that it gave up on (dead); jetstream: on their way to NATS.",
    labels: ["consumer", "state"],
    collect: async () => {
      facts.reset();
      // A page of metrics without these is better than none.
      for (const { consumer, waiting, dead } of (await shown?.depths().catch(() => [])) ?? []) {
        facts.set({ consumer, state: "waiting" }, waiting);
        facts.set({ consumer, state: "dead" }, dead);
      }
    },
  });
}
