/** For tests: nodes with a placement and a host of one kind, whose actors write down what happens to them. */
import { randomUUID } from "node:crypto";
import { ServiceBroker } from "moleculer";
import { z } from "zod";
import { ask } from "../../contracts/kit.ts";
import type { TestDatabase } from "../../test/support/database.ts";
import { quietLog } from "../log/log.ts";
import { brokerOptions } from "./broker.ts";
import { deadNodesService } from "./dead-nodes.ts";
import { type KeyContext, type KeyedActor, KeyedHost, type StopReason } from "./keyed-host.ts";
import { Placement, unwantPlacement, wantPlacement } from "./placement.ts";

export const KIND = "counter";
export const count = ask("counter.count", {
  input: z.object({ key: z.string(), by: z.int().default(1) }),
  result: z.object({ nodeId: z.string(), leaseEpoch: z.int(), total: z.int() }),
  deadlineMs: 20_000,
  errors: ["ACTOR_MOVED"],
  retriable: true,
  key: ({ key }) => key,
});

export class Counter implements KeyedActor {
  readonly context: KeyContext;
  readonly events: string[] = [];
  total = 0;
  constructor(context: KeyContext) {
    this.context = context;
  }
  start(): Promise<void> | void {
    this.events.push("start");
  }
  stop(reason: StopReason): void {
    this.events.push(`stop ${reason} ${this.context.alive() ? "alive" : "dead"}`);
  }
  kill(): void {
    this.events.push("kill");
  }
}

export interface HostNode {
  readonly broker: ServiceBroker;
  readonly placement: Placement;
  readonly host: KeyedHost<Counter>;
  /** Every actor that was ever made here. */
  readonly made: Counter[];
}
interface Cleaner {
  after(clean: () => Promise<void>): void;
}
export interface HostOptions {
  readonly nodeId?: string;
  readonly namespace?: string;
  readonly pollMs?: number;
  readonly ttlMs?: number;
  readonly depthMax?: number;
  readonly stopDeadlineMs?: number;
  readonly create?: (context: KeyContext) => Counter;
}

/** A started node; it is stopped with the test. With a namespace the nodes of a test reach each other. */
export const startHost = async (t: Cleaner, db: TestDatabase, options: HostOptions = {}): Promise<HostNode> => {
  const { nodeId = `node-${randomUUID().slice(0, 8)}`, namespace, create } = options;
  const broker = new ServiceBroker({
    ...brokerOptions({ nodeId, namespace: namespace ?? randomUUID(), natsUrl: null }, quietLog),
    ...(namespace === undefined ? {} : { transporter: "Fake" }),
    tracking: { enabled: false },
    registry: { preferLocal: true, stopDelay: 0 },
  });
  const placement = new Placement({
    db,
    broker,
    log: quietLog,
    ...(options.pollMs === undefined ? {} : { pollMs: options.pollMs }),
    ...(options.ttlMs === undefined ? {} : { ttlMs: options.ttlMs }),
  });
  const made: Counter[] = [];
  const host = new KeyedHost<Counter>({
    placement,
    kind: KIND,
    ...(options.depthMax === undefined ? {} : { depthMax: options.depthMax }),
    ...(options.stopDeadlineMs === undefined ? {} : { stopDeadlineMs: options.stopDeadlineMs }),
    create: (context) => {
      const counter = create?.(context) ?? new Counter(context);
      made.push(counter);
      return counter;
    },
  });
  broker.createService(deadNodesService(broker));
  broker.createService({
    name: "counter",
    actions: {
      count: host.answer(count, (counter, { by }) => {
        counter.total += by;
        return { nodeId, leaseEpoch: counter.context.leaseEpoch, total: counter.total };
      }),
    },
  });
  t.after(async () => {
    await placement.stop();
    await broker.stop();
  });
  await broker.start();
  await placement.start();
  return { broker, placement, host, made };
};

export const want = (db: TestDatabase, ...keys: string[]): Promise<void> =>
  db.tenantTx(null, async (tx) => {
    for (const key of keys) await wantPlacement(tx, KIND, key);
  });
export const unwant = (db: TestDatabase, key: string): Promise<void> =>
  db.tenantTx(null, (tx) => unwantPlacement(tx, KIND, key));

const PROBE_MS = 10;
const DEADLINE_MS = 60_000;
/** Waits until `probe` gives something truthy; fails after 20 s. */
export const until = async <T>(what: string, probe: () => T | Promise<T>): Promise<NonNullable<T>> => {
  const endsAt = performance.now() + DEADLINE_MS;
  while (performance.now() < endsAt) {
    const seen = await probe();
    if (seen) return seen;
    await new Promise((resolve) => setTimeout(resolve, PROBE_MS));
  }
  throw new Error(`not seen within ${DEADLINE_MS} ms: ${what}`);
};
