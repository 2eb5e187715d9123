/**
 * Things that one process works on at a time over all nodes, by advisory locks of PostgreSQL on one connection of this
 * process. A process that dies loses its connection, and its locks are free at once; one that loses its connection is
 * told to stop what it does under them, and `writer` lets a row refuse what comes late.
 */
import { createHash, randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import { type ErrorCode, Fault } from "../../contracts/errors.ts";
import type { Log } from "../log/log.ts";
import { connectionConfig } from "./database.ts";

const POLL_MS = 50;
const CHECK_MS = 5_000;
/** A holder that is waited for may be cut off once nothing has moved for so long. */
const SILENT_MS = 1_500;
// A machine that is gone says nothing: the server gives it up after 5 + 3 × 2 s.
const SESSION = `set tcp_keepalives_idle = 5; set tcp_keepalives_interval = 2; set tcp_keepalives_count = 3;
  set tcp_user_timeout = 11000`;

export interface Hold {
  readonly id: string;
  /** Goes into the row: proves whose it is. */
  readonly writer: string;
  /** Aborted when the lock is lost, or somebody waits for a holder that is silent. */
  readonly signal: AbortSignal;
  /** Something has moved. */
  touch(): void;
  release(): Promise<void>;
}

export interface LocksDeps {
  readonly url: string;
  /** Of the connection, shown in pg_stat_activity. */
  readonly applicationName: string;
  /** What the ids are of: `upload`. */
  readonly kind: string;
  readonly log: Log;
  /** What `acquire` fails with while another has it. */
  readonly busy: ErrorCode;
  /** Tells all nodes that somebody waits. */
  readonly awaited: (id: string) => void;
}

interface Held {
  readonly abort: AbortController;
  touchedAt: number;
}

/** 64 bits of a hash: two that share them would only wait for each other. */
const lockKey = (kind: string, id: string): string =>
  createHash("sha256").update(`castellan ${kind} ${id}`).digest().readBigInt64BE().toString();

export class Locks {
  readonly #deps: LocksDeps;
  readonly #held = new Map<string, Held>();
  #client: Promise<pg.Client> | undefined;
  #checking: NodeJS.Timeout | undefined;

  constructor(deps: LocksDeps) {
    this.#deps = deps;
  }

  /** Fails with `busy` when another has it for all of `waitMs`. */
  async acquire(id: string, { waitMs }: { readonly waitMs: number }): Promise<Hold> {
    const endsAt = performance.now() + waitMs;
    let isTold = false;
    for (;;) {
      const hold = await this.#tryOnce(id);
      if (hold) return hold;
      this.awaited(id);
      if (!isTold) this.#deps.awaited(id);
      isTold = true;
      if (performance.now() + POLL_MS > endsAt) throw new Fault(this.#deps.busy);
      await pause(POLL_MS);
    }
  }

  /** Somebody here or elsewhere waits for it: a holder that is silent is cut off. */
  awaited(id: string): void {
    const held = this.#held.get(id);
    if (held && performance.now() - held.touchedAt > SILENT_MS) held.abort.abort(new Fault(this.#deps.busy));
  }

  async close(): Promise<void> {
    clearInterval(this.#checking);
    const client = await this.#client?.catch(() => undefined);
    this.#client = undefined;
    await client?.end().catch(() => {});
  }

  async #tryOnce(id: string): Promise<Hold | undefined> {
    // The server counts locks of one session: a second one of ours would be let in.
    if (this.#held.has(id)) return undefined;
    const held: Held = { abort: new AbortController(), touchedAt: performance.now() };
    this.#held.set(id, held);
    try {
      const client = await this.#connected();
      const { rows } = await client.query<{ ok: boolean }>("select pg_try_advisory_lock($1) as ok", [
        lockKey(this.#deps.kind, id),
      ]);
      if (rows[0]?.ok === true) return this.#holdOf(id, held, client);
    } catch (error) {
      this.#forget(id, held);
      throw Object.assign(new Fault("DATABASE_DOWN", { what: "The database" }), { cause: error });
    }
    this.#forget(id, held);
    return undefined;
  }

  #holdOf(id: string, held: Held, client: pg.Client): Hold {
    return {
      id,
      writer: randomUUID(),
      signal: held.abort.signal,
      touch: () => {
        held.touchedAt = performance.now();
      },
      release: async () => {
        // Where the connection is lost, so is the lock.
        await client.query("select pg_advisory_unlock($1)", [lockKey(this.#deps.kind, id)]).catch(() => {});
        this.#forget(id, held);
      },
    };
  }

  #forget(id: string, held: Held): void {
    if (this.#held.get(id) === held) this.#held.delete(id);
  }

  #connected(): Promise<pg.Client> {
    this.#client ??= this.#connect().catch((error: unknown) => {
      this.#client = undefined;
      throw error;
    });
    return this.#client;
  }

  async #connect(): Promise<pg.Client> {
    const { url, applicationName } = this.#deps;
    const client = new pg.Client(connectionConfig({ url, applicationName }));
    client.on("error", () => this.#lost(client));
    client.on("end", () => this.#lost(client));
    await client.connect();
    await client.query(SESSION);
    clearInterval(this.#checking);
    this.#checking = setInterval(() => void this.#check(client), CHECK_MS).unref();
    return client;
  }

  async #check(client: pg.Client): Promise<void> {
    await client.query("select 1").catch(() => {
      this.#lost(client);
      client.end().catch(() => {});
    });
  }

  /** Of a connection that was ours until now. */
  #lost(client: pg.Client): void {
    void this.#client?.then((current) => {
      if (current !== client) return;
      clearInterval(this.#checking);
      this.#client = undefined;
      const { log, kind } = this.#deps;
      if (this.#held.size > 0) log.warn({ kind, count: this.#held.size }, "locks are lost with their connection");
      for (const { abort } of this.#held.values()) abort.abort(new Fault("DATABASE_DOWN", { what: "The database" }));
      this.#held.clear();
    });
  }
}
