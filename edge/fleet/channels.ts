/** From a snapshot to what the edge looks up per request. Pure. */
import type { Snapshot } from "../../contracts/fleet.ts";
import { type Family, familiesOf, type Origin } from "../origin/choice.ts";

export interface KnownChannel {
  /**
   * Begins every cache key of the channel. Its last part grows when the channel becomes another one under the same name
   * (other segments, or none of the former origins): then nothing that is kept of it may be used.
   */
  readonly key: string;
  readonly segmentMs: number;
  readonly origins: readonly Origin[];
  readonly families: readonly Family[];
}
export type Channels = ReadonlyMap<string, KnownChannel>;

const MASTER = "master.m3u8";
/** Durations that a snapshot may have; what lies outside would make playlists live for ever or not at all. */
const SEGMENT_MS_MIN = 500;
const SEGMENT_MS_MAX = 30_000;

export const nameOf = (tenant: string, streamId: string): string => `${tenant}/${streamId}`;

const originOf = (entry: Snapshot["channels"][number]["origins"][number]): Origin | undefined => {
  const { originId, kind, base, master } = entry;
  if (!URL.canParse(base)) return undefined;
  const { protocol, origin } = new URL(base);
  if (protocol !== "http:" && protocol !== "https:") return undefined;
  const trusted = kind === "castellan" || entry.trusted === true;
  // An address that is refused to one tenant's node is no failure of a trusted one that is there.
  const authority = trusted ? origin : `${origin} (guarded)`;
  return { originId, kind, authority, trusted, base: base.replace(/\/+$/, ""), master: master ?? MASTER };
};

const eraOf = (key: string): number => Number(key.slice(key.lastIndexOf("#") + 1));
const isSameChannel = (before: KnownChannel, segmentMs: number, origins: readonly Origin[]): boolean =>
  before.segmentMs === segmentMs &&
  (before.origins.length === 0 ||
    origins.length === 0 ||
    before.origins.some(({ originId }) => origins.some((origin) => origin.originId === originId)));

/** Channels that are what they were keep their keys, and with them what the cache has of them. */
export const channelsOf = (snapshot: Snapshot, before: Channels = new Map()): Channels => {
  const channels = new Map<string, KnownChannel>();
  for (const { tenant, streamId, segmentMs: announcedMs, origins: entries } of snapshot.channels) {
    const name = nameOf(tenant, streamId);
    const segmentMs = Math.min(Math.max(announcedMs, SEGMENT_MS_MIN), SEGMENT_MS_MAX);
    const origins = entries.map(originOf).filter((origin) => origin !== undefined);
    const old = before.get(name);
    // A channel that comes back after it was gone has another era too.
    const era = old ? eraOf(old.key) + (isSameChannel(old, segmentMs, origins) ? 0 : 1) : snapshot.version;
    channels.set(name, { key: `${name}#${era}`, segmentMs, origins, families: familiesOf(origins) });
  }
  return channels;
};
