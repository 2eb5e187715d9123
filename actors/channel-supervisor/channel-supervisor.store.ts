/** All SQL of `channel_runtime` and `channel_anchor`, every write fenced; and what is read of others' tables. */
import type { Anchor } from "../../contracts/streamer.ts";
import type { Tx } from "../../lib/db/database.ts";
import { Observed } from "./origin-state.ts";

export interface WantedOrigin {
  readonly id: number;
  readonly streamerId: number;
  readonly ingestUrl: string | null;
  readonly wanted: "present" | "absent";
  readonly generation: number;
  /** The private-address rule does not apply to what it reads. */
  readonly sourceTrusted: boolean;
  readonly kind: "castellan" | "castis";
  readonly baseUrl: string;
  readonly publicUrl: string | null;
  readonly credential: string | null;
  /** Its base URL was given by a key that may name private addresses. */
  readonly nodeTrusted: boolean;
  readonly playbackUrlTemplate: string;
  readonly nodeId: string | null;
  readonly ordinal: number | null;
}
export interface WantedChannel {
  readonly id: number;
  readonly tenant: string;
  readonly streamId: string;
  readonly ingestConfig: Record<string, unknown>;
  readonly transcodeConfig: Record<string, unknown> | null;
  readonly wanted: "running" | "stopped";
  readonly deleted: boolean;
  /** Wall clock of stream time 0 in ms; null: not a loop. */
  readonly loopStartedAtMs: number | null;
  readonly origins: readonly WantedOrigin[];
}
/** Whose write it is: fenced by the lease epoch. */
export interface Fence {
  readonly tenantId: string;
  readonly channelId: number;
  readonly leaseEpoch: number;
}

type ChannelRow = Omit<WantedChannel, "origins">;

/** What the rows want of a channel; undefined when there are none. */
export const readWanted = async (tx: Tx, channelId: number): Promise<WantedChannel | undefined> => {
  const [channels, origins] = await Promise.all([
    tx.query<ChannelRow>(
      `select c.id, t.slug as tenant, c.stream_id as "streamId", c.ingest_config as "ingestConfig",
         c.transcode_config as "transcodeConfig", c.wanted, c.deleted_at is not null as deleted,
         (extract(epoch from c.loop_started_at) * 1000)::float8 as "loopStartedAtMs"
       from channel c join tenant t on t.id = c.tenant_id where c.id = $1`,
      [channelId],
    ),
    tx.query<WantedOrigin>(
      `select o.id, o.streamer_id as "streamerId", o.ingest_url as "ingestUrl", o.wanted, o.generation,
         o.trusted as "sourceTrusted", s.kind, s.base_url as "baseUrl", s.public_url as "publicUrl", s.credential,
         s.trusted as "nodeTrusted", s.playback_url_template as "playbackUrlTemplate", s.node_id as "nodeId", s.ordinal
       from channel_origin o join streamer s on s.id = o.streamer_id where o.channel_id = $1 order by o.id`,
      [channelId],
    ),
  ]);
  const channel = channels.rows[0];
  return channel && { ...channel, origins: origins.rows };
};

export interface Claimed {
  readonly observed: Observed;
  readonly anchor: Anchor | null;
  /** There was an owner before us: commands of its may still be on their way. */
  readonly hadOwner: boolean;
}

