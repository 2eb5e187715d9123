/** SQL of `actor_placement` (and what it needs of `actor_node`): who owns which key. */
import type { Database, Tx } from "../db/database.ts";
import { WAKE_CHANNEL } from "./lease.ts";

/** A key that this process owns, and the epoch that fences what it does for it. */
export interface Claim {
  readonly kind: string;
  readonly key: string;
  readonly leaseEpoch: number;
}

const NOTIFY = `select pg_notify('${WAKE_CHANNEL}', '')`;

/** Wants a keyed actor to exist; with the transaction's commit some node claims it. */
export const wantPlacement = async (tx: Tx, kind: string, key: string): Promise<void> => {
  await tx.query("insert into actor_placement (kind, key) values ($1, $2) on conflict do nothing", [kind, key]);
  await tx.query(NOTIFY);
};

/** Its owner stops it (`stop("unwanted")`) soon after the commit. */
export const unwantPlacement = async (tx: Tx, kind: string, key: string): Promise<void> => {
  await tx.query("delete from actor_placement where kind = $1 and key = $2", [kind, key]);
  await tx.query(NOTIFY);
};

export const wake = async (db: Database): Promise<void> => {
  await db.query(NOTIFY);
};

/**
 * Frees the keys of dead nodes; their ids, unless they are back as a new process. Dead: the lease has ended; or nobody
 * holds its lock and it was silent for `deadAfterMs` (a server that has just started lost all locks, so not then).
 * DELETE's row lock orders this and the node's own renewal: one of them finds no row.
 */
export const reap = async (db: Database, incarnation: string, deadAfterMs: number): Promise<string[]> => {
  const { rows } = await db.query<{ nodeId: string; back: boolean }>(
    `delete from actor_node d where incarnation <> $1 and (lease_until < now() or (
       renewed_at < now() - $2 * interval '1 ms' and pg_postmaster_start_time() < now() - interval '10 s'
       and pg_try_advisory_xact_lock(lock_key)))
     returning node_id as "nodeId", exists (select from actor_node n
       where n.node_id = d.node_id and n.incarnation <> d.incarnation and n.lease_until > now()) as back`,
    [incarnation, deadAfterMs],
  );
  return rows.filter(({ back }) => !back).map(({ nodeId }) => nodeId);
};

export interface Shares {
  /** Keys of these kinds. */
  readonly total: number;
  readonly free: number;
  /** Owned by this incarnation, of any kind. */
  readonly mine: number;
  /** That take keys. */
  readonly nodes: number;
}
export const readShares = async (db: Database, incarnation: string, kinds: readonly string[]): Promise<Shares> => {
  const { rows } = await db.query<Shares>(
    `select count(*) filter (where kind = any($2))::int as total,
       count(*) filter (where kind = any($2) and n.incarnation is null)::int as free,
       count(*) filter (where p.incarnation = $1)::int as mine,
       (select count(*)::int from actor_node where not draining) as nodes
     from actor_placement p left join actor_node n using (incarnation)`,
    [incarnation, kinds],
  );
  return rows[0] ?? { total: 0, free: 0, mine: 0, nodes: 1 };
};

/**
 * Takes up to `limit` free keys. The epoch grows at each claim and is never behind the wall clock in seconds: so a key
 * that is deleted and made again (a channel of the same name) also gets a higher epoch than streamers remember.
 */
export const claim = async (
  db: Database,
  owner: { incarnation: string; nodeId: string },
  { kinds, limit }: { kinds: readonly string[]; limit: number },
): Promise<Claim[]> => {
  const { rows } = await db.query<Claim>(
    // The row lock's recheck sees only the locked table's new row, so what makes a key free is decided before, and the
    // recheck compares the owner of then: else a key that a peer claimed a moment ago would be taken from it.
    `with free as materialized (
       select kind, key, incarnation from actor_placement p where kind = any($3)
         and not exists (select from actor_node n where n.incarnation = p.incarnation)),
     locked as (
       select p.kind, p.key from actor_placement p join free using (kind, key)
       where p.incarnation is not distinct from free.incarnation
       order by md5(p.key || $2) limit $4 for update of p skip locked)
     update actor_placement p set node_id = $2, incarnation = $1, claimed_at = clock_timestamp(),
       lease_epoch = greatest(p.lease_epoch + 1, extract(epoch from clock_timestamp())::bigint)
     from locked where p.kind = locked.kind and p.key = locked.key
       and exists (select from actor_node n where n.incarnation = $1 and n.lease_until > now() and not n.draining)
     returning p.kind, p.key, p.lease_epoch as "leaseEpoch"`,
    [owner.incarnation, owner.nodeId, kinds, limit],
  );
  return rows;
};

/** What this incarnation owns by the table. */
export const readMine = async (db: Database, incarnation: string): Promise<Claim[]> => {
  const { rows } = await db.query<Claim>(
    `select kind, key, lease_epoch as "leaseEpoch" from actor_placement where incarnation = $1`,
    [incarnation],
  );
  return rows;
};

/** Gives one key back, so that another node may claim it. */
export const release = async (db: Database, incarnation: string, { kind, key }: Claim): Promise<void> => {
  await db.query(
    `with freed as (update actor_placement set node_id = null, incarnation = null
       where kind = $1 and key = $2 and incarnation = $3 returning 1)
     select pg_notify('${WAKE_CHANNEL}', '') from freed`,
    [kind, key, incarnation],
  );
};

/** From now on this node claims nothing, and peers count without it. */
export const markDraining = async (db: Database, incarnation: string): Promise<void> => {
  await db.query("update actor_node set draining = true where incarnation = $1", [incarnation]);
};
/** Of an incarnation that is known to have ended: its keys need not wait for its lease. */
export const removeNode = async (db: Database, incarnation: string): Promise<void> => {
  await db.query("delete from actor_node where incarnation = $1", [incarnation]);
};
