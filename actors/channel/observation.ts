/**
 * Brings the rows of a channel to what its supervisor last wrote. Reads `channel_runtime` itself instead of trusting
 * the fact that led here: late, repeated and overtaken facts all do the same.
 */
import { channelChanged } from "../../contracts/channel.ts";
import { settleChannel, supervisorKey } from "../../contracts/channel-supervisor.ts";
import { unwantPlacement } from "../../lib/actor/placement.ts";
import type { Tx } from "../../lib/db/database.ts";
import { publishFact } from "../../lib/events/events.ts";
import * as store from "./channel.store.ts";
import { channelStatusOf, readObserved, type Seen } from "./observed.ts";

export interface ChannelRef {
  readonly tenantId: string;
  readonly channelId: number;
}

/** The kind of keyed actor that looks after channels. */
export const SUPERVISOR = settleChannel.name.split(".")[0]!; // an ask is named `actor.verb`

/** Tells the world that rows of a channel, or of its origins, have changed. */
export const announceChange = async (tx: Tx, ref: ChannelRef, version: number): Promise<void> => {
  await publishFact(tx, channelChanged, supervisorKey(ref), { ...ref, version });
};

const differs = (origin: store.OriginRow, seen: Seen): boolean =>
  origin.status !== seen.status || origin.playbackUrl !== seen.playbackUrl || origin.message !== seen.message;

/** True while the channel's rows are still there. */
export const applyObserved = async (tx: Tx, ref: ChannelRef): Promise<boolean> => {
  const channel = await store.lockChannel(tx, ref.channelId);
  if (channel === undefined) return false;
  const runtime = await store.runtimeOf(tx, channel.id);
  const seenOf = readObserved(runtime?.observed);
  const origins = await store.originsOf(tx, [channel.id]);
  // What was seen of an older generation of a row says nothing about this one.
  const current = (origin: store.OriginRow): Seen | undefined => {
    const seen = seenOf.get(origin.id);
    return seen?.generation === origin.generation ? seen : undefined;
  };
  const gone = origins.filter((origin) => origin.wanted === "absent" && current(origin)?.gone === true);
  const left = origins.filter((origin) => !gone.includes(origin));
  if (gone.length > 0) {
    await store.removeOrigins(
      tx,
      gone.map(({ id }) => id),
    );
  }
  if (channel.deletedAt !== null && left.length === 0) {
    await forget(tx, ref);
    return false;
  }
  const changed = left.flatMap((origin) => {
    const seen = current(origin);
    return seen !== undefined && differs(origin, seen) ? [{ ...origin, ...pick(seen) }] : [];
  });
  for (const origin of changed) await store.setOriginObserved(tx, origin);
  const statusOf = (origin: store.OriginRow) => current(origin)?.status ?? origin.status;
  const present = left.filter(({ wanted }) => wanted === "present");
  const status = channelStatusOf(channel.wanted, present.map(statusOf));
  if (status !== channel.status) await store.setChannelStatus(tx, channel.id, status);
  const isNews = changed.length > 0 || gone.length > 0 || status !== channel.status;
  if (isNews && channel.deletedAt === null) await announceChange(tx, ref, channel.version);
  return true;
};

const pick = ({ status, playbackUrl, message }: Seen) => ({ status, playbackUrl, message });

/** The last of a channel: its rows, and its supervisor's placement. */
export const forget = async (tx: Tx, ref: ChannelRef): Promise<void> => {
  await store.endSaga(tx, ref.channelId);
  await store.removeChannel(tx, ref.channelId);
  await unwantPlacement(tx, SUPERVISOR, supervisorKey(ref));
};
