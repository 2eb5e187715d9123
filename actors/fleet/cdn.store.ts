/** All SQL of CDN customers' configurations, outside of tenants: `cdn_signing_key`, `cdn_config`, `cdn_config_ack`. */
import type { FieldError } from "../../contracts/errors.ts";
import type { SigningPair } from "../../lib/crypto/ed25519.ts";
import type { Tx } from "../../lib/db/database.ts";

export interface ConfigRow {
  readonly revision: number;
  /** A PublishedConfig as JSON. */
  readonly document: string;
  readonly signature: string;
  readonly rollbackOf: number | null;
  readonly publishedAt: Date;
}
export type RevisionRow = Omit<ConfigRow, "document" | "signature">;
export interface AckRow {
  readonly id: number;
  readonly nodeId: string;
  readonly revision: number;
  readonly applied: boolean;
  readonly errors: FieldError[];
  readonly acknowledgedAt: Date;
}

const REVISION = `revision, rollback_of as "rollbackOf", published_at as "publishedAt"`;
const CONFIG = `select ${REVISION}, document, signature from cdn_config`;
const KEY = `select private_key as "privateKey", public_key as "publicKey" from cdn_signing_key`;

/** The one key; the first to ask makes it. */
export const signingPair = async (tx: Tx, make: () => SigningPair): Promise<SigningPair> => {
  const found = async () => (await tx.query<SigningPair>(KEY)).rows[0];
  const known = await found();
  if (known) return known;
  const { privateKey, publicKey } = make();
  await tx.query("insert into cdn_signing_key (private_key, public_key) values ($1, $2) on conflict do nothing", [
    privateKey,
    publicKey,
  ]);
  return (await found())!; // there is one now, whoever inserted it
};

/** Held until the transaction ends: revisions are made one after the other. The key is there. */
export const lockConfigs = async (tx: Tx): Promise<void> => {
  await tx.query("select from cdn_signing_key for update");
};

export const newestConfig = async (tx: Tx): Promise<ConfigRow | undefined> =>
  (await tx.query<ConfigRow>(`${CONFIG} order by revision desc limit 1`)).rows[0];

/** The newest where it is newer than this one. */
export const configAfter = async (tx: Tx, revision: number): Promise<ConfigRow | undefined> =>
  (await tx.query<ConfigRow>(`${CONFIG} where revision > $1 order by revision desc limit 1`, [revision])).rows[0];

export const configOf = async (tx: Tx, revision: number): Promise<ConfigRow | undefined> =>
  (await tx.query<ConfigRow>(`${CONFIG} where revision = $1`, [revision])).rows[0];

/** Newest first. */
export const revisions = async (tx: Tx): Promise<RevisionRow[]> =>
  (await tx.query<RevisionRow>(`select ${REVISION} from cdn_config order by revision desc`)).rows;

export const addConfig = async (tx: Tx, row: ConfigRow): Promise<void> => {
  await tx.query(
    "insert into cdn_config (revision, document, signature, rollback_of, published_at) values ($1, $2, $3, $4, $5)",
    [row.revision, row.document, row.signature, row.rollbackOf, row.publishedAt],
  );
};

/** Keeps the newest ones. */
export const dropOldConfigs = async (tx: Tx, keptCount: number): Promise<void> => {
  await tx.query(
    `delete from cdn_config
     where revision <= (select revision from cdn_config order by revision desc offset $1 limit 1)`,
    [keptCount],
  );
};

/** The last word of a node on a revision; none on a revision that is not there. */
export const setAck = async (tx: Tx, ack: Omit<AckRow, "id">): Promise<void> => {
  await tx.query(
    `insert into cdn_config_ack (revision, node_id, applied, errors, acknowledged_at)
     select revision, $2, $3, $4, $5 from cdn_config where revision = $1 for key share
     on conflict (revision, node_id) do update
     set applied = excluded.applied, errors = excluded.errors, acknowledged_at = excluded.acknowledged_at`,
    [ack.revision, ack.nodeId, ack.applied, JSON.stringify(ack.errors), ack.acknowledgedAt],
  );
};

/** `revision` null: of all. */
export const acks = async (
  tx: Tx,
  { revision, afterId, limit }: { revision: number | null; afterId: number; limit: number },
): Promise<AckRow[]> =>
  (
    await tx.query<AckRow>(
      `select id, node_id as "nodeId", revision, applied, errors, acknowledged_at as "acknowledgedAt"
       from cdn_config_ack where id > $1 and ($2::bigint is null or revision = $2) order by id limit $3`,
      [afterId, revision, limit],
    )
  ).rows;
