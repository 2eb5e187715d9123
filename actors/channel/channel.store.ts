/** All SQL of the tables `channel`, `channel_origin` and `saga`. Each function runs in the caller's transaction. */
import type { Channel, ChannelOrigin } from "../../contracts/channel.ts";
import type { Tx } from "../../lib/db/database.ts";

type Config = Record<string, unknown>;

export interface ChannelRow {
  readonly id: number;
  readonly name: string;
  readonly sid: number | null;
  readonly quality: string | null;
  readonly streamId: string;
  readonly sourceType: Channel["sourceType"];
  readonly ingestConfig: Config;
  readonly transcodeConfig: Config | null;
  readonly status: Channel["status"];
  readonly wanted: "running" | "stopped";
  readonly idempotencyKey: string | null;
  readonly version: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly deletedAt: Date | null;
}
export interface OriginRow {
  readonly id: number;
  readonly channelId: number;
  readonly streamerId: number;
  readonly ingestUrl: string | null;
  readonly streamId: string;
  readonly playbackUrl: string | null;
  readonly status: ChannelOrigin["status"];
  readonly message: string | null;
  readonly wanted: "present" | "absent";
  readonly generation: number;
  /** The private-address rule does not apply to the URL that it reads. */
  readonly trusted: boolean;
}
/** What a user gives; the rest of a channel's row follows from it. */
export interface ChannelFields {
  readonly name: string;
  readonly sid: number | null;
  readonly quality: string | null;
  readonly sourceType: Channel["sourceType"];
  readonly ingestConfig: Config;
  readonly transcodeConfig: Config | null;
}

const CHANNEL = `id, name, sid, quality, stream_id as "streamId", source_type as "sourceType",
  ingest_config as "ingestConfig", transcode_config as "transcodeConfig", status, wanted,
  idempotency_key as "idempotencyKey", version, created_at as "createdAt", updated_at as "updatedAt",
  deleted_at as "deletedAt"`;
const ORIGIN = `id, channel_id as "channelId", streamer_id as "streamerId", ingest_url as "ingestUrl",
  stream_id as "streamId", playback_url as "playbackUrl", status, message, wanted, generation, trusted`;

/**
 * Stream time of every loop counts from 1970, as that of anchored sources does (domain/live): segment numbers then
 * keep growing over all lives of a stream id and across changes of its source, and every loop is locked to the same
 * epoch (P-09).
 */
const LOOP_STARTED_AT = "case when $6 = 'pl' then 'epoch'::timestamptz end";

const fieldValues = (fields: ChannelFields): unknown[] => [
  fields.name,
  fields.sid,
  fields.quality,
  fields.sourceType,
  JSON.stringify(fields.ingestConfig),
  fields.transcodeConfig === null ? null : JSON.stringify(fields.transcodeConfig),
];

export interface NewChannel {
  readonly tenantId: string;
  readonly streamId: string;
  readonly idempotencyKey: string | null;
  readonly fields: ChannelFields;
}

/** Undefined when the stream id or the idempotency key is taken. */
export const insertChannel = async (tx: Tx, channel: NewChannel): Promise<ChannelRow | undefined> => {
  const { rows } = await tx.query<ChannelRow>(
    `insert into channel (tenant_id, stream_id, name, sid, quality, source_type, ingest_config, transcode_config,
       idempotency_key, status, loop_started_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', ${LOOP_STARTED_AT})
     on conflict do nothing returning ${CHANNEL}`,
    [channel.tenantId, channel.streamId, ...fieldValues(channel.fields), channel.idempotencyKey],
  );
  return rows[0];
};

/** Deleted ones too: their stream ids are taken until the last of their streams is gone. */
export const channelByStreamId = async (tx: Tx, streamId: string): Promise<ChannelRow | undefined> => {
  const { rows } = await tx.query<ChannelRow>(`select ${CHANNEL} from channel where stream_id = $1`, [streamId]);
  return rows[0];
};

/** Keys older than a day may be used again, as for every other request. */
export const freeOldKey = async (tx: Tx, key: string): Promise<void> => {
  await tx.query(
    "update channel set idempotency_key = null where idempotency_key = $1 and created_at < now() - interval '24 h'",
    [key],
  );
};

export const channelByIdempotencyKey = async (tx: Tx, key: string): Promise<ChannelRow | undefined> => {
  const { rows } = await tx.query<ChannelRow>(
    `select ${CHANNEL} from channel where idempotency_key = $1 and deleted_at is null`,
    [key],
  );
  return rows[0];
};

