import type { ActionSchema } from "moleculer";
import type { z } from "zod";
import { codeOf, Fault, fail } from "../../contracts/errors.ts";
import type { Ask } from "../../contracts/kit.ts";
import { answer, type Call, leftMs, pause } from "./contract.ts";
import { Mailbox } from "./mailbox.ts";
import type { Claim, KeyHolder, Placement } from "./placement.ts";

export { askOwner, type Owners } from "./ask-owner.ts";

/** Why an actor ends: its node leaves, the lease was lost, its placement is gone. */
export type StopReason = "drain" | "lost" | "unwanted";

/** One object per key, alive from `start` to `stop`; its messages run one at a time. */
export interface KeyedActor {
  /** Runs before any message. When it throws it is called again after a pause, as long as the key is ours. */
  start(): Promise<void> | void;
  /** Runs after the last message. */
  stop(reason: StopReason): Promise<void> | void;
  /** The lease is lost: ends timers and side effects at once, without waiting for the running message. */
  kill?(): void;
}

export interface KeyContext {
  readonly key: string;
  /** Goes with every write and command: a lower one than the highest seen is refused. */
  readonly leaseEpoch: number;
  /** Ask before every side effect that no epoch fences. */
  alive(): boolean;
}

export interface KeyedHostOptions<A extends KeyedActor> {
  readonly placement: Placement;
  readonly kind: string;
  readonly create: (context: KeyContext) => A;
  /** How many messages may wait per key. */
  readonly depthMax?: number;
  /** An actor that has not stopped by then is left behind, without the right to act. */
  readonly stopDeadlineMs?: number;
}

interface Cell<A> {
  readonly claim: Claim;
  readonly actor: A;
  readonly mailbox: Mailbox;
  started: boolean;
  live: boolean;
}

const DEPTH_MAX = 64;
const STARTING_MAX = 20; // actors that start side by side: a failover brings hundreds at once
const STOPPING_MAX = 50;
const STOP_DEADLINE_MS = 5_000;
const START_RETRY_MIN_MS = 200;
const START_RETRY_MAX_MS = 5_000;

const inParallel = async <T>(items: Iterable<T>, width: number, run: (item: T) => Promise<void>): Promise<void> => {
  const rest = items[Symbol.iterator]();
  const worker = async () => {
    for (let next = rest.next(); !next.done; next = rest.next()) await run(next.value);
  };
  await Promise.all(Array.from({ length: width }, worker));
};

/** At most so many at a time; the others wait their turn. */
class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  constructor(slotCount: number) {
    this.#free = slotCount;
  }
  async run(work: () => Promise<void> | void): Promise<void> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}

const within = async (ms: number, work: Promise<unknown>): Promise<boolean> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  return Promise.race([work.then(() => true), late]).finally(() => clearTimeout(timer));
};

/** The actors of one kind in this process: a claimed key gets an actor and a mailbox, a lost one is killed at once. */
export class KeyedHost<A extends KeyedActor> implements KeyHolder {
  readonly kind: string;
  readonly #options: KeyedHostOptions<A>;
  readonly #cells = new Map<string, Cell<A>>();
  readonly #starting = new Slots(STARTING_MAX);

  /** Registers itself with the placement, which must not have started yet. */
  constructor(options: KeyedHostOptions<A>) {
    this.kind = options.kind;
    this.#options = options;
    options.placement.add(this);
  }