/** A new owner's first act: raises the fence. Undefined when a newer owner was faster. */
export const claimRuntime = async (tx: Tx, fence: Fence): Promise<Claimed | undefined> => {
  const before = await tx.query("select 1 from channel_runtime where channel_id = $1 for update", [fence.channelId]);
  const { rows } = await tx.query<{ observed: unknown }>(
    `insert into channel_runtime as r (channel_id, tenant_id, lease_epoch, observed) values ($1, $2, $3, '{}')
     on conflict (channel_id) do update set lease_epoch = excluded.lease_epoch, updated_at = now()
       where r.lease_epoch <= excluded.lease_epoch
     returning observed`,
    [fence.channelId, fence.tenantId, fence.leaseEpoch],
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  const observed = Observed.safeParse(row.observed);
  return {
    // What an older version wrote and we can't read is asked of the streamers again.
    observed: observed.success ? observed.data : { origins: {} },
    anchor: (await readAnchor(tx, fence.channelId)) ?? null,
    hadOwner: before.rowCount > 0,
  };
};

/** False when a newer owner has raised the fence: nothing was written. */
export const writeObserved = async (tx: Tx, fence: Fence, observed: Observed): Promise<boolean> => {
  // The epoch is set although it is equal already: so whoever follows the table sees whose write it was.
  const { rowCount } = await tx.query(
    `update channel_runtime set observed = $3, lease_epoch = $2, updated_at = now()
     where channel_id = $1 and lease_epoch = $2`,
    [fence.channelId, fence.leaseEpoch, JSON.stringify(observed)],
  );
  return rowCount === 1;
};

const ANCHOR = `offset_ticks as "offsetTicks", residual_ms as "residualMs",
  first_segment_number as "firstSegmentNumber", frame_rate_num as "frameRateNum",
  frame_rate_den as "frameRateDen", anchor_epoch as "anchorEpoch"`;

const readAnchor = async (tx: Tx, channelId: number): Promise<Anchor | undefined> => {
  const { rows } = await tx.query<Anchor>(`select ${ANCHOR} from channel_anchor where channel_id = $1`, [channelId]);
  return rows[0];
};

/** Keeps a newer owner from raising the fence until this transaction ends; false when one has done so already. */
const holdFence = async (tx: Tx, { channelId, leaseEpoch }: Fence): Promise<boolean> => {
  const { rowCount } = await tx.query(
    "select 1 from channel_runtime where channel_id = $1 and lease_epoch = $2 for share",
    [channelId, leaseEpoch],
  );
  return rowCount === 1;
};

/** The channel's first anchor, or one of a higher anchor epoch; returns the row that stands afterwards. */
export const writeAnchor = async (tx: Tx, fence: Fence, anchor: Anchor): Promise<Anchor | undefined> => {
  if (!(await holdFence(tx, fence))) return readAnchor(tx, fence.channelId);
  await tx.query(
    `insert into channel_anchor as a (channel_id, tenant_id, lease_epoch, offset_ticks, residual_ms,
       first_segment_number, frame_rate_num, frame_rate_den, anchor_epoch)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     on conflict (channel_id) do update set lease_epoch = excluded.lease_epoch, offset_ticks = excluded.offset_ticks,
       residual_ms = excluded.residual_ms, first_segment_number = excluded.first_segment_number,
       frame_rate_num = excluded.frame_rate_num, frame_rate_den = excluded.frame_rate_den,
       anchor_epoch = excluded.anchor_epoch, updated_at = now()
       where a.lease_epoch <= excluded.lease_epoch and a.anchor_epoch < excluded.anchor_epoch`,
    [
      fence.channelId,
      fence.tenantId,
      fence.leaseEpoch,
      anchor.offsetTicks,
      anchor.residualMs,
      anchor.firstSegmentNumber,
      anchor.frameRateNum,
      anchor.frameRateDen,
      anchor.anchorEpoch,
    ],
  );
  return readAnchor(tx, fence.channelId);
};

/** The residual drifts with the source's clock; the anchor stays. */
export const writeResidual = async (
  tx: Tx,
  fence: Fence,
  at: { anchorEpoch: number; residualMs: number },
): Promise<void> => {
  if (!(await holdFence(tx, fence))) return;
  await tx.query(
    `update channel_anchor set residual_ms = $4, lease_epoch = $2, updated_at = now()
     where channel_id = $1 and lease_epoch <= $2 and anchor_epoch = $3`,
    [fence.channelId, fence.leaseEpoch, at.anchorEpoch, at.residualMs],
  );
};

export interface Claim {
  readonly tenantId: string;
  readonly originId: number;
  readonly streamId: string;
  readonly baseUrl: string;
}

/** Every tenant but one. */
export const otherTenants = async (tx: Tx, tenantId: string): Promise<string[]> => {
  const { rows } = await tx.query<{ id: string }>("select id from tenant where id <> $1 order by id", [tenantId]);
  return rows.map(({ id }) => id);
};

/**
 * In the transaction of another tenant: does one of its channels have this stream on this node? Of two that are both
 * refused, the older one has it: otherwise neither would ever get it.
 */
export const hasStream = async (tx: Tx, claim: Omit<Claim, "tenantId">): Promise<boolean> => {
  const { rowCount } = await tx.query(
    `select 1 from channel_origin o join streamer s on s.id = o.streamer_id
     where o.stream_id = $1 and s.kind = 'castis' and s.base_url = $2
       and (o.status in ('pending', 'active', 'failed') or o.id < $3) limit 1`,
    [claim.streamId, claim.baseUrl, claim.originId],
  );
  return rowCount > 0;
};