export const channelById = async (tx: Tx, id: number): Promise<ChannelRow | undefined> => {
  const { rows } = await tx.query<ChannelRow>(`select ${CHANNEL} from channel where id = $1`, [id]);
  return rows[0];
};

/** Locks the row: what is decided about a channel holds until the transaction ends. */
export const lockChannel = async (tx: Tx, id: number): Promise<ChannelRow | undefined> => {
  const { rows } = await tx.query<ChannelRow>(`select ${CHANNEL} from channel where id = $1 for update`, [id]);
  return rows[0];
};

export interface PageOf {
  /** Rows after this id; 0 for the first page. */
  readonly afterId: number;
  readonly rowCount: number;
  readonly status: Channel["status"] | null;
}
export const channelPage = async (tx: Tx, { afterId, rowCount, status }: PageOf): Promise<ChannelRow[]> => {
  const { rows } = await tx.query<ChannelRow>(
    `select ${CHANNEL} from channel where id > $1 and deleted_at is null and ($2::text is null or status = $2)
     order by id limit $3`,
    [afterId, status, rowCount],
  );
  return rows;
};

export const updateChannel = async (tx: Tx, id: number, fields: ChannelFields): Promise<void> => {
  await tx.query(
    `update channel set name = $3, sid = $4, quality = $5, source_type = $6, ingest_config = $7, transcode_config = $8,
       loop_started_at = ${LOOP_STARTED_AT}, version = version + $2, updated_at = now() where id = $1`,
    [id, 1, ...fieldValues(fields)],
  );
};

export const setWanted = async (tx: Tx, id: number, wanted: ChannelRow["wanted"]): Promise<void> => {
  await tx.query("update channel set wanted = $2, version = version + 1, updated_at = now() where id = $1", [
    id,
    wanted,
  ]);
};

export const touchChannel = async (tx: Tx, id: number): Promise<void> => {
  await tx.query("update channel set version = version + 1, updated_at = now() where id = $1", [id]);
};

/** From now on nobody sees it; its origins are to go. The idempotency key is free again. */
export const markDeleted = async (tx: Tx, id: number): Promise<void> => {
  await tx.query(
    `update channel set deleted_at = now(), idempotency_key = null, version = version + 1, updated_at = now()
     where id = $1`,
    [id],
  );
  await tx.query(
    `update channel_origin set wanted = 'absent', generation = generation + 1
     where channel_id = $1 and wanted = 'present'`,
    [id],
  );
};

export const setChannelStatus = async (tx: Tx, id: number, status: Channel["status"]): Promise<void> => {
  await tx.query("update channel set status = $2 where id = $1", [id, status]);
};

export const removeChannel = async (tx: Tx, id: number): Promise<void> => {
  await tx.query("delete from channel where id = $1", [id]);
};

/** Of all these channels, oldest first; origins that are to go as well. */
export const originsOf = async (tx: Tx, channelIds: readonly number[]): Promise<OriginRow[]> => {
  const { rows } = await tx.query<OriginRow>(
    `select ${ORIGIN} from channel_origin where channel_id = any($1) order by id`,
    [channelIds],
  );
  return rows;
};

export interface NewOrigin {
  readonly tenantId: string;
  readonly channelId: number;
  readonly streamId: string;
  readonly streamerId: number;
  readonly ingestUrl: string | null;
  readonly trusted: boolean;
}
/** A row that waits for its removal comes back to life. */
export const insertOrigin = async (tx: Tx, origin: NewOrigin): Promise<number> => {
  const { rows } = await tx.query<{ id: number }>(
    `insert into channel_origin as o (tenant_id, channel_id, streamer_id, ingest_url, stream_id, trusted, status)
     values ($1, $2, $3, $4, $5, $6, 'pending')
     on conflict (channel_id, streamer_id) do update set wanted = 'present', ingest_url = excluded.ingest_url,
       trusted = excluded.trusted, status = 'pending', message = null, generation = o.generation + 1
     returning id`,
    [origin.tenantId, origin.channelId, origin.streamerId, origin.ingestUrl, origin.streamId, origin.trusted],
  );
  return rows[0]!.id; // `returning` of an insert that updates on conflict
};

/** `touched`: what its streamer gets changes, so what it runs has to be pushed again. */
export const updateOrigin = async (
  tx: Tx,
  origin: { id: number; ingestUrl: string | null; trusted: boolean; touched: boolean },
): Promise<void> => {
  await tx.query(
    "update channel_origin set ingest_url = $2, trusted = $3, generation = generation + $4 where id = $1",
    [origin.id, origin.ingestUrl, origin.trusted, origin.touched ? 1 : 0],
  );
};

