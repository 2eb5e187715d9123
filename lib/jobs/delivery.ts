/**
 * graphile-worker as the bringer of wake-ups. It fetches one only of a kind that has a free slot and does not claim by
 * itself (each has its kind as a flag), and hands it in as soon as jobs are claimed: no process holds on
 * to wake-ups that another one could use, and none stays locked (what a dead process held is unlocked after 4 hours
 * only).
 */
import { Logger, runTaskList, type TaskList, type WorkerPool } from "graphile-worker";
import pg from "pg";
import { pause } from "../actor/contract.ts";
import { connectionConfig } from "../db/database.ts";
import type { Log } from "../log/log.ts";
import { DELIVERY_SCHEMA } from "./delivery-schema.ts";
import type { Lane } from "./lane.ts";

const AGAIN_MS = 1_000;
/** What a notification that got lost costs. */
const POLL_MS = 2_000;
/** Wake-ups that are handled at the same time; claiming takes milliseconds. */
const FETCHERS = 4;
const CONNECTIONS = FETCHERS + 2; // one to listen, one to hand in
const GOODBYE_MS = 2_000; // a server that hangs never closes its end of the connection

/** One per process. */
export class Delivery {
  readonly #log: Log;
  readonly #lanes: readonly Pick<Lane, "kinds" | "isSated" | "wake">[];
  readonly #pool: pg.Pool;
  #working: WorkerPool | undefined;
  #stopping = false;
  #waiting: (() => void)[] = [];

  constructor({
    url,
    nodeId,
    log,
    lanes,
  }: { url: string; nodeId: string; log: Log; lanes: readonly Pick<Lane, "kinds" | "isSated" | "wake">[] }) {
    this.#log = log;
    this.#lanes = lanes;
    const config = connectionConfig({ url, applicationName: `jobs: ${nodeId}` });
    this.#pool = new pg.Pool({ ...config, max: CONNECTIONS });
    this.#pool.on("error", () => {});
    this.#pool.on("connect", (client) => client.on("error", () => {}));
  }

  start(): void {
    void this.#serve();
  }

  /** Wake-ups of some kind are of use again. */
  freed(): void {
    for (const go of this.#waiting.splice(0)) go();
    if (!this.#stopping && this.#working?._active) this.#working.nudge(1);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.freed();
    await Promise.resolve(this.#working?.gracefulShutdown()).catch(() => {});
    await Promise.race([this.#pool.end().catch(() => {}), pause(GOODBYE_MS)]);
  }

  /** The library ends by itself when the database troubles it too much. */
  async #serve(): Promise<void> {
    const options = {
      schema: DELIVERY_SCHEMA,
      concurrency: FETCHERS,
      pollInterval: POLL_MS,
      // Called before each fetch, and waited for.
      forbiddenFlags: () => this.#satedKinds(),
      // Without a batch nobody waits for its writes, or hears that they failed.
      preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
      noHandleSignals: true,
      logger: this.#logger(),
    };
    const tasks: TaskList = {};
    for (const lane of this.#lanes) for (const kind of lane.kinds) tasks[kind] = () => lane.wake();
    while (!this.#stopping) {
      this.#working = runTaskList(options, tasks, this.#pool);
      await this.#working.promise.catch((error: unknown) => {
        if (!this.#stopping) this.#log.warn({ err: error }, "wake-ups for jobs stopped; they are taken up again");
      });
      if (!this.#stopping) await pause(AGAIN_MS);
    }
  }

  async #satedKinds(): Promise<string[] | null> {
    while (!this.#stopping && this.#lanes.every(({ isSated }) => isSated)) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    const sated = this.#lanes.filter(({ isSated }) => isSated).flatMap(({ kinds }) => kinds);
    return sated.length > 0 ? sated : null;
  }

  #logger(): Logger {
    return new Logger(() => (level, message) => {
      if (level === "error" && !this.#stopping) this.#log.debug({ delivery: message }, "delivery of jobs");
    });
  }
}
