/** A process of the platform: what it runs, what must hold for it to be ready, and how it ends. */
import type { ServiceBroker } from "moleculer";
import { pause } from "../actor/contract.ts";
import type { Config, Role } from "../config/config.ts";
import type { Readiness } from "../http/listener.ts";
import { type Log, makeLog } from "../log/log.ts";

const BALANCER_WAIT_MS = 300; // time for a load balancer to see /readyz = 503
const STOP_DEADLINE_MS = 25_000; // compose and Kubernetes kill after 30 s
const SAME_SIGNAL_MS = 1_000;

type Check = () => boolean | Promise<boolean>;

/** One process: what it runs, what must hold for it to be ready, and how it ends. */
export class Process {
  readonly config: Config;
  readonly log: Log;
  readonly checks = new Map<string, Check>();
  readonly #stops: { readonly what: string; readonly stop: () => Promise<void> }[] = [];
  #broker: ServiceBroker | null = null;
  #started = false;
  #stopping = false;
  #stoppingSinceMs = 0;

  constructor(config: Config) {
    this.config = config;
    this.log = makeLog({ level: config.logLevel, format: config.logFormat, nodeId: config.nodeId });
  }

  /** The broker of a process that has one. */
  get broker(): ServiceBroker {
    if (!this.#broker) throw new Error("bug: this process has no broker");
    return this.#broker;
  }

  /**
   * A packager alone asks nobody, and nobody on a bus asks it; so does an edge that a file tells of its sites: they do
   * without Moleculer, which takes 35 MB.
   */
  get hasBroker(): boolean {
    const { roles, natsUrl, edgeConfig } = this.config;
    return natsUrl !== null || roles.some((role) => role !== "packager" && !(role === "edge" && edgeConfig !== null));
  }

  async makeBroker(): Promise<void> {
    const { makeBroker } = await import("../actor/broker.ts");
    const broker = makeBroker({ config: this.config, log: this.log });
    this.#broker = broker;
    this.onStop("broker", () => broker.stop());
  }

  has(role: Role): boolean {
    return this.config.roles.includes(role);
  }

  /** Stops run in the reverse order of their adding. */
  onStop(what: string, stop: () => Promise<void>): void {
    this.#stops.push({ what, stop });
    // A start that is still going on ends here; what it has just opened is stopped with the rest.
    if (this.#stopping) throw new Error("a stop has begun");
  }

  /** Puts a stop before all that were added so far. */
  stopFirst(what: string): void {
    const at = this.#stops.findIndex((stop) => stop.what === what);
    if (at >= 0) this.#stops.push(...this.#stops.splice(at, 1));
  }

  started(): void {
    this.#started = true;
  }

  readonly ready = async (): Promise<Readiness> => {
    const answers = await Promise.all(
      [...this.checks].map(async ([name, check]) => {
        const ok = await Promise.resolve()
          .then(check)
          .catch(() => false);
        return [name, ok] as const;
      }),
    );
    const checks = {
      started: this.#started,
      ...(this.#stopping ? { stopping: false } : {}),
      ...Object.fromEntries(answers),
    };
    return { ready: Object.values(checks).every(Boolean), checks };
  };

  /** Whether a stop has begun: whoever began it ends the process. */
  get isStopping(): boolean {
    return this.#stopping;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (let last = this.#stops.pop(); last; last = this.#stops.pop()) {
      const { what, stop } = last;
      await stop().catch((error: unknown) => this.log.warn({ err: error }, `${what} did not stop cleanly`));
    }
  }

  /** The first signal drains, the second one and a deadline end the process as it is. */
  obeySignals(): void {
    const obey = async (signal: string) => {
      if (this.#stopping) {
        // npm passes on what the whole group got already: only a later one means it.
        if (performance.now() - this.#stoppingSinceMs > SAME_SIGNAL_MS) process.exit(1);
        return;
      }
      this.#stopping = true;
      this.#stoppingSinceMs = performance.now();
      this.log.info({ signal }, "stopping");
      setTimeout(() => process.exit(1), STOP_DEADLINE_MS).unref();
      if (!this.config.allInOne) await pause(BALANCER_WAIT_MS);
      await this.stop();
      this.log.flush();
      process.exit(0);
    };
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void obey(signal));
    process.on("unhandledRejection", (error) => this.log.error({ err: error }, "bug: a promise was left alone"));
  }
}
