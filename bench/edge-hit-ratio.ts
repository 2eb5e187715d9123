/**
 * Hits of the edge's cache policy on traces of a million requests, against LRU and Belady's optimum, with a cache of
 * 5 % of what is asked for. `TRACE_REQUESTS` shortens them.
 */
import { type Replay, replayBelady, replayLru, replayPolicy } from "./edge-replay.fixture.ts";
import { liveTrace, mixedTrace, type Trace, vodTrace, zipfTrace } from "./edge-traces.fixture.ts";
import { type Row, report } from "./report.ts";

const REQUESTS = Number(process.env.TRACE_REQUESTS ?? 1_000_000);
const CAPACITY_SHARE = 0.05;
const GB = 1e9;

interface Goal {
  readonly make: (requestCount: number) => Trace;
  /** Points above LRU without prefetching, if they are named. */
  readonly above?: number;
  readonly hasPrefetch: boolean;
  readonly isHalfWay?: boolean;
}

const GOALS: readonly Goal[] = [
  { make: vodTrace, above: 8, hasPrefetch: true },
  { make: mixedTrace, above: 4.5, hasPrefetch: true },
  { make: liveTrace, hasPrefetch: false, isHalfWay: true },
  { make: zipfTrace, hasPrefetch: false },
];
const PREFETCH_ABOVE = 40;

const shown = ({ hits, originBytes, microseconds }: Replay): string =>
  `${hits.toFixed(1)} % hits, ${originBytes.toFixed(1)} % origin bytes, ${microseconds.toFixed(2)} µs CPU a request`;

const signed = (points: number): string => `${points < 0 ? "−" : "+"} ${Math.abs(points).toFixed(1)}`;

const rowsOf = ({ make, above, hasPrefetch, isHalfWay = false }: Goal): Row[] => {
  const trace = make(REQUESTS);
  const capacityBytes = trace.footprintBytes * CAPACITY_SHARE;
  const lru = replayLru(trace, capacityBytes);
  const belady = replayBelady(trace, capacityBytes);
  const without = replayPolicy(trace, capacityBytes, { prefetches: false });
  const name = `${trace.name}, ${(capacityBytes / GB).toFixed(0)} of ${(trace.footprintBytes / GB).toFixed(0)} GB`;
  const way = (100 * (without.hits - lru.hits)) / (belady.hits - lru.hits);
  const rows: Row[] = [
    {
      what: `${name}, without prefetch`,
      value: `${shown(without)}: LRU ${signed(without.hits - lru.hits)}, ${way.toFixed(0)} % of the way to Belady`,
      against: `LRU ${shown(lru)}; Belady ${belady.hits.toFixed(1)} %`,
      goal: isHalfWay ? "≥ 50 % of the way" : above === undefined ? "" : `≥ LRU + ${above}`,
    },
  ];
  if (!hasPrefetch) return rows;
  const ahead = replayPolicy(trace, capacityBytes, { prefetches: true });
  rows.push({
    what: `${name}, with prefetch`,
    value: `${shown(ahead)}, ${ahead.waste.toFixed(1)} % of it unused: LRU ${signed(ahead.hits - lru.hits)}`,
    against: `LRU ${shown(lru)}`,
    goal: `≥ LRU + ${PREFETCH_ABOVE} at ≤ ${lru.originBytes.toFixed(1)} % origin bytes`,
  });
  return rows;
};

report(`The edge's hits: ${REQUESTS.toLocaleString("en")} requests, a cache of 5 %`, GOALS.flatMap(rowsOf));
