/** All SQL of the table `streamer`. Platform rows have no tenant: all see them, none writes them as a tenant. */
import type { Tx } from "../../lib/db/database.ts";

export interface StreamerRow {
  readonly id: number;
  readonly tenantId: string | null;
  readonly kind: "castellan" | "castis";
  readonly name: string;
  readonly baseUrl: string;
  readonly hasCredential: boolean;
  readonly credential: string | null;
  readonly playbackUrlTemplate: string;
  /** Its URLs were given by a key that may name private addresses. */
  readonly trusted: boolean;
  readonly streamsMax: number | null;
  /** Of our own: by their own word. Of castis nodes: origins of the tenant that looks. */
  readonly streamCount: number;
  readonly draining: boolean;
  readonly reachable: boolean | null;
  readonly nodeId: string | null;
  readonly ordinal: number | null;
  readonly lastSeenAt: Date | null;
  readonly createdAt: Date;
}

const STREAMER = `s.id, s.tenant_id as "tenantId", s.kind, s.name, s.base_url as "baseUrl", s.credential,
  s.credential is not null as "hasCredential", s.playback_url_template as "playbackUrlTemplate",
  s.trusted, s.streams_max as "streamsMax", s.draining, s.reachable, s.node_id as "nodeId", s.ordinal,
  s.last_seen_at as "lastSeenAt", s.created_at as "createdAt",
  case s.kind when 'castellan' then s.stream_count
    else (select count(*)::int from channel_origin o where o.streamer_id = s.id and o.wanted = 'present') end
    as "streamCount"`;

export const streamerById = async (tx: Tx, id: number): Promise<StreamerRow | undefined> => {
  const { rows } = await tx.query<StreamerRow>(`select ${STREAMER} from streamer s where s.id = $1`, [id]);
  return rows[0];
};

/** Those of these ids that are there for the tenant. */
export const knownStreamers = async (tx: Tx, ids: readonly number[]): Promise<Set<number>> => {
  const { rows } = await tx.query<{ id: number }>("select id from streamer where id = any($1)", [ids]);
  return new Set(rows.map(({ id }) => id));
};

/** Where our own streamers live, to find what they said last. */
export const ownStreamers = async (
  tx: Tx,
  ids: readonly number[],
): Promise<{ id: number; nodeId: string; ordinal: number }[]> => {
  const { rows } = await tx.query<{ id: number; nodeId: string; ordinal: number }>(
    `select id, node_id as "nodeId", ordinal from streamer where id = any($1) and kind = 'castellan'
       and node_id is not null`,
    [ids],
  );
  return rows;
};

export const streamerPage = async (
  tx: Tx,
  { afterId, rowCount }: { afterId: number; rowCount: number },
): Promise<StreamerRow[]> => {
  const { rows } = await tx.query<StreamerRow>(
    `select ${STREAMER} from streamer s where s.id > $1 order by s.id limit $2`,
    [afterId, rowCount],
  );
  return rows;
};

export interface NewStreamer {
  readonly tenantId: string | null;
  readonly name: string;
  readonly baseUrl: string;
  readonly credential: string | null;
  readonly playbackUrlTemplate: string;
  readonly trusted: boolean;
  readonly streamsMax: number | null;
}
/** A castis node; undefined when its base URL is taken. */
export const insertStreamer = async (tx: Tx, streamer: NewStreamer): Promise<number | undefined> => {
  const { rows } = await tx.query<{ id: number }>(
    `insert into streamer (tenant_id, kind, name, base_url, credential, playback_url_template, streams_max, trusted)
     values ($1, 'castis', $2, $3, $4, $5, $6, $7) on conflict do nothing returning id`,
    [
      streamer.tenantId,
      streamer.name,
      streamer.baseUrl,
      streamer.credential,
      streamer.playbackUrlTemplate,
      streamer.streamsMax,
      streamer.trusted,
    ],
  );
  return rows[0]?.id;
};

