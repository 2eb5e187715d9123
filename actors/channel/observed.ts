/** What the supervisor wrote about a channel's origins (`channel_runtime.observed`), and what follows for the rows. */
import { z } from "zod";
import { type Channel, type ChannelOrigin, Failure, LiveStatus, OriginStatus } from "../../contracts/channel.ts";

const Seen = z.object({
  status: OriginStatus,
  playbackUrl: z.string().nullable(),
  message: z.string().nullable(),
  failure: Failure.nullable(),
  gone: z.boolean(),
  /** The generation of the origin's row that all this is about. */
  generation: z.int(),
  state: LiveStatus.shape.state.nullable(),
  observedAtMs: z.number(),
});
export type Seen = z.output<typeof Seen>;

const Observed = z.object({ origins: z.record(z.string(), Seen) });

/** By origin id; empty where nothing was seen yet (or a newer version wrote what we can't read). */
export const readObserved = (raw: unknown): ReadonlyMap<number, Seen> => {
  const parsed = Observed.safeParse(raw);
  if (!parsed.success) return new Map();
  return new Map(Object.entries(parsed.data.origins).map(([id, seen]) => [Number(id), seen]));
};

/** all active → active; some → degraded; none → failed, unless one may still come. */
export const channelStatusOf = (
  wanted: "running" | "stopped",
  origins: readonly ChannelOrigin["status"][],
): Channel["status"] => {
  if (wanted === "stopped") return "stopped";
  const activeCount = origins.filter((status) => status === "active").length;
  if (activeCount > 0) return activeCount === origins.length ? "active" : "degraded";
  // Not told yet that the channel was started again: `stopped` is not what it will be.
  return origins.some((status) => status === "pending" || status === "stopped") ? "pending" : "failed";
};
