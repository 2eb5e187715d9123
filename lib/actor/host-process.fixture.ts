/**
 * For tests: one node as a process of its own (DATABASE_URL, NATS_URL, NAMESPACE, NODE_ID, TTL_MS). Its actors write
 * into the table `fenced` every 20 ms, without asking whether they are alive: only the epoch in each write protects it.
 */
import type { ServiceBroker } from "moleculer";
import { openDatabase, type Tx } from "../db/database.ts";
import { quietLog } from "../log/log.ts";
import { makeBroker } from "./broker.ts";
import { Counter, count, KIND } from "./hosts.fixture.ts";
import { type KeyContext, KeyedHost } from "./keyed-host.ts";
import { Placement } from "./placement.ts";

const WRITE_INTERVAL_MS = 20;

/** What the test makes of it: the rows, and a log of every accepted write in the order of its acceptance. */
export const FENCED_TABLES = `
  create table fenced (key text primary key, lease_epoch bigint not null);
  create table fenced_log (
    id bigserial primary key, key text not null, lease_epoch bigint not null, node_id text not null);
  grant all on fenced, fenced_log, fenced_log_id_seq to castellan_app`;

const write = (tx: Tx, { key, leaseEpoch }: KeyContext, nodeId: string) =>
  tx.query(
    `with accepted as (
       insert into fenced as f (key, lease_epoch) values ($1, $2)
       on conflict (key) do update set lease_epoch = $2 where f.lease_epoch <= $2 returning key, lease_epoch)
     insert into fenced_log (key, lease_epoch, node_id) select key, lease_epoch, $3 from accepted`,
    [key, leaseEpoch, nodeId],
  );

class Writer extends Counter {
  readonly #nodeId: string;
  readonly #tx: Tx;
  #timer: NodeJS.Timeout | undefined;
  constructor(context: KeyContext, tx: Tx, nodeId: string) {
    super(context);
    this.#tx = tx;
    this.#nodeId = nodeId;
  }
  override async start(): Promise<void> {
    // A new owner's first act: from here on the fence refuses the former one.
    await write(this.#tx, this.context, this.#nodeId);
    this.#timer = setInterval(() => {
      write(this.#tx, this.context, this.#nodeId).catch(() => {});
    }, WRITE_INTERVAL_MS);
  }
  override stop(): void {
    clearInterval(this.#timer);
  }
  override kill(): void {
    // A rude actor goes on for a while after its lease was lost.
    setTimeout(() => clearInterval(this.#timer), WRITE_INTERVAL_MS * 10);
  }
}

const main = async (env: NodeJS.ProcessEnv): Promise<void> => {
  const nodeId = env.NODE_ID ?? "";
  const config = { nodeId, namespace: env.NAMESPACE ?? "", natsUrl: env.NATS_URL ?? null };
  const broker: ServiceBroker = makeBroker({ config, log: quietLog });
  const db = openDatabase({ url: env.DATABASE_URL ?? "", applicationName: nodeId });
  const placement = new Placement({ db, broker, log: quietLog, ttlMs: Number(env.TTL_MS) });
  const host = new KeyedHost({ placement, kind: KIND, create: (context) => new Writer(context, db, nodeId) });
  const answerCount = host.answer(count, ({ context: { leaseEpoch } }) => ({ nodeId, leaseEpoch, total: process.pid }));
  broker.createService({ name: "counter", actions: { count: answerCount } });
  process.once("SIGTERM", async () => {
    await placement.drain();
    await broker.stop();
    await db.close();
    process.exit(0);
  });
  await broker.start();
  await placement.start();
  process.stdout.write("ready\n");
};

if (import.meta.main) await main(process.env);
