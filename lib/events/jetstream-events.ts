/**
 * Delivery by NATS JetStream, for nodes that share one: every node relays the outbox (as the consumer "jetstream"), and
 * reads the lanes of its consumers. The fact's id goes along as message id: a relay that dies between publishing and
 * noting it publishes twice, and the server drops the second one.
 */
import { connect, ErrorCode, type JetStreamManager, type NatsConnection } from "nats";
import type { z } from "zod";
import { fail } from "../../contracts/errors.ts";
import type { Fact } from "../../contracts/kit.ts";
import type { Database } from "../db/database.ts";
import type { Listener } from "../db/listener.ts";
import type { Log } from "../log/log.ts";
import { type Carried, carriedCodec, JetStreamLane } from "./jetstream-lane.ts";
import { LANE_COUNT, type Reader, Streams } from "./jetstream-streams.ts";
import { PgWorker } from "./pg-worker.ts";
import {
  type Depth,
  type EventBus,
  type EventHandler,
  type FactEvent,
  handlerOf,
  RETRY_POLICY,
  type RetryPolicy,
} from "./port.ts";
import { TodoStore } from "./todo.store.ts";
import { wakeOn } from "./wake.ts";

export interface JetStreamEventsOptions {
  readonly db: Database;
  readonly natsUrl: string;
  /** First part of the subjects; installations that share a NATS have different ones. */
  readonly prefix: string;
  readonly log: Log;
  readonly policy?: Partial<RetryPolicy>;
}

export const jetStreamEvents = (options: JetStreamEventsOptions): EventBus => new JetStreamEvents(options);

const RELAY = "jetstream";
const ANSWER_TIMEOUT_MS = 5_000;
const PUBLISH_TIMEOUT_MS = 2_000; // a request on a connection that broke is noticed by this only
const REPLAY_MINUTES = 60;
const STOP_DEADLINE_MS = 10_000;
const GOODBYE_MS = 1_000; // a server that is there takes what is left within milliseconds
const LEFT_POLL_MS = 50;
const LANES = [...Array(LANE_COUNT).keys()];

class JetStreamEvents implements EventBus {
  readonly #options: JetStreamEventsOptions;
  readonly #policy: RetryPolicy;
  readonly #store: TodoStore;
  readonly #streams: Streams;
  readonly #relay: PgWorker;
  readonly #wake: Listener;
  readonly #lanes = new Map<string, JetStreamLane[]>();
  #connecting: Promise<NatsConnection> | undefined;
  #started = false;

