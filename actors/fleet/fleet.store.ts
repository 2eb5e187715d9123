/** All SQL of the fleet actor: the table `fleet_snapshot`, and what it reads of channels. */
import type { Tx } from "../../lib/db/database.ts";

/** Which content has which number. */
export interface Numbered {
  readonly version: number;
  readonly sha256: string;
  readonly madeAt: Date;
}
export interface OriginRow {
  readonly streamId: string;
  /** As the channel's ingestConfig has it, or null. */
  readonly chunkDuration: string | null;
  /** Null for a channel without an origin that could be used. */
  readonly originId: number | null;
  readonly kind: "castellan" | "castis";
  /** Where edges find it: its public URL. With a mark while it has lost its address to another. */
  readonly baseUrl: string;
  readonly playbackUrl: string | null;
  /** The URLs of a castis node were given by a key that may name private addresses. */
  readonly trusted: boolean;
  readonly status: "pending" | "active" | "failed" | "stopped";
  readonly draining: boolean;
}

const NUMBERED = `select version, sha256, made_at as "madeAt" from fleet_snapshot`;

export const newest = async (tx: Tx): Promise<Numbered | undefined> => (await tx.query<Numbered>(NUMBERED)).rows[0];

/** Held until the transaction ends: who makes a snapshot meanwhile waits, and then sees at least what this one saw. */
export const lockNewest = async (tx: Tx): Promise<Numbered> => {
  const locked = async () => (await tx.query<Numbered>(`${NUMBERED} for update`)).rows[0];
  const found = await locked();
  if (found) return found;
  await tx.query(
    "insert into fleet_snapshot (version, sha256, made_at) values (0, '', to_timestamp(0)) on conflict do nothing",
  );
  return (await locked())!; // there is one now, whoever inserted it
};

export const setNewest = async (tx: Tx, { version, sha256, madeAt }: Numbered): Promise<void> => {
  await tx.query("update fleet_snapshot set version = $1, sha256 = $2, made_at = $3", [version, sha256, madeAt]);
};

/** Outside of any tenant. */
export const allTenants = async (tx: Tx): Promise<{ id: string; slug: string }[]> =>
  (await tx.query<{ id: string; slug: string }>("select id, slug from tenant order by slug")).rows;

/** Channels of the transaction's tenant that are meant to play, a row per origin, in a fixed order. */
export const playableChannels = async (tx: Tx): Promise<OriginRow[]> =>
  (
    await tx.query<OriginRow>(
      `select c.stream_id as "streamId", c.ingest_config ->> 'chunkDuration' as "chunkDuration", o.id as "originId",
         s.kind,
         case when s.base_url like '%#was-%' then s.base_url else coalesce(s.public_url, s.base_url) end as "baseUrl",
         o.playback_url as "playbackUrl", s.trusted, o.status, s.draining
       from channel c
       left join (channel_origin o join streamer s on s.id = o.streamer_id)
         on o.channel_id = c.id and o.wanted = 'present' and o.status <> 'conflict'
       where c.deleted_at is null and c.wanted = 'running'
       order by c.stream_id, o.id`,
    )
  ).rows;
