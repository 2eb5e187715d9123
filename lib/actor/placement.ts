import { setTimeout as wait } from "node:timers/promises";
import type { ServiceBroker } from "moleculer";
import { codeOf, fail } from "../../contracts/errors.ts";
import type { Database } from "../db/database.ts";
import type { Log } from "../log/log.ts";
import { gauge } from "../metrics/metrics.ts";
import { announce, pause } from "./contract.ts";
import { nodesDied } from "./dead-nodes.ts";
import { Lease } from "./lease.ts";
import {
  type Claim,
  claim,
  markDraining,
  readMine,
  readShares,
  reap,
  release,
  removeNode,
  type Shares,
  wake,
} from "./placement.store.ts";

export { type Claim, unwantPlacement, wantPlacement } from "./placement.store.ts";

/** Runs the keys of one kind that this process owns (keyed-host.ts). */
export interface KeyHolder {
  readonly kind: string;
  /** Starts actors; must not throw. */
  take(claims: readonly Claim[]): void;
  /** Stops actors whose placement is gone. */
  drop(claims: readonly Claim[]): void;
  /** The lease is lost: stops all side effects before it returns, resolves when the actors are gone. Must not throw. */
  kill(): Promise<void>;
  /** Stops the actors one by one and gives each back as soon as it has ended. */
  handOver(giveBack: (claim: Claim) => Promise<void>): Promise<void>;
}

export interface PlacementOptions {
  readonly db: Database;
  readonly broker: ServiceBroker;
  readonly log: Log;
  /** How many keys this process owns at most. */
  readonly capacity?: number;
  /** A frozen or cut-off process stops itself before this, and is replaced after it. */
  readonly ttlMs?: number;
  readonly pollMs?: number;
}

const CAPACITY = 1_000;
const TTL_MS = 6_000;
const POLL_MS = 500;
const DEAD_AFTER_MS = 1_000;
const REJOIN_DELAY_MIN_MS = 200;
const REJOIN_DELAY_MAX_MS = 1_000;
const GOODBYE_MS = 3_000; // a database that is there is told in milliseconds; one that is not learns it from the lease

const nameOf = ({ kind, key }: Pick<Claim, "kind" | "key">): string => `${kind}/${key}`;

const leaseHeld = gauge({ name: "castellan_lease_held", help: "1 while this process holds its lease." });
const keysOwned = gauge({ name: "castellan_keys_owned", help: "Keyed actors that this process owns." });

/**
 * How many free keys to claim now. Woken by news, a node takes no more than brings it to its fair share, so that others
 * get theirs; at its timer it takes a part of what is still free, whoever should have had it.
 */
export const claimLimit = (shares: Shares, { capacity, timed }: { capacity: number; timed: boolean }): number => {
  const nodes = Math.max(1, shares.nodes);
  const fair = Math.ceil(shares.total / nodes) - shares.mine;
  const want = timed ? Math.max(fair, Math.ceil(shares.free / nodes)) : fair;
  return Math.max(0, Math.min(shares.free, capacity - shares.mine, want));
};

type State = "idle" | "held" | "lost" | "draining" | "stopped";
const NEXT: Readonly<Record<State, readonly State[]>> = {
  idle: ["held", "draining", "stopped"],
  held: ["lost", "draining", "stopped"],
  lost: ["held", "draining", "stopped"],
  draining: ["stopped"],
  stopped: [],
};

/**
 * Decides which keyed actors run in this process: holds its lease, claims free keys up to a fair share, reaps dead
 * peers.
 *
 * idle → held: joined. held → lost: the lease was lost and all actors were killed; it joins again by itself under a new
 * incarnation as soon as they have ended and the database answers. held, lost → draining → stopped: keys are handed
 * over.
 */
export class Placement {
  readonly #options: Required<PlacementOptions>;
  readonly #holders = new Map<string, KeyHolder>();
  readonly #owned = new Map<string, Claim>();
  #state: State = "idle";
  #lease: Lease | undefined;
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  #again = false;
  #rejoining: Promise<void> = Promise.resolve();
  #drained: Promise<void> | undefined;
  #tellLost: () => void = () => {};