  /** Keys that have an actor here. */
  get keys(): readonly string[] {
    return [...this.#cells.keys()];
  }

  /** Every actor here that may act, for hints that concern many. */
  *actors(): Iterable<A> {
    for (const { actor, live } of this.#cells.values()) if (live) yield actor;
  }

  /** The actor of a key if it is here; for hints, whose handling needs no turn in the mailbox. */
  find(key: string): A | undefined {
    const cell = this.#cells.get(key);
    return cell?.live ? cell.actor : undefined;
  }

  /** Runs a message of one's own (a timer, a hint) in the key's mailbox; ACTOR_MOVED where the key is not here. */
  run<T>(key: string, message: (actor: A) => Promise<T> | T, deadlineMs?: number): Promise<T> {
    const cell = this.#cells.get(key);
    if (!cell?.live || !this.#options.placement.check()) return Promise.reject(this.#moved(key));
    const turn = (): Promise<T> | T =>
      cell.started && this.#isAlive(cell) ? message(cell.actor) : fail("ACTOR_MOVED", { key });
    return cell.mailbox.push(turn, deadlineMs === undefined ? {} : { deadlineMs });
  }

  /** The owner's side of an ask with a key: runs in the key's mailbox, never after the asker's deadline. */
  answer<I extends z.ZodType, O extends z.ZodType>(
    ask: Ask<I, O>,
    run: (actor: A, input: z.output<I>, call: Call) => Promise<z.input<O>> | z.input<O>,
  ): ActionSchema {
    const keyOf = ask.key;
    if (!keyOf) throw new Error(`bug: ${ask.name} has no key`);
    return answer(ask, (input, call) => this.run(keyOf(input), (actor) => run(actor, input, call), leftMs(call)));
  }

  take(claims: readonly Claim[]): void {
    for (const claim of claims) {
      try {
        void this.#start(this.#open(claim));
      } catch (error) {
        this.#options.placement.log.error({ err: error, ...claim }, `bug: no ${this.kind} could be made`);
      }
    }
  }

  drop(claims: readonly Claim[]): void {
    void inParallel(claims, STOPPING_MAX, async ({ key, leaseEpoch }) => {
      const cell = this.#cells.get(key);
      if (cell && cell.claim.leaseEpoch === leaseEpoch) await this.#close(cell, "unwanted");
    });
  }

  async kill(): Promise<void> {
    const cells = [...this.#cells.values()];
    for (const cell of cells) {
      cell.live = false;
      this.#guarded(cell, "kill", () => cell.actor.kill?.());
    }
    await inParallel(cells, STOPPING_MAX, (cell) => this.#close(cell, "lost"));
  }

  async handOver(giveBack: (claim: Claim) => Promise<void>): Promise<void> {
    await inParallel([...this.#cells.values()], STOPPING_MAX, async (cell) => {
      await this.#close(cell, "drain");
      await giveBack(cell.claim).catch((error: unknown) => {
        // It is free anyway when the lease goes.
        this.#options.placement.log.warn({ err: error, key: cell.claim.key }, "key not given back");
      });
    });
  }

  #moved(key: string): Fault {
    return new Fault("ACTOR_MOVED", { key: `${this.kind} ${key}` });
  }

  #isAlive(cell: Cell<A>): boolean {
    return cell.live && this.#options.placement.check();
  }

  #open(claim: Claim): Cell<A> {
    const { key, leaseEpoch } = claim;
    const previous = this.#cells.get(key);
    if (previous) void this.#close(previous, "lost");
    const context: KeyContext = { key, leaseEpoch, alive: () => this.#isAlive(cell) };
    const mailbox = new Mailbox(`${this.kind} ${key}`, this.#options.depthMax ?? DEPTH_MAX);
    const cell: Cell<A> = { claim, actor: this.#options.create(context), mailbox, started: false, live: true };
    this.#cells.set(key, cell);
    return cell;
  }

  /** First in the mailbox: what comes meanwhile waits behind it, and is refused where the start failed. */
  async #start(cell: Cell<A>): Promise<void> {
    for (let delayMs = START_RETRY_MIN_MS; cell.live; delayMs = Math.min(delayMs * 2, START_RETRY_MAX_MS)) {
      try {
        await cell.mailbox.push(() => this.#starting.run(() => this.#startNow(cell)), { priority: true });
        return;
      } catch (error) {
        if (!cell.live || cell.mailbox.isClosed) return;
        const { kind, key, leaseEpoch } = cell.claim;
        const level = codeOf(error) ? "warn" : "error";
        this.#options.placement.log[level]({ err: error, kind, key, leaseEpoch }, `${kind} did not start`);
        await pause(delayMs);
      }
    }
  }

  async #startNow(cell: Cell<A>): Promise<void> {
    if (!this.#isAlive(cell)) return;
    await cell.actor.start();
    cell.started = true;
  }

  async #close(cell: Cell<A>, reason: StopReason): Promise<void> {
    const { key } = cell.claim;
    // A node that leaves is still the owner: what runs may end in order.
    if (reason !== "drain") cell.live = false;
    const stopped = cell.mailbox
      .close(this.#moved(key))
      .then(() => this.#guarded(cell, "stop", () => cell.actor.stop(reason)));
    const inTime = await within(this.#options.stopDeadlineMs ?? STOP_DEADLINE_MS, stopped);
    if (!inTime)
      this.#options.placement.log.error({ kind: this.kind, key, reason }, `${this.kind} did not stop in time`);
    cell.live = false;
    if (this.#cells.get(key) === cell) this.#cells.delete(key);
  }

  /** What an actor throws at its end is logged and stops nothing. */
  async #guarded(cell: Cell<A>, what: string, run: () => Promise<void> | void): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.#options.placement.log.error(
        { err: error, kind: this.kind, key: cell.claim.key },
        `${this.kind} failed to ${what}`,
      );
    }
  }
}
