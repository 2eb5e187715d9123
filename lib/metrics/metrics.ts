import {
  AggregatorRegistry,
  Counter,
  collectDefaultMetrics,
  Gauge,
  Histogram,
  type Metric,
  Registry,
} from "prom-client";

/** One registry per process; every listener of the process shows it at `/metrics` (Prometheus text format 0.0.4). */
const registry = new Registry();
let defaultsOn = false;

/** Process, heap and event-loop metrics; switched on by main once. */
export const collectProcessMetrics = (): void => {
  if (defaultsOn) return;
  defaultsOn = true;
  collectDefaultMetrics({ register: registry });
};

interface Spec<L extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly L[];
}
const registered = <M>(name: string, make: () => M): M => (registry.getSingleMetric(name) as M | undefined) ?? make();

/**
 * A count that only grows; names end in `_total`. The same name gives the same metric. `collect` adds, before it is
 * shown, what was counted elsewhere since then: for counts that are too frequent for labels to be looked up.
 */
export const counter = <L extends string>(spec: Spec<L> & { collect?: (counter: Counter<L>) => void }): Counter<L> => {
  const { name, help, labels = [], collect } = spec;
  return registered(name, () => {
    const made: Counter<L> = new Counter({
      name,
      help,
      labelNames: [...labels],
      registers: [registry],
      ...(collect ? { collect: () => collect(made) } : {}),
    });
    return made;
  });
};

/** How gauges get their figures, by name. */
const collectors = new Map<string, (gauge: Gauge) => void>();

/** With `collect` it is read when it is shown; of several of one name the last one is, whose place it took. */
export const gauge = <L extends string>(spec: Spec<L> & { collect?: (gauge: Gauge<L>) => void }): Gauge<L> => {
  const { name, help, labels = [], collect } = spec;
  if (collect) collectors.set(name, collect as (gauge: Gauge) => void); // it is given the gauge of this name alone
  return registered(name, () => {
    const made: Gauge<L> = new Gauge({
      name,
      help,
      labelNames: [...labels],
      registers: [registry],
      ...(collect ? { collect: () => collectors.get(name)?.(made as Gauge) } : {}),
    });
    return made;
  });
};

/** Buckets in the metric's own unit (seconds unless its name says otherwise). */
export const histogram = <L extends string>({
  name,
  help,
  labels = [],
  buckets,
}: Spec<L> & { buckets?: readonly number[] }): Histogram<L> =>
  registered(
    name,
    () =>
      new Histogram({
        name,
        help,
        labelNames: [...labels],
        registers: [registry],
        ...(buckets ? { buckets: [...buckets] } : {}),
      }),
  );

/** One line of a metric; `suffix` for the parts of a histogram: `_bucket`, `_sum`, `_count`. */
export interface Figure {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly suffix?: string;
}
interface FiguresSpec {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly read: () => readonly Figure[];
}

/**
 * A metric whose figures are kept elsewhere and read when somebody asks: for paths where counting has to cost no more
 * than adding to a number. The first of a name stays.
 */
export const figures = ({ name, help, type, read }: FiguresSpec): void => {
  if (registry.getSingleMetric(name) !== undefined) return;
  const lineOf = ({ labels, value, suffix = "" }: Figure) => ({ labels, value, metricName: name + suffix });
  const aggregator = "sum"; // of the threads
  const told = { name, help, type, aggregator };
  const metric = { ...told, get: async () => ({ ...told, values: read().map(lineOf) }) };
  // The registry asks a metric for no more than this; the type names its classes.
  registry.registerMetric(metric as unknown as Metric<string>);
};

export const METRICS_CONTENT_TYPE = registry.contentType;

/** Where the metrics of other threads come from, or who has those of all. */
let others: (() => Promise<readonly object[][]>) | undefined;
let teller: (() => Promise<string>) | undefined;

/** The metrics of this thread, for the one that shows them all. */
export const metricsOfThread = (): Promise<object[]> => registry.getMetricsAsJSON();
/** This thread shows, beside its own, what `gather` gives: the metrics of each other thread, added up. */
export const showThreads = (gather: () => Promise<readonly object[][]>): void => {
  others = gather;
};
/** This thread has its metrics shown by another, which is asked for their text. */
export const showElsewhere = (ask: () => Promise<string>): void => {
  teller = ask;
};

export const metricsText = async (): Promise<string> => {
  if (teller) return teller();
  if (!others) return registry.metrics();
  const all = [await registry.getMetricsAsJSON(), ...(await others())];
  return AggregatorRegistry.aggregate(all).metrics();
};
