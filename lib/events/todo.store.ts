/** All SQL on the event tables but publish_event (in migrations/) and trimming. */
import type { Database } from "../db/database.ts";
import type { Depth, FactEvent } from "./port.ts";

/** Keys that one consumer handles at the same time in one process. */
export const LANES_MAX = 20;
// Enough to pay for the round trip, little enough that a crash repeats not much.
const LANE_EVENTS_MAX = 20;

export class TodoStore {
  readonly #db: Database;
  constructor(db: Database) {
    this.#db = db;
  }

  async register(consumer: string, names: readonly string[]): Promise<void> {
    await this.#db.query(
      `insert into event_consumer (consumer, name) select $1, unnest($2::text[])
       on conflict (consumer, name) do update set seen_at = now()`,
      [consumer, names],
    );
  }

  /** The consumer gets its facts elsewhere; no more todo rows are made. Returns when it subscribed first. */
  async registerElsewhere(consumer: string): Promise<Date> {
    const { rows } = await this.#db.query<{ since: Date }>(
      `with gone as (delete from event_consumer where consumer = $1 and name <> '' returning since)
       insert into event_consumer (consumer, name, since)
       select $1, '', coalesce((select min(since) from gone), now())
       on conflict (consumer, name) do update set seen_at = now() returning since`,
      [consumer],
    );
    return rows[0]!.since;
  }

  async isRegistered(consumer: string): Promise<boolean> {
    return (await this.#db.query("select from event_consumer where consumer = $1 limit 1", [consumer])).rowCount > 0;
  }

  /** Gives the consumer everything of the last minutes once more. */
  async replay(consumer: string, minutes: number): Promise<void> {
    await this.#db.query(
      `insert into event_todo (consumer, event_id, key)
       select $1, id, key from event where created_at > now() - $2 * interval '1 minute' on conflict do nothing`,
      [consumer, minutes],
    );
  }

  /** Tells the trimming that this consumer lives. */
  async seen(consumer: string): Promise<void> {
    await this.#db.query("update event_consumer set seen_at = now() where consumer = $1", [consumer]);
  }

  /**
   * Takes the first events of up to `laneCount` keys, for `silenceMs`. A key of which somebody holds an event has its
   * first one in the future and is left alone: that keeps the order over several processes.
   */
  async take(consumer: string, laneCount: number, silenceMs: number): Promise<FactEvent[]> {
    const { rows } = await this.#db.query<FactEvent>(
      `with head as materialized (
         select todo.event_id, todo.key from event_todo todo
         where todo.consumer = $1 and not todo.dead and todo.next_at <= now() and not exists (
           select from event_todo earlier where earlier.consumer = $1 and earlier.key = todo.key
             and not earlier.dead and earlier.event_id < todo.event_id)
         order by todo.event_id limit $3 for update of todo skip locked
       ), slice as (
         select lane.event_id from head cross join lateral (
           select next.event_id from event_todo next where next.consumer = $1 and next.key = head.key
             and not next.dead and next.event_id >= head.event_id
           order by next.event_id limit ${LANE_EVENTS_MAX}) lane
       ), taken as (
         update event_todo todo set attempt_count = attempt_count + 1, next_at = now() + $2 * interval '1 ms'
         from slice where todo.consumer = $1 and todo.event_id = slice.event_id
         returning todo.event_id, todo.attempt_count)
       select event.id, event.name, event.key, event.payload, taken.attempt_count as attempt
       from taken join event on event.id = taken.event_id order by event.id`,
      [consumer, silenceMs, laneCount],
    );
    return rows;
  }

  /** Holds what was taken for another `silenceMs`. */
  async hold(consumer: string, ids: readonly number[], silenceMs: number): Promise<void> {
    await this.#db.query(
      `update event_todo set next_at = now() + $3 * interval '1 ms'
       where consumer = $1 and event_id = any ($2::bigint[])`,
      [consumer, ids, silenceMs],
    );
  }

  async done(consumer: string, ids: readonly number[]): Promise<void> {
    await this.#db.query("delete from event_todo where consumer = $1 and event_id = any ($2::bigint[])", [
      consumer,
      ids,
    ]);
  }

  /** Gives events back that were not begun. */
  async release(consumer: string, ids: readonly number[]): Promise<void> {
    await this.#db.query(
      `update event_todo set attempt_count = greatest(attempt_count - 1, 0), next_at = now()
       where consumer = $1 and event_id = any ($2::bigint[])`,
      [consumer, ids],
    );
  }

  /** `counts: false`: the try is not held against the event. The rest of its lane waits behind it by itself. */
  async failed(
    consumer: string,
    id: number,
    outcome: { pauseMs: number; error: string; dead: boolean; counts: boolean },
  ): Promise<void> {
    await this.#db.query(
      `update event_todo set next_at = now() + $3 * interval '1 ms', error = $4, dead = $5,
         attempt_count = attempt_count - $6::int
       where consumer = $1 and event_id = $2`,
      [consumer, id, outcome.pauseMs, outcome.error, outcome.dead, outcome.counts ? 0 : 1],
    );
  }

  async depths(): Promise<Depth[]> {
    const { rows } = await this.#db.query<Depth>(
      `select consumer, count(*) filter (where not dead) as waiting, count(*) filter (where dead) as dead
       from event_todo group by consumer order by consumer`,
    );
    return rows;
  }

  async isEmpty(consumer: string): Promise<boolean> {
    const { rows } = await this.#db.query("select from event_todo where consumer = $1 and not dead limit 1", [
      consumer,
    ]);
    return rows.length === 0;
  }
}