export const wantAbsent = async (tx: Tx, originIds: readonly number[]): Promise<void> => {
  await tx.query(
    `update channel_origin set wanted = 'absent', generation = generation + 1
     where id = any($1) and wanted = 'present'`,
    [originIds],
  );
};

export const setOriginObserved = async (
  tx: Tx,
  origin: Pick<OriginRow, "id" | "status" | "playbackUrl" | "message">,
): Promise<void> => {
  await tx.query("update channel_origin set status = $2, playback_url = $3, message = $4 where id = $1", [
    origin.id,
    origin.status,
    origin.playbackUrl,
    origin.message,
  ]);
};

export const removeOrigins = async (tx: Tx, originIds: readonly number[]): Promise<void> => {
  await tx.query("delete from channel_origin where id = any($1)", [originIds]);
};

/** What the channel's live owner saw last; written by the supervisor. */
export interface RuntimeRow {
  readonly leaseEpoch: number;
  readonly observed: unknown;
}
export const runtimeOf = async (tx: Tx, channelId: number): Promise<RuntimeRow | undefined> => {
  const { rows } = await tx.query<RuntimeRow>(
    `select lease_epoch as "leaseEpoch", observed from channel_runtime where channel_id = $1`,
    [channelId],
  );
  return rows[0];
};

/** Live and to-be-removed origins on a streamer, within the tenant. */
export const originsOnStreamer = async (tx: Tx, streamerId: number): Promise<OriginRow[]> => {
  const { rows } = await tx.query<OriginRow>(`select ${ORIGIN} from channel_origin where streamer_id = $1 for update`, [
    streamerId,
  ]);
  return rows;
};

export interface Saga {
  readonly id: string;
  readonly channelId: number;
}
export const insertSaga = async (tx: Tx, saga: Saga & { tenantId: string; incarnation: string }): Promise<void> => {
  await tx.query(
    `insert into saga (id, tenant_id, kind, channel_id, step, incarnation)
     values ($1, $2, 'channel.create', $3, 'pushing', $4)`,
    [saga.id, saga.tenantId, saga.channelId, saga.incarnation],
  );
};

/** False when it is gone already: somebody else has ended it. */
export const endSaga = async (tx: Tx, channelId: number): Promise<boolean> => {
  const { rowCount } = await tx.query("delete from saga where channel_id = $1", [channelId]);
  return rowCount > 0;
};

/** Takes over creations whose process is gone, or that this process has let go of. */
export const takeSagas = async (
  tx: Tx,
  { incarnation, running }: { incarnation: string; running: readonly string[] },
): Promise<Saga[]> => {
  const { rows } = await tx.query<Saga>(
    `update saga set incarnation = $1 where id in (
       select id from saga s where s.id <> all($2::uuid[]) and (s.incarnation = $1
         or not exists (select 1 from actor_node n where n.incarnation = s.incarnation))
       order by created_at limit 20 for update skip locked)
     returning id, channel_id as "channelId"`,
    [incarnation, running],
  );
  return rows;
};

export const allTenants = async (tx: Tx): Promise<{ id: string; slug: string }[]> => {
  const { rows } = await tx.query<{ id: string; slug: string }>("select id, slug from tenant order by id");
  return rows;
};

export const hasSaga = async (tx: Tx, channelId: number): Promise<boolean> => {
  const { rowCount } = await tx.query("select 1 from saga where channel_id = $1", [channelId]);
  return rowCount > 0;
};

/**
 * Channels whose rows differ from what their supervisors wrote some seconds ago: a fact about it is late, as the
 * process that had taken it was killed.
 */
export const laggingChannels = async (tx: Tx): Promise<number[]> => {
  const { rows } = await tx.query<{ id: number }>(
    `select distinct c.id from channel c join channel_runtime r on r.channel_id = c.id
       left join channel_origin o on o.channel_id = c.id
       left join lateral (select r.observed->'origins'->(o.id::text) as seen) s on true
     where r.updated_at < now() - interval '3 s' and (
       (o.id is null and c.deleted_at is not null)
       or ((s.seen->>'generation')::int = o.generation and (
         o.status <> s.seen->>'status' or o.message is distinct from s.seen->>'message'
         or (o.wanted = 'absent' and (s.seen->>'gone')::boolean))))
     order by c.id limit 100`,
  );
  return rows.map(({ id }) => id);
};