  constructor(options: JetStreamEventsOptions) {
    this.#options = options;
    this.#policy = { ...RETRY_POLICY, ...options.policy };
    this.#store = new TodoStore(options.db);
    this.#streams = new Streams(options.prefix);
    this.#relay = new PgWorker({
      consumer: RELAY,
      handler: (event) => this.#carry(event),
      store: this.#store,
      policy: this.#policy,
      log: options.log,
    });
    this.#wake = wakeOn(options.db.url, () => this.#relay.wake());
  }

  async subscribe<F extends Fact>(
    consumer: string,
    facts: readonly F[],
    handler: EventHandler<z.output<F["payload"]>>,
  ): Promise<void> {
    if (this.#lanes.has(consumer)) throw new Error(`bug: the consumer ${consumer} subscribes twice`);
    const checked = handlerOf(facts, handler as EventHandler<never>);
    await this.#ensureStreams();
    const { silenceMs } = this.#policy;
    const reader: Reader = { consumer, silenceMs, since: await this.#store.registerElsewhere(consumer) };
    const manager = await this.#manager();
    await Promise.all(LANES.map((lane) => this.#streams.ensureConsumer(manager, reader, lane)));
    const lanes = LANES.map((lane) => this.#laneOf(reader, lane, checked));
    // The relay has to want facts before the first one is published.
    await this.#store.register(RELAY, ["*"]);
    await this.#deliverLeft(consumer, checked);
    this.#lanes.set(consumer, lanes);
    if (this.#started) for (const lane of lanes) lane.start();
  }

  async start(): Promise<void> {
    this.#started = true;
    await this.#ensureStreams();
    await this.#store.register(RELAY, ["*"]);
    await this.#wake.start();
    this.#relay.start();
    for (const lane of this.#allLanes()) lane.start();
  }

  async stop(): Promise<void> {
    const handlers = Promise.all(this.#allLanes().map((lane) => lane.stop()));
    const deadline = new Promise((resolve) => setTimeout(resolve, STOP_DEADLINE_MS).unref());
    await Promise.race([Promise.all([this.#wake.stop(), this.#relay.stop(), handlers]), deadline]);
    const connection = await this.#connecting?.catch(() => undefined);
    // What was acknowledged must reach the server; one that is away must not keep us here.
    const goodbye = new Promise((resolve) => setTimeout(resolve, GOODBYE_MS).unref());
    await Promise.race([connection?.flush().catch(() => {}), goodbye]);
    await connection?.close();
  }

  async depths(): Promise<Depth[]> {
    const manager = await this.#manager();
    const subjects_filter = this.#streams.deadSubject("*");
    const { state } = await manager.streams.info(this.#streams.dead, { subjects_filter });
    const depths = await this.#store.depths();
    for (const consumer of this.#lanes.keys()) {
      const names = LANES.map((lane) => `${consumer}-${lane}`);
      const infos = await Promise.all(names.map((name) => manager.consumers.info(this.#streams.lanes, name)));
      const waiting = infos.reduce((sum, info) => sum + info.num_pending + info.num_ack_pending, 0);
      depths.push({ consumer, waiting, dead: state.subjects?.[this.#streams.deadSubject(consumer)] ?? 0 });
    }
    return depths;
  }

  #allLanes(): JetStreamLane[] {
    return [...this.#lanes.values()].flat();
  }

  /** A NATS that has lost its disk gets the last facts again: they may not have been read before. */
  async #ensureStreams(): Promise<void> {
    const manager = await this.#manager();
    const { lanesMade } = await this.#streams.ensure(manager).catch((error: unknown) => {
      const isOff = (error as { code?: string }).code === ErrorCode.NoResponders;
      throw isOff ? new Error("The NATS server has no JetStream: start it with -js.", { cause: error }) : error;
    });
    if (!lanesMade || !(await this.#store.isRegistered(RELAY))) return;
    this.#options.log.warn("NATS had lost its streams; the facts of the last hour are carried once more");
    await this.#store.replay(RELAY, REPLAY_MINUTES);
  }

  #laneOf(reader: Reader, lane: number, handler: EventHandler): JetStreamLane {
    const { consumer } = reader;
    const { log } = this.#options;
    const find = async () => {
      await this.#ensureStreams();
      const name = await this.#streams.ensureConsumer(await this.#manager(), reader, lane);
      return (await this.#connection()).jetstream().consumers.get(this.#streams.lanes, name);
    };
    const bury = (event: Carried, attempt: number, reason: string) =>
      this.#publish(this.#streams.deadSubject(consumer), { ...event, attempt, reason }, `${consumer}:${event.id}`);
    return new JetStreamLane({ consumer, find, handler, bury, policy: this.#policy, log });
  }

  /** One that was written for this consumer before there was NATS; later ones stand behind it in the lanes. */
  async #deliverLeft(consumer: string, handler: EventHandler): Promise<void> {
    if (await this.#store.isEmpty(consumer)) return;
    const { log } = this.#options;
    const worker = new PgWorker({ consumer, handler, store: this.#store, policy: this.#policy, log });
    worker.start();
    while (!(await this.#store.isEmpty(consumer))) await new Promise((resolve) => setTimeout(resolve, LEFT_POLL_MS));
    await worker.stop();
  }

  async #carry({ attempt: _, ...event }: FactEvent): Promise<void> {
    const { id, key, name } = event;
    try {
      await this.#publish(this.#streams.laneSubject(key, name), event, String(id));
      await this.#publish(this.#streams.publishedSubject(name), event, String(id));
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === ErrorCode.MaxPayloadExceeded) throw error;
      // A server that is there without its JetStream (restarting, disk full) is no fault of the fact either.
      if (code === ErrorCode.NoResponders) await this.#ensureStreams().catch(() => {});
      this.#options.log.debug({ err: error, eventId: id }, "a fact could not be handed to NATS");
      fail("BUS_DOWN");
    }
  }

  async #publish(
    subject: string,
    event: Carried & { attempt?: number; reason?: string },
    msgID: string,
  ): Promise<void> {
    const connection = await this.#connection();
    await connection.jetstream({ timeout: PUBLISH_TIMEOUT_MS }).publish(subject, carriedCodec.encode(event), { msgID });
  }

  async #manager(): Promise<JetStreamManager> {
    const connection = await this.#connection();
    return connection.jetstreamManager({ timeout: ANSWER_TIMEOUT_MS, checkAPI: false });
  }

  /** Made once; it connects again by itself, for as long as it takes. */
  async #connection(): Promise<NatsConnection> {
    this.#connecting ??= connectTo(this.#options.natsUrl);
    try {
      return await this.#connecting;
    } catch (error) {
      this.#connecting = undefined;
      this.#options.log.warn({ err: error }, "NATS can't be reached");
      return fail("BUS_DOWN");
    }
  }
}

function connectTo(natsUrl: string): Promise<NatsConnection> {
  const { username, password } = new URL(natsUrl);
  return connect({
    servers: natsUrl,
    name: "castellan-events",
    timeout: ANSWER_TIMEOUT_MS,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 500,
    ...(username ? { user: decodeURIComponent(username), pass: decodeURIComponent(password) } : {}),
  });
}
