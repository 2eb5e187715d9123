/** From rows to what edges are told. Pure. */
import type { Snapshot } from "../../contracts/fleet.ts";
import type { OriginRow } from "./fleet.store.ts";

export type SnapshotChannel = Snapshot["channels"][number];
type SnapshotOrigin = SnapshotChannel["origins"][number];

const SEGMENT_MS_DEFAULT = 4_000;
// What streamers make of a chunkDuration outside of these.
const SEGMENT_MS_MIN = 1_000;
const SEGMENT_MS_MAX = 10_000;
const DURATION = /^(\d{1,7}(?:\.\d{1,3})?)(ms|s)$/;

export const segmentMsOf = (chunkDuration: string | null): number => {
  const match = DURATION.exec(chunkDuration ?? "");
  if (!match) return SEGMENT_MS_DEFAULT;
  const ms = Number(match[1]) * (match[2] === "s" ? 1_000 : 1);
  return Math.round(Math.min(Math.max(ms, SEGMENT_MS_MIN), SEGMENT_MS_MAX));
};

type Place = Pick<SnapshotOrigin, "base" | "master" | "trusted">;

const MASTER = "master.m3u8";

/** A castis node says where it is played from; the folder is what stands before the last name. */
const castisPlace = (playbackUrl: string): Place | undefined => {
  const match = /^(https?:\/\/[^/?#]+(?:\/[^?#]*)?)\/([^/?#]+(?:\?[^#]*)?)(?:#.*)?$/.exec(playbackUrl);
  if (!match) return undefined;
  const [, base = "", master = ""] = match;
  return master === MASTER ? { base } : { base, master };
};

const placeOf = (row: OriginRow, tenant: string): Place | undefined => {
  if (row.kind === "castis") {
    const place = row.playbackUrl === null ? undefined : castisPlace(row.playbackUrl);
    return place && row.trusted ? { ...place, trusted: true } : place;
  }
  // A streamer that lost its address to another keeps it with a mark until it reports again.
  if (!/^https?:\/\/[^#?]+$/.test(row.baseUrl)) return undefined;
  return { base: `${row.baseUrl.replace(/\/+$/, "")}/live/${tenant}/${row.streamId}` };
};

/**
 * Ours before castis nodes, failed and stopped ones behind the others, then those that are about to leave, the oldest
 * first: an order that changes seldom, for edges go with the first that answers.
 */
const rankOf = ({ kind, status, draining }: OriginRow): number =>
  (kind === "castis" ? 4 : 0) + (status === "failed" || status === "stopped" ? 2 : 0) + (draining ? 1 : 0);

/** `rows`: of one tenant, those of a channel one after the other, by origin id. */
export const composeChannels = (tenant: string, rows: readonly OriginRow[]): SnapshotChannel[] => {
  const byStream = new Map<string, OriginRow[]>();
  for (const row of rows) byStream.set(row.streamId, [...(byStream.get(row.streamId) ?? []), row]);
  return [...byStream].map(([streamId, all]) => {
    const origins = all
      .toSorted((left, right) => rankOf(left) - rankOf(right)) // stable: the order by id stays
      .flatMap((row): SnapshotOrigin[] => {
        const place = row.originId === null ? undefined : placeOf(row, tenant);
        return place && row.originId !== null ? [{ originId: row.originId, kind: row.kind, ...place }] : [];
      });
    return { tenant, streamId, segmentMs: segmentMsOf(all[0]?.chunkDuration ?? null), origins };
  });
};
