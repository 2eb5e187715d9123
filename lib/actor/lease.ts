import { randomUUID } from "node:crypto";
import pg from "pg";
import { Fault } from "../../contracts/errors.ts";
import { connectionConfig } from "../db/database.ts";

/** Notified where keys may be free or gone: every node looks at once instead of at its next poll. */
export const WAKE_CHANNEL = "actor_placement";

export interface LeaseOptions {
  /** Database URL; a direct one: the session's advisory lock does not survive a pooler in transaction mode. */
  readonly url: string;
  readonly nodeId: string;
  /** How many keys this process may own. */
  readonly capacity: number;
  readonly ttlMs: number;
  /** Called once, synchronously, when the lease is lost: whatever it covers must be stopped before this returns. */
  readonly onLost: (reason: string) => void;
  readonly onWake: () => void;
  /** Monotonic milliseconds. */
  readonly nowMs?: () => number;
}

const CHECK_INTERVAL_MS = 100;
const SESSION_STATEMENT_TIMEOUT_MS = 2_000;
const SESSION_RENEWED_WITHIN_MS = 1_000; // peers reap after 1 s of silence from a node whose session is gone
const SESSION_RETRY_MS = 50;
const MARGIN_MAX_MS = 500; // own stop before the end, for what a timer may come late

/** Unreachable, starting, stopping or overloaded: what passes without anybody changing something. */
const asFault = (error: unknown): unknown => {
  const code = String((error as { code?: unknown }).code ?? "");
  const isSqlState = /^[0-9A-Z]{5}$/.test(code) && /\d/.test(code);
  if (error instanceof Fault || (isSqlState && !/^(08|53|57P)/.test(code))) return error;
  const fault = new Fault("DATABASE_DOWN");
  fault.cause = error;
  return fault;
};

/**
 * The lease of one process (design §3): a row in `actor_node` that it renews, and a session whose advisory lock the
 * kernel drops when the process dies. One object is one incarnation; whoever lost it makes a new one.
 *
 * States: new → held → over. `held` ends by itself: its own deadline (monotonic clock, from before the renewal was
 * sent, less a margin) passes before the database lets anybody else claim.
 */
export class Lease {
  readonly incarnation = randomUUID();
  readonly #options: LeaseOptions;
  readonly #nowMs: () => number;
  #state: "new" | "held" | "over" = "new";
  #endsAtMs = 0;
  #session: pg.Client | undefined;
  #renewing = false;
  #timers: NodeJS.Timeout[] = [];

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Throws DATABASE_DOWN; nothing is left open then. */
  async open(): Promise<void> {
    const { nodeId, capacity, ttlMs } = this.#options;
    const sentAtMs = this.#nowMs();
    try {
      const session = await this.#connect();
      // One process has a node id at a time: an earlier one that is dead need not wait for its lease to end.
      await session.query(
        `delete from actor_node where node_id = $1 and incarnation <> $2 and pg_try_advisory_xact_lock(lock_key)`,
        [nodeId, this.incarnation],
      );
      await session.query(
        `insert into actor_node (incarnation, node_id, lock_key, capacity, lease_until)
         values ($1::uuid, $2, hashtextextended($1::uuid::text, 0), $3, now() + $4 * interval '1 ms')`,
        [this.incarnation, nodeId, capacity, ttlMs],
      );
    } catch (error) {
      this.#end();
      throw asFault(error);
    }
    this.#endsAtMs = sentAtMs + ttlMs;
    this.#state = "held";
    this.#timers = [
      setInterval(() => void this.#renew(), ttlMs / 3),
      setInterval(() => this.check(), Math.min(CHECK_INTERVAL_MS, ttlMs / 10)),
    ];
  }

  /** Whether this process is surely the owner of what it claimed; ask it before every side effect without a fence. */
  check(): boolean {
    if (this.#state !== "held") return false;
    const marginMs = Math.min(MARGIN_MAX_MS, this.#options.ttlMs / 6);
    if (this.#nowMs() > this.#endsAtMs - marginMs) this.#lose("it was not renewed in time");
    return this.#state === "held";
  }

  /** Gives the lease back: its row goes, and with it every claim. */
  async close(): Promise<void> {
    const session = this.#session;
    if (this.#state !== "held" || !session) return this.#end();
    this.#state = "over";
    await session.query("delete from actor_node where incarnation = $1", [this.incarnation]).catch(() => {});
    await session.query(`select pg_notify('${WAKE_CHANNEL}', '')`).catch(() => {});
    this.#end();
  }

  #lose(reason: string): void {
    if (this.#state !== "held") return;
    this.#state = "over";
    this.#options.onLost(reason);
    this.#end();
  }

  #end(): void {
    this.#state = "over";
    for (const timer of this.#timers) clearInterval(timer);
    const session = this.#session;
    this.#session = undefined;
    session?.end().catch(() => {});
  }

  async #connect(): Promise<pg.Client> {
    const { url, nodeId, onWake } = this.#options;
    const session = new pg.Client({
      ...connectionConfig({
        url,
        applicationName: `lease: ${nodeId}`,
        statementTimeoutMs: SESSION_STATEMENT_TIMEOUT_MS,
      }),
      idle_in_transaction_session_timeout: 0,
    });
    session.on("error", () => {}); // "end" follows
    session.on("notification", onWake);
    try {
      await session.connect();
      await session.query("select pg_advisory_lock(hashtextextended($1::text, 0))", [this.incarnation]);
      await session.query(`listen ${WAKE_CHANNEL}`);
    } catch (error) {
      session.end().catch(() => {});
      throw error;
    }
    session.once("end", () => this.#onSessionEnd(session));
    this.#session = session;
    return session;
  }

  /** The session is gone but we are not: peers may reap us at once. Lock again and confirm the lease, or stop. */
  #onSessionEnd(session: pg.Client): void {
    if (this.#state !== "held" || session !== this.#session) return;
    const limit = setTimeout(() => this.#lose("its database session broke"), SESSION_RENEWED_WITHIN_MS);
    void this.#lockAgain().finally(() => clearTimeout(limit));
  }

  async #lockAgain(): Promise<void> {
    while (this.#state === "held") {
      try {
        const session = await this.#connect();
        if (this.#state === "held") return await this.#renew();
        session.end().catch(() => {});
      } catch {
        await new Promise((resolve) => setTimeout(resolve, SESSION_RETRY_MS)); // a server that restarts is soon back
      }
    }
  }

  async #renew(): Promise<void> {
    const session = this.#session;
    if (this.#renewing || !session) return;
    this.#renewing = true;
    const sentAtMs = this.#nowMs();
    try {
      const { rowCount } = await session.query(
        `update actor_node set renewed_at = now(), lease_until = now() + $2 * interval '1 ms'
         where incarnation = $1 and lease_until > now()`,
        [this.incarnation, this.#options.ttlMs],
      );
      if (rowCount === 1) this.#endsAtMs = sentAtMs + this.#options.ttlMs;
      else this.#lose("a peer has reaped it");
    } catch {
      // The deadline decides; a session that broke says so by its end.
    } finally {
      this.#renewing = false;
    }
  }
}
