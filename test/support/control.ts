/** The control actors of one process: a real broker and a real database, for tests of channels. */
import { randomUUID } from "node:crypto";
import type { ServiceBroker } from "moleculer";
import type { z } from "zod";
import { channelServices } from "../../actors/channel/channel.service.ts";
import { channelSupervisorService } from "../../actors/channel-supervisor/channel-supervisor.service.ts";
import { listStreamers } from "../../contracts/channel.ts";
import type { Ask } from "../../contracts/kit.ts";
import { makeBroker } from "../../lib/actor/broker.ts";
import { send } from "../../lib/actor/contract.ts";
import { Directory } from "../../lib/actor/directory.ts";
import { Placement } from "../../lib/actor/placement.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import { pgEvents } from "../../lib/events/pg-events.ts";
import { type Log, quietLog } from "../../lib/log/log.ts";
import type { TestDatabase } from "./database.ts";
import { FakeStreamerNode } from "./fake-streamer.ts";

export interface Tenant {
  readonly tenantId: string;
  readonly tenant: string;
}
export interface Control {
  readonly broker: ServiceBroker;
  readonly node: FakeStreamerNode;
  readonly placement: Placement;
  /** Sends an ask as this tenant (the harness's own unless told). */
  ask<I extends z.ZodType, O extends z.ZodType>(
    ask: Ask<I, O>,
    input: z.input<I>,
    as?: Tenant & { scopes?: readonly string[] },
  ): Promise<z.output<O>>;
  stop(): Promise<void>;
}
export interface ControlOptions {
  readonly db: Database;
  readonly tenant: Tenant;
  readonly nodeId?: string;
  readonly log?: Log;
  readonly ordinals?: number;
  /** Castis stand-ins listen on 127.0.0.1. */
  readonly allowPrivateSources?: readonly string[];
}

export const newTenant = async (db: TestDatabase, slug: string): Promise<Tenant> => {
  const tenantId = randomUUID();
  await db.asOwner("insert into tenant (id, slug, name) values ($1, $2, $2)", [tenantId, slug]);
  return { tenantId, tenant: slug };
};

export const startControl = async (options: ControlOptions): Promise<Control> => {
  const { db, tenant, nodeId = "node-1", log = quietLog } = options;
  const broker = makeBroker({ config: { nodeId, namespace: "test", natsUrl: null }, log });
  const placement = new Placement({ db, broker, log });
  const directory = new Directory(db);
  const events = pgEvents({ db, log });
  const node = new FakeStreamerNode(broker, { ordinals: options.ordinals ?? 2 });
  const config = {
    edgePublicUrl: "http://edge.example",
    allowPrivateSources: options.allowPrivateSources ?? ["127.0.0.0/8"],
  };
  const castis = { deadlineMs: 1_000, checkEveryMs: 2_000 };
  const deps = { config, broker, db, events, placement, directory, clock: systemClock, log, castis };
  for (const schema of [channelSupervisorService(deps), ...channelServices(deps)]) broker.createService(schema);
  await broker.start();
  await placement.start();
  await events.start();
  node.report();
  return {
    broker,
    node,
    placement,
    ask: (ask, input, as) => send(broker, ask, input, { ...tenant, ...as }),
    stop: async () => {
      node.silent();
      await placement.drain();
      await events.stop();
      await broker.stop();
    },
  };
};

const PAUSE_MS = 25;
/** Looks until `look` gives something (neither undefined nor false); what it throws last is the failure. */
export const eventually = async <T>(
  what: string,
  look: () => Promise<T> | T,
  deadlineMs = 60_000,
): Promise<Exclude<T, false | undefined>> => {
  const endsAt = performance.now() + deadlineMs;
  for (let last: unknown; ; ) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found as Exclude<T, false | undefined>;
    } catch (error) {
      last = error;
    }
    if (performance.now() > endsAt) throw new Error(`never within ${deadlineMs} ms: ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
};

/** Ids of our two streamers, by ordinal, once they have registered themselves. */
export const ownStreamerIds = ({ ask }: Pick<Control, "ask">): Promise<[number, number]> =>
  eventually<[number, number] | false>("both streamers register themselves", async () => {
    const { data } = await ask(listStreamers, {});
    const [first, second] = ["node-1/0", "node-1/1"].map((name) => data.find((s) => s.name === name)?.id);
    return first !== undefined && second !== undefined && [first, second];
  });
