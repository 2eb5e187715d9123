/** The simulator and an adapter that speaks to it, for one test. */
import { systemClock } from "../../lib/clock.ts";
import { Tmdb, type TmdbSettings } from "../../lib/tmdb/tmdb.ts";
import { startTmdbSimulator, type TmdbSimulator } from "../../tools/simulators/tmdb-server.ts";

interface Cleaner {
  after(clean: () => Promise<void>): void;
}
export interface SimulatedTmdb {
  readonly simulator: TmdbSimulator;
  readonly tmdb: Tmdb;
}
export const simulatedTmdb = async (
  t: Cleaner,
  { requestsPerSecond, ...settings }: Partial<TmdbSettings> & { readonly requestsPerSecond?: number } = {},
): Promise<SimulatedTmdb> => {
  const simulator = await startTmdbSimulator({ token: "secret" });
  t.after(() => simulator.close());
  const tmdb = new Tmdb({
    ...{ url: simulator.url, token: "secret", requestsPerSecond: requestsPerSecond ?? 1_000, clock: systemClock },
    ...{ pauseMs: 5, ...settings },
  });
  return { simulator, tmdb };
};
