/**
 * Makes the snapshots that edges live on. A snapshot's number is the same on every control node and belongs to its
 * content: one row of the database holds the newest number and the hash of what it stands for. Whoever makes a snapshot
 * locks that row, reads the channels, and counts up only when the hash differs; reading happens behind the lock, so a
 * higher number never stands for older rows. The number is the wall clock in seconds where that is higher, so that it
 * also grows over a database that was restored or made anew.
 */
import { createHash } from "node:crypto";
import { codeOf } from "../../contracts/errors.ts";
import type { Snapshot } from "../../contracts/fleet.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import type { Log } from "../../lib/log/log.ts";
import { composeChannels, type SnapshotChannel } from "./compose.ts";
import * as store from "./fleet.store.ts";

export interface FleetDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** A snapshot was made that nobody has had before. */
  readonly made: (version: number) => void;
}

export class Fleet {
  readonly #deps: FleetDeps;
  #snapshot: Snapshot | undefined;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  /** A number that some edge has: ours must be above it, or the edge would never hear of us again. */
  #seenVersion = 0;

  constructor(deps: FleetDeps) {
    this.#deps = deps;
  }

  get version(): number {
    return this.#snapshot?.version ?? 0;
  }

  /** Looks at the rows again; resolves when a look that began after this call has ended. */
  refresh(): Promise<void> {
    if (!this.#running) return this.#run();
    this.#next ??= this.#running.then(
      () => this.#run(),
      () => this.#run(),
    );
    return this.#next;
  }

  #run(): Promise<void> {
    this.#next = undefined;
    this.#running = this.#make().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Null for an edge that has the newest. While the database is away, that is the last one that this node made. */
  async snapshotFor(haveVersion: number): Promise<Snapshot | null> {
    try {
      await this.#catchUp(haveVersion);
    } catch (error) {
      if (codeOf(error) === undefined || !this.#snapshot) throw error;
      this.#deps.log.debug({ err: error }, "answering with the last snapshot");
    }
    return this.#snapshot && this.#snapshot.version > haveVersion ? this.#snapshot : null;
  }

  async #catchUp(haveVersion: number): Promise<void> {
    const newest = await store.newest(this.#deps.db);
    const known = newest !== undefined && newest.version === this.version;
    if (known && newest.version >= haveVersion) return;
    if (newest === undefined || newest.version < haveVersion) this.#seenVersion = haveVersion;
    await this.refresh();
  }

  async #make(): Promise<void> {
    const { db, clock } = this.#deps;
    const { snapshot, isNew } = await db.tenantTx(null, async (tx) => {
      const before = await store.lockNewest(tx);
      const channels = await this.#read(tx);
      const sha256 = createHash("sha256").update(JSON.stringify(channels)).digest("hex");
      if (sha256 === before.sha256 && before.version >= this.#seenVersion) {
        const { version, madeAt } = before;
        return { snapshot: { version, madeAt: madeAt.toISOString(), channels }, isNew: false };
      }
      const nowMs = clock.nowMs();
      const version = Math.max(before.version + 1, this.#seenVersion + 1, Math.floor(nowMs / 1_000));
      const madeAt = new Date(nowMs);
      await store.setNewest(tx, { version, sha256, madeAt });
      return { snapshot: { version, madeAt: madeAt.toISOString(), channels }, isNew: true };
    });
    this.#snapshot = snapshot;
    if (isNew) this.#deps.made(snapshot.version);
  }

  /** Row security lets nobody see two tenants at once: one transaction for each, while `tx` holds the lock. */
  async #read(tx: Tx): Promise<SnapshotChannel[]> {
    const channels: SnapshotChannel[] = [];
    for (const { id, slug } of await store.allTenants(tx)) {
      const rows = await this.#deps.db.tenantTx(id, (own) => store.playableChannels(own));
      channels.push(...composeChannels(slug, rows));
    }
    return channels;
  }
}
