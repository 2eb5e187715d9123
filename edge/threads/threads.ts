/**
 * Several threads that serve as one: they listen on the same ports, each owns a part of the keys, and this one tells
 * them what to serve. A thread that ends by itself takes the others with it: all are started anew, for their ways to
 * each other end with it. What is on disk stays.
 */
import { once } from "node:events";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import type { Snapshot } from "../../contracts/fleet.ts";
import type { AccountDelta } from "../../domain/accounting/columns.ts";
import { ConfigError } from "../../lib/config/config-error.ts";
import type { AdmissionNews } from "../../lib/crypto/admission-news.ts";
import type { Readiness } from "../../lib/http/health.ts";
import type { Log } from "../../lib/log/log.ts";
import { metricsText } from "../../lib/metrics/metrics.ts";
import type { Purge } from "../cache/purges/purge-table.ts";
import type { Sites } from "../config/sites.ts";
import { Answers } from "./answers.ts";
import type { Order, Report, ThreadStart } from "./orders.ts";

export interface ThreadsDeps {
  readonly count: number;
  /** What each thread begins with, but for its index and its ways to the others. */
  readonly startOf: (index: number) => Omit<ThreadStart, "index" | "ports">;
  readonly port: number;
  readonly tlsPort: number | null;
  readonly log: Log;
  readonly counted: (deltas: readonly AccountDelta[]) => void;
  /** Resolves when more may be known of channels; the snapshot has been told by then. */
  readonly missed: () => Promise<void>;
}

const START_MS = 60_000; // a second when nothing else runs
const RESTART_MS = 1_000;
const METRICS_MS = 2_000;
const PURGE_MS = 10_000;
const CLOSE_MS = 15_000;
/** The id of a thread that has ended. */
const ENDED = -1;

interface Ports {
  readonly port: number;
  readonly tlsPort: number | null;
}

export class Threads {
  readonly #deps: ThreadsDeps;
  #workers: Worker[] = [];
  readonly #metrics = new Answers<object[]>(METRICS_MS);
  readonly #purges = new Answers<string | undefined>(PURGE_MS);
  #listening: ((ports: Ports) => void)[] = [];
  #failed: (error: Error) => void = () => {};
  /** What was told, so that threads that are started anew are told too. */
  readonly #told = new Map<Order["type"], Order>();
  /** It is told piece by piece, and anew as a whole. */
  #admitted: (() => AdmissionNews) | undefined;
  #ports: Ports | undefined;
  #isClosing = false;
  #isRestarting = false;

  constructor(deps: ThreadsDeps) {
    this.#deps = deps;
  }

  /** Starts them; resolves with the ports when all listen. Rejects with one clear line when a port is taken. */
  async start(): Promise<Ports> {
    const { count, port, tlsPort } = this.#deps;
    this.#spawn();
    const first = await this.#listen(0, this.#ports ?? { port, tlsPort });
    this.#ports = first;
    for (let index = 1; index < count; index += 1) await this.#listen(index, first);
    return first;
  }

  apply({ madeOf }: Sites): void {
    if (madeOf) this.#tell({ type: "sites", ...madeOf });
  }
  take(snapshot: Snapshot): void {
    this.#tell({ type: "snapshot", snapshot });
  }
  /** `whole`: all that was told until then. */
  admit(news: AdmissionNews, whole: () => AdmissionNews): void {
    this.#admitted = whole;
    for (const worker of this.#workers) worker.postMessage({ type: "admission", news } satisfies Order);
  }
  readiness(readiness: Readiness): void {
    this.#tell({ type: "readiness", readiness });
  }

  /** The metrics of each. */
  async metrics(): Promise<object[][]> {
    const asked = this.#workers.map((worker) =>
      this.#metrics.ask((id) => worker.postMessage({ type: "count", id } satisfies Order)).catch(() => []),
    );
    return Promise.all(asked);
  }

