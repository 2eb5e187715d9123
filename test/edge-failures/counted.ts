/** What the edge says that it has counted, off its own metrics. */
import { type Got, view } from "./viewer.ts";

export interface Counted {
  readonly requests: number;
  readonly sentBytes: number;
  readonly hits: number;
  readonly originRequests: number;
}

const sum = (text: string, name: string, hostname: string): number =>
  text
    .split("\n")
    .filter((line) => line.startsWith(`${name}{`) && line.includes(`hostname="${hostname}"`))
    .reduce((total, line) => total + Number(line.split(" ").at(-1)), 0);

/** Of one hostname; `localhost` must be none of the edge's sites. */
export const countedFor = async (port: number, hostname: string): Promise<Counted> => {
  const got: Got = await view(port, "/metrics");
  const text = got.body.toString();
  const of = (name: string): number => sum(text, `castellan_edge_account_${name}_total`, hostname);
  return {
    ...{ requests: of("requests"), sentBytes: of("sent_bytes") },
    ...{ hits: of("hits"), originRequests: of("origin_requests") },
  };
};
