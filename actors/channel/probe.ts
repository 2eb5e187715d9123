/** Is a castis node there? The playback document has no health address, so a stream that nobody has is asked for. */
import { request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import type { OutgoingAgents } from "../../lib/http/outgoing-agents.ts";

export interface ProbedNode {
  readonly baseUrl: string;
  readonly credential: string | null;
  /** A platform admin named it: it may be anywhere. */
  readonly trusted: boolean;
}
/** True when a castis node answers; never rejects. */
export type Probe = (node: ProbedNode) => Promise<boolean>;

const PROBE_PATH = "/api/streams/castellan_probe.stream";
const PROBE_DEADLINE_MS = 5_000;

const statusOf = ({ baseUrl, credential, trusted }: ProbedNode, agents: OutgoingAgents): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const url = new URL(`${baseUrl}${PROBE_PATH}`);
    const outgoing = (url.protocol === "https:" ? requestTls : requestPlain)(url, {
      agent: agents.for(url, { trusted }),
      headers: credential === null ? {} : { authorization: `Bearer ${credential}` },
      signal: AbortSignal.timeout(PROBE_DEADLINE_MS),
    });
    outgoing.on("error", reject);
    outgoing.on("response", ({ statusCode }) => {
      resolve(statusCode);
      outgoing.destroy();
    });
    outgoing.end();
  });

/** True for any answer that shows a working node which takes our credential. */
export const probeCastis =
  (agents: OutgoingAgents): Probe =>
  async (node) => {
    const status = await statusOf(node, agents).catch(() => undefined);
    return status === 200 || status === 404;
  };
