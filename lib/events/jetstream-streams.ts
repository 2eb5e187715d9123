/**
 * The streams in NATS. JetStream carries facts, it does not keep them: the record is the outbox in PostgreSQL.
 *
 *   <prefix>.<fact name>               every fact under its published name, for whoever wants to listen
 *   <prefix>-lanes.<lane>.<fact name>  what our own consumers read: a key is always in the same lane, and a lane is
 *                                      delivered one by one, so that a key keeps its order over several processes
 *   <prefix>-dead.<consumer>           facts that a consumer failed to handle for good
 */
import { createHash } from "node:crypto";
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  type JetStreamManager,
  nanos,
  RetentionPolicy,
  StorageType,
} from "nats";

/** Of all installations, for ever: another number would put a key's next fact into another lane. */
export const LANE_COUNT = 8;

const DAY_MS = 86_400_000;
const MiB = 1024 * 1024;

// The clocks of the database and of NATS are not one.
const CLOCK_MARGIN_MS = 60_000;

export interface Reader {
  readonly consumer: string;
  /** When it subscribed for the first time. */
  readonly since: Date;
  readonly silenceMs: number;
}

export class Streams {
  readonly prefix: string;
  readonly published: string;
  readonly lanes: string;
  readonly dead: string;

  constructor(prefix: string) {
    this.prefix = prefix;
    // Stream names take no dots.
    const name = prefix.toUpperCase().replace(/[^A-Z0-9]/g, "_");
    this.published = name;
    this.lanes = `${name}_LANES`;
    this.dead = `${name}_DEAD`;
  }

  publishedSubject(factName: string): string {
    return `${this.prefix}.${factName}`;
  }

  laneSubject(key: string, factName: string): string {
    return `${this.prefix}-lanes.${laneOf(key)}.${factName}`;
  }

  deadSubject(consumer: string): string {
    return `${this.prefix}-dead.${consumer}`;
  }

  /**
   * Makes what is missing, and says whether that was the lanes. What is there stays as it is: an operator may have
   * given it more replicas.
   */
  async ensure(manager: JetStreamManager): Promise<{ lanesMade: boolean }> {
    let lanesMade = false;
    const common = { retention: RetentionPolicy.Limits, storage: StorageType.File, duplicate_window: nanos(120_000) };
    const streams = [
      { name: this.published, subjects: [`${this.prefix}.>`], max_age: nanos(7 * DAY_MS), max_bytes: 512 * MiB },
      { name: this.lanes, subjects: [`${this.prefix}-lanes.>`], max_age: nanos(7 * DAY_MS), max_bytes: 512 * MiB },
      { name: this.dead, subjects: [`${this.prefix}-dead.>`], max_age: nanos(30 * DAY_MS), max_bytes: 128 * MiB },
    ];
    for (const stream of streams) {
      try {
        await manager.streams.info(stream.name);
      } catch (error) {
        if (!isNotFound(error)) throw error;
        await manager.streams.add({ ...common, ...stream });
        lanesMade ||= stream.name === this.lanes;
      }
    }
    return { lanesMade };
  }

  /** The durable consumer of one lane. One message at a time: the next only when this one is settled. */
  async ensureConsumer(manager: JetStreamManager, reader: Reader, lane: number): Promise<string> {
    const name = `${reader.consumer}-${lane}`;
    const config: Partial<ConsumerConfig> = {
      durable_name: name,
      filter_subject: `${this.prefix}-lanes.${lane}.>`,
      ack_policy: AckPolicy.Explicit,
      // Not from now on: of one that NATS has lost nothing must be missed.
      deliver_policy: DeliverPolicy.StartTime,
      opt_start_time: new Date(reader.since.getTime() - CLOCK_MARGIN_MS).toISOString(),
      ack_wait: nanos(reader.silenceMs),
      max_ack_pending: 1,
      max_deliver: -1,
    };
    try {
      await manager.consumers.info(this.lanes, name);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await manager.consumers.add(this.lanes, config);
    }
    return name;
  }
}

export function laneOf(key: string): number {
  return createHash("sha1").update(key).digest().readUInt32BE(0) % LANE_COUNT;
}

const isNotFound = (error: unknown): boolean => {
  const apiError = (error as { api_error?: { code?: number } }).api_error;
  return apiError?.code === 404;
};