  /** Purges in each; resolves when none can lose it. Rejects when one could not keep it, or does not answer. */
  async purge(purge: Purge): Promise<void> {
    const asked = this.#workers.map((worker) =>
      this.#purges.ask((id) => worker.postMessage({ type: "purge", id, purge } satisfies Order)),
    );
    const errors = (await Promise.all(asked)).filter((error) => error !== undefined);
    if (errors.length > 0) throw new Error(errors.join("; "));
  }

  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    const running = this.#workers.filter(({ threadId }) => threadId !== ENDED);
    const ended = running.map((worker) => once(worker, "exit"));
    for (const worker of running) worker.postMessage({ type: "close", graceMs } satisfies Order);
    const timer = setTimeout(() => this.#terminate(), graceMs + CLOSE_MS);
    await Promise.all(ended);
    clearTimeout(timer);
  }

  #tell(order: Order): void {
    this.#told.set(order.type, order);
    for (const worker of this.#workers) worker.postMessage(order);
  }

  #spawn(): void {
    const { count, startOf } = this.#deps;
    const ports: (MessagePort | undefined)[][] = Array.from({ length: count }, () => Array.from({ length: count }));
    for (let one = 0; one < count; one += 1) {
      for (let other = one + 1; other < count; other += 1) {
        const { port1, port2 } = new MessageChannel();
        ports[one]![other] = port1;
        ports[other]![one] = port2;
      }
    }
    this.#workers = ports.map((own, index) => {
      const workerData: ThreadStart = { ...startOf(index), index, ports: own };
      const transferList = own.filter((port) => port !== undefined);
      const worker = new Worker(new URL("./edge-thread.worker.ts", import.meta.url), { workerData, transferList });
      worker.on("message", (report: Report) => this.#heard(index, report));
      worker.on("error", (error) => this.#deps.log.error({ err: error, index }, "a thread of the edge failed"));
      worker.on("exit", (status) => this.#exited(index, status));
      for (const order of this.#told.values()) worker.postMessage(order);
      const news = this.#admitted?.();
      if (news) worker.postMessage({ type: "admission", news } satisfies Order);
      return worker;
    });
  }

  #listen(index: number, ports: Ports): Promise<Ports> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("a thread of the edge did not start in time")), START_MS);
      this.#failed = (error) => {
        clearTimeout(timer);
        reject(error);
      };
      this.#listening[index] = (listening) => {
        clearTimeout(timer);
        this.#failed = () => {};
        resolve(listening);
      };
      this.#workers[index]?.postMessage({ type: "listen", ...ports } satisfies Order);
    });
  }

  #heard(index: number, report: Report): void {
    const reply = (order: Order): void => this.#workers[index]?.postMessage(order);
    switch (report.type) {
      case "listening":
        this.#listening[index]?.({ port: report.port, tlsPort: report.tlsPort });
        break;
      case "failed":
        this.#heardFailure(index, report);
        break;
      case "accounts":
        this.#deps.counted(report.deltas);
        break;
      case "missed":
        void this.#deps.missed().finally(() => reply({ type: "looked", id: report.id }));
        break;
      case "counted":
        this.#metrics.answered(report.id, report.metrics);
        break;
      case "metrics":
        void metricsText().then((text) => reply({ type: "metrics", id: report.id, text }));
        break;
      case "purged":
        this.#purges.answered(report.id, report.error);
        break;
      case "closed":
        break;
    }
  }

  #heardFailure(index: number, { message, variable }: Extract<Report, { type: "failed" }>): void {
    if (variable === undefined) {
      this.#deps.log.error({ index, message }, "a thread of the edge could not do what it was told");
      this.#failed(new Error(message));
    } else this.#failed(new ConfigError(variable, message.slice(variable.length + 2)));
  }

  #terminate(): void {
    for (const worker of this.#workers) void worker.terminate();
  }

  #exited(index: number, status: number): void {
    this.#failed(new Error(`a thread of the edge ended with status ${status}`));
    if (this.#isClosing || this.#isRestarting || !this.#ports) return;
    this.#deps.log.error({ index, status }, "a thread of the edge ended; all are started anew");
    this.#isRestarting = true;
    const ended = this.#workers.filter((_, other) => other !== index).map((worker) => once(worker, "exit"));
    this.#terminate();
    void Promise.all(ended).then(() => this.#restart());
  }

  async #restart(): Promise<void> {
    if (this.#isClosing) return;
    try {
      await this.start();
      this.#isRestarting = false;
    } catch (error) {
      this.#deps.log.error({ err: error }, "the threads of the edge can't be started; tried again");
      this.#terminate();
      setTimeout(() => void this.#restart(), RESTART_MS).unref();
    }
  }
}