  constructor(options: PlacementOptions) {
    this.#options = { capacity: CAPACITY, ttlMs: TTL_MS, pollMs: POLL_MS, ...options };
    options.broker.localBus.on("$node.disconnected", () => this.wake());
  }

  get log(): Log {
    return this.#options.log;
  }

  /** Names this process's present life in `actor_node`; another one after a lost lease. */
  get incarnation(): string {
    return this.#lease?.incarnation ?? fail("STARTING", { what: "The placement" });
  }

  /** Whether this process holds its lease now; ask before every side effect that no epoch fences. */
  check(): boolean {
    return (this.#state === "held" || this.#state === "draining") && (this.#lease?.check() ?? false);
  }

  /** Before `start`: keys of this kind may be claimed by this process. */
  add(holder: KeyHolder): void {
    if (this.#holders.has(holder.kind)) throw new Error(`bug: two holders of ${holder.kind}`);
    this.#holders.set(holder.kind, holder);
  }

  /** Takes the lease and begins to claim. Throws DATABASE_DOWN; later losses are dealt with in here. */
  async start(): Promise<void> {
    await this.#join();
  }

  /** Looks for free and unwanted keys now instead of at the next poll. */
  wake(): void {
    void this.#poll({ timed: false });
  }

  /** Hands every key over, one by one, and gives the lease back; a second call waits for the first. */
  drain(): Promise<void> {
    this.#drained ??= this.#state === "stopped" ? Promise.resolve() : this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<void> {
    const lease = this.check() ? this.#lease : undefined;
    this.#enter("draining");
    clearInterval(this.#timer);
    // With the lease all keys are gone: who leaves waits no longer than that for a database that does not answer.
    const lost = new Promise<void>((resolve) => {
      this.#tellLost = resolve;
    });
    if (lease) await Promise.race([this.#handOver(lease), lost]);
    await this.stop();
  }

  async #handOver(lease: Lease): Promise<void> {
    await this.#polling;
    await markDraining(this.#options.db, lease.incarnation).catch(() => {});
    const giveBack = (owned: Claim) => this.#giveBack(lease, owned);
    await Promise.allSettled(this.#holdersNow().map((holder) => holder.handOver(giveBack)));
  }

  /** Gives the lease back without handing over; actors are killed. */
  async stop(): Promise<void> {
    if (this.#state === "stopped") return;
    this.#enter("stopped");
    clearInterval(this.#timer);
    await Promise.all(this.#holdersNow().map((holder) => holder.kill()));
    this.#forgetAll();
    const goodbye = Promise.all([this.#lease?.close(), this.#rejoining, this.#polling]);
    await Promise.race([goodbye, wait(GOODBYE_MS, undefined, { ref: false })]);
  }

  #enter(next: State): void {
    if (!NEXT[this.#state].includes(next)) throw new Error(`bug: placement ${this.#state} → ${next}`);
    this.#state = next;
    leaseHeld.set(next === "held" || next === "draining" ? 1 : 0);
  }

  #holdersNow(): KeyHolder[] {
    return [...this.#holders.values()];
  }

  async #join(): Promise<void> {
    const { db, broker, capacity, ttlMs, pollMs } = this.#options;
    const previous = this.#lease;
    const lease = new Lease({
      url: db.url,
      nodeId: broker.nodeID,
      capacity,
      ttlMs,
      onLost: (reason) => this.#onLost(lease, reason),
      onWake: () => this.wake(),
    });
    await lease.open();
    if (this.#state !== "idle" && this.#state !== "lost") return lease.close();
    if (previous) await removeNode(db, previous.incarnation).catch(() => {});
    if (!lease.check()) return fail("DATABASE_DOWN");
    this.#lease = lease;
    this.#enter("held");
    this.#timer = setInterval(() => void this.#poll({ timed: true }), pollMs);
    void this.#poll({ timed: true });
  }

  #onLost(lease: Lease, reason: string): void {
    if (lease !== this.#lease) return;
    const killed = this.#holdersNow().map((holder) => holder.kill());
    this.#options.log.warn({ reason, keyCount: this.#owned.size }, `lease lost: ${reason}`);
    this.#forgetAll();
    clearInterval(this.#timer);
    this.#tellLost();
    if (this.#state !== "held") return;
    this.#enter("lost");
    this.#rejoining = Promise.allSettled(killed).then(() => this.#rejoin());
  }

  async #rejoin(): Promise<void> {
    for (let delayMs = REJOIN_DELAY_MIN_MS; this.#state === "lost"; delayMs *= 2) {
      try {
        await this.#join();
        this.#options.log.warn("lease taken again");
      } catch (error) {
        if (codeOf(error) !== "DATABASE_DOWN") this.#options.log.error({ err: error }, "lease not taken");
        await pause(Math.min(delayMs, REJOIN_DELAY_MAX_MS));
      }
    }
  }

  /** One look at a time; what comes meanwhile makes it look once more. */
  async #poll({ timed }: { timed: boolean }): Promise<void> {
    if (this.#polling) {
      this.#again = true;
      return;
    }
    this.#polling = this.#lookAround(timed);
    await this.#polling;
    this.#polling = undefined;
    if (!this.#again) return;
    this.#again = false;
    void this.#poll({ timed: false });
  }

  async #lookAround(timed: boolean): Promise<void> {
    const lease = this.#lease;
    if (!lease || this.#state !== "held" || !this.check()) return;
    try {
      await this.#reap(lease);
      const kinds = [...this.#holders.keys()];
      const { db, capacity, broker } = this.#options;
      const shares = await readShares(db, lease.incarnation, kinds);
      if (shares.mine !== this.#owned.size) await this.#compare(lease);
      const limit = claimLimit(shares, { capacity, timed });
      if (limit === 0 || this.#state !== "held") return;
      const owner = { incarnation: lease.incarnation, nodeId: broker.nodeID };
      this.#take(lease, await claim(db, owner, { kinds, limit }));
    } catch (error) {
      // Nothing is claimed while the database is away; the lease's own deadline does the rest.
      if (codeOf(error) === undefined) this.#options.log.error({ err: error }, "placement poll failed");
    }
  }

  async #reap(lease: Lease): Promise<void> {
    const { db, broker, log } = this.#options;
    const nodeIds = (await reap(db, lease.incarnation, DEAD_AFTER_MS)).filter((id) => id !== broker.nodeID);
    if (nodeIds.length === 0) return;
    log.warn({ nodeIds }, "dead nodes reaped");
    announce(broker, nodesDied, { nodeIds });
    await wake(db);
  }

  /** The table and this process differ: a placement is unwanted, or a claim's answer was lost on its way. */
  async #compare(lease: Lease): Promise<void> {
    const mine = await readMine(this.#options.db, lease.incarnation);
    if (lease !== this.#lease || this.#state !== "held") return;
    const names = new Set(mine.map(nameOf));
    for (const [name, owned] of this.#owned) {
      if (names.has(name)) continue;
      this.#owned.delete(name);
      this.#holders.get(owned.kind)?.drop([owned]);
    }
    this.#take(
      lease,
      mine.filter((one) => !this.#owned.has(nameOf(one))),
    );
  }

  #take(lease: Lease, claims: readonly Claim[]): void {
    if (lease !== this.#lease || !this.check()) return;
    for (const one of claims) this.#owned.set(nameOf(one), one);
    keysOwned.set(this.#owned.size);
    for (const holder of this.#holders.values()) {
      const own = claims.filter(({ kind }) => kind === holder.kind);
      if (own.length > 0) holder.take(own);
    }
  }

  async #giveBack(lease: Lease, owned: Claim): Promise<void> {
    this.#owned.delete(nameOf(owned));
    keysOwned.set(this.#owned.size);
    if (lease.check()) await release(this.#options.db, lease.incarnation, owned);
  }

  #forgetAll(): void {
    this.#owned.clear();
    keysOwned.set(0);
  }
}
