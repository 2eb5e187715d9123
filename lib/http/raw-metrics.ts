/** What raw listeners count: plain numbers, read when somebody asks for the metrics. */
import type { ErrorCode } from "../../contracts/errors.ts";
import { type Figure, figures } from "../metrics/metrics.ts";

/** Seconds from a request's head to the last byte of its answer being with the kernel. */
const BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const STATUS_MAX = 600;

const open = new Set<ListenerCounts>();

/** Of one listener. Listeners of one name are shown as one. */
export class ListenerCounts {
  readonly name: string;
  readonly #connections: () => number;
  readonly #byStatus = new Float64Array(STATUS_MAX);
  readonly #buckets = new Float64Array(BOUNDS.length + 1);
  readonly #refused = new Map<ErrorCode, number>();
  #seconds = 0;
  #sentBytes = 0;
  #cutCount = 0;

  constructor(name: string, connections: () => number) {
    this.name = name;
    this.#connections = connections;
    open.add(this);
    show();
  }

  /** A request was answered. */
  answered(status: number, sentBytes: number, seconds: number): void {
    this.#byStatus[status]! += 1;
    this.#sentBytes += sentBytes;
    this.#seconds += seconds;
    let bucket = 0;
    while (bucket < BOUNDS.length && seconds > BOUNDS[bucket]!) bucket += 1;
    this.#buckets[bucket]! += 1;
  }
  /** The client left, or was cut, before its answer was whole. */
  cut(): void {
    this.#cutCount += 1;
  }
  /** What came was no request, or there was no room for it. */
  refused(code: ErrorCode): void {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
  }
  close(): void {
    open.delete(this);
  }

  readonly read = {
    requests: (): Figure[] =>
      [...this.#byStatus.entries()].flatMap(([status, value]) => (value > 0 ? [this.#figure(value, { status })] : [])),
    seconds: (): Figure[] => {
      let count = 0;
      const buckets = [...BOUNDS, "+Inf"].map((le, i): Figure => {
        count += this.#buckets[i]!;
        return { ...this.#figure(count, { le }), suffix: "_bucket" };
      });
      return [
        ...buckets,
        { ...this.#figure(this.#seconds), suffix: "_sum" },
        { ...this.#figure(count), suffix: "_count" },
      ];
    },
    sentBytes: (): Figure[] => [this.#figure(this.#sentBytes)],
    cut: (): Figure[] => [this.#figure(this.#cutCount)],
    refused: (): Figure[] => [...this.#refused].map(([code, value]) => this.#figure(value, { code })),
    connections: (): Figure[] => [this.#figure(this.#connections())],
  };

  #figure(value: number, labels: Figure["labels"] = {}): Figure {
    return { value, labels: { listener: this.name, ...labels } };
  }
}

/** Of all open listeners, those of the same name and labels added up. */
const all = (of: (counts: ListenerCounts) => Figure[]) => (): Figure[] => {
  const sums = new Map<string, Figure>();
  for (const figure of [...open].flatMap(of)) {
    const key = JSON.stringify([figure.labels, figure.suffix]);
    sums.set(key, { ...figure, value: figure.value + (sums.get(key)?.value ?? 0) });
  }
  return [...sums.values()];
};

const show = (): void => {
  figures({
    name: "castellan_http_requests_total",
    help: "Requests that were answered, by status.",
    type: "counter",
    read: all((counts) => counts.read.requests()),
  });
  figures({
    name: "castellan_http_request_seconds",
    help: "Time from a request's head to the end of its answer.",
    type: "histogram",
    read: all((counts) => counts.read.seconds()),
  });
  figures({
    name: "castellan_http_sent_bytes_total",
    help: "Bytes of bodies that were sent.",
    type: "counter",
    read: all((counts) => counts.read.sentBytes()),
  });
  figures({
    name: "castellan_http_cut_total",
    help: "Answers that did not reach their client as a whole.",
    type: "counter",
    read: all((counts) => counts.read.cut()),
  });
  figures({
    name: "castellan_http_refused_total",
    help: "What came was no request, or there was no room for it; by error code.",
    type: "counter",
    read: all((counts) => counts.read.refused()),
  });
  figures({
    name: "castellan_http_connections",
    help: "Open connections.",
    type: "gauge",
    read: all((counts) => counts.read.connections()),
  });
};