/** False when the new base URL is taken. */
export const updateStreamer = async (tx: Tx, id: number, streamer: Omit<NewStreamer, "tenantId">): Promise<boolean> => {
  const { rowCount } = await tx.query(
    `update streamer s set name = $2, base_url = $3, credential = $4, playback_url_template = $5, streams_max = $6,
       trusted = $7, reachable = case when base_url = $3 then reachable end
     where id = $1 and not exists (select 1 from streamer o where o.id <> $1 and o.base_url = $3
       and o.tenant_id is not distinct from s.tenant_id)`,
    [
      id,
      streamer.name,
      streamer.baseUrl,
      streamer.credential,
      streamer.playbackUrlTemplate,
      streamer.streamsMax,
      streamer.trusted,
    ],
  );
  return rowCount === 1;
};

export const deleteStreamer = async (tx: Tx, id: number): Promise<void> => {
  await tx.query("delete from streamer where id = $1", [id]);
};

export interface SeenStreamer {
  readonly nodeId: string;
  readonly ordinal: number;
  readonly name: string;
  readonly baseUrl: string;
  readonly publicUrl: string;
  readonly playbackUrlTemplate: string;
  readonly streamsMax: number;
  readonly streamCount: number;
  readonly draining: boolean;
}
/**
 * Registers one of our own, or notes that it lives. An address moves with its holder: one that another row has (a node
 * that came back with a new id, ports that were dealt anew) is taken from it; a row that thus lost its address keeps it
 * with a mark until its own streamer reports again.
 */
export const upsertOwn = async (tx: Tx, seen: SeenStreamer): Promise<void> => {
  const { rowCount: known } = await tx.query("select 1 from streamer where node_id = $1 and ordinal = $2", [
    seen.nodeId,
    seen.ordinal,
  ]);
  const others = "tenant_id is null and base_url = $1 and kind = 'castellan'";
  if (known === 0)
    // The same machine under a new node id: its row, and the channels on it, live on.
    await tx.query(
      `update streamer set node_id = $2, ordinal = $3
       where ${others} and coalesce(last_seen_at, created_at) < now() - interval '10 s'`,
      [seen.baseUrl, seen.nodeId, seen.ordinal],
    );
  await tx.query(
    `update streamer set base_url = base_url || '#was-' || id
     where ${others} and (node_id, ordinal) is distinct from ($2::text, $3::int)`,
    [seen.baseUrl, seen.nodeId, seen.ordinal],
  );
  const values = [
    seen.nodeId,
    seen.ordinal,
    seen.name,
    seen.baseUrl,
    seen.publicUrl,
    seen.playbackUrlTemplate,
    seen.streamsMax,
    seen.streamCount,
    seen.draining,
  ];
  const { rowCount: noted } = await tx.query(
    `update streamer set name = $3, base_url = $4, public_url = $5, playback_url_template = $6, streams_max = $7,
       stream_count = $8, draining = $9, last_seen_at = now()
     where node_id = $1 and ordinal = $2`,
    values,
  );
  // Only where there is none: an insert that becomes an update uses up an id.
  if (noted === 0)
    await tx.query(
      `insert into streamer (tenant_id, kind, name, base_url, public_url, playback_url_template, streams_max,
         node_id, ordinal, stream_count, draining, last_seen_at)
       values (null, 'castellan', $3, $4, $5, $6, $7, $1, $2, $8, $9, now())
       on conflict (node_id, ordinal) do nothing`,
      values,
    );
};

export interface CastisRow {
  readonly id: number;
  readonly baseUrl: string;
  readonly credential: string | null;
  readonly trusted: boolean;
}
/** Castis nodes of the tenant (null: of the platform) that nobody has heard of lately. */
export const castisToCheck = async (
  tx: Tx,
  { tenantId, silentMs }: { tenantId: string | null; silentMs: number },
): Promise<CastisRow[]> => {
  const { rows } = await tx.query<CastisRow>(
    `select id, base_url as "baseUrl", credential, trusted from streamer
     where kind = 'castis' and tenant_id is not distinct from $1::uuid
       and (last_seen_at is null or last_seen_at < now() - $2 * interval '1 ms') order by id limit 500`,
    [tenantId, silentMs],
  );
  return rows;
};

export const setReachable = async (tx: Tx, id: number, reachable: boolean): Promise<void> => {
  await tx.query(
    `update streamer set reachable = $2, last_seen_at = case when $2 then now() else last_seen_at end where id = $1`,
    [id, reachable],
  );
};
