/**
 * All SQL of the tables `playback_session` and `playback_revocation`. Each function runs in the caller's transaction:
 * of sessions a tenant's, of revocations nobody's.
 */
import type { SESSION_STATES } from "../../contracts/playback.ts";
import type { Revocation } from "../../lib/crypto/revocations.ts";
import type { Tx } from "../../lib/db/database.ts";

export interface SessionRow {
  readonly id: string;
  readonly tenantId: string;
  readonly titleId: string;
  readonly ownerTenantId: string;
  readonly viewer: string | null;
  readonly address: string | null;
  readonly country: string | null;
  readonly maxHeight: number | null;
  readonly isPublic: boolean;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly lastSeenAt: Date | null;
  readonly revokedAt: Date | null;
}
export type NewSession = Omit<SessionRow, "lastSeenAt" | "revokedAt">;

const SESSION = `id, tenant_id as "tenantId", title_id as "titleId", owner_tenant_id as "ownerTenantId", viewer,
  address, country, max_height as "maxHeight", is_public as "isPublic", created_at as "createdAt",
  expires_at as "expiresAt", last_seen_at as "lastSeenAt", revoked_at as "revokedAt"`;

/** All of the transaction's tenant. */
export const insertSessions = async (tx: Tx, rows: readonly NewSession[]): Promise<void> => {
  await tx.query(
    `insert into playback_session
       (id, tenant_id, title_id, owner_tenant_id, viewer, address, country, max_height, is_public, created_at,
        expires_at)
     select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::int[],
       $9::boolean[], $10::timestamptz[], $11::timestamptz[])`,
    [
      rows.map(({ id }) => id),
      rows.map(({ tenantId }) => tenantId),
      rows.map(({ titleId }) => titleId),
      rows.map(({ ownerTenantId }) => ownerTenantId),
      rows.map(({ viewer }) => viewer),
      rows.map(({ address }) => address),
      rows.map(({ country }) => country),
      rows.map(({ maxHeight }) => maxHeight),
      rows.map(({ isPublic }) => isPublic),
      rows.map(({ createdAt }) => createdAt),
      rows.map(({ expiresAt }) => expiresAt),
    ],
  );
};

export const sessionById = async (tx: Tx, id: string): Promise<SessionRow | undefined> =>
  (await tx.query<SessionRow>(`select ${SESSION} from playback_session where id = $1`, [id])).rows[0];

export interface SessionFilter {
  readonly titleId: string | undefined;
  readonly viewer: string | undefined;
  readonly state: (typeof SESSION_STATES)[number] | undefined;
}

/** What a licence allowed when a session began. */
export type SessionTerms = Pick<SessionRow, "country" | "maxHeight">;
export interface EndFilter extends Omit<SessionFilter, "state"> {
  /** Only those that began under these. */
  readonly terms?: SessionTerms;
}

export const sessionPage = async (
  tx: Tx,
  { titleId, viewer, state }: SessionFilter,
  page: { readonly afterId: string | null; readonly rowCount: number; readonly now: Date },
): Promise<SessionRow[]> =>
  (
    await tx.query<SessionRow>(
      `select ${SESSION} from playback_session
       where ($1::uuid is null or title_id = $1) and ($2::text is null or viewer = $2)
         and ($3::text is null or $3 = case when revoked_at is not null then 'revoked'
           when expires_at <= $4 then 'expired' else 'active' end)
         and ($5::uuid is null or id > $5)
       order by id limit $6`,
      [titleId ?? null, viewer ?? null, state ?? null, page.now, page.afterId, page.rowCount],
    )
  ).rows;

/** Sessions that still go on. */
export const activeSessions = async (
  tx: Tx,
  { titleId, viewer, terms }: EndFilter,
  { now, rowCount }: { readonly now: Date; readonly rowCount: number },
): Promise<{ id: string; expiresAt: Date }[]> =>
  (
    await tx.query<{ id: string; expiresAt: Date }>(
      `select id, expires_at as "expiresAt" from playback_session
       where revoked_at is null and expires_at > $1 and ($2::uuid is null or title_id = $2)
         and ($3::text is null or viewer = $3)
         and ($5 or (country, max_height) is not distinct from ($6::text, $7::int))
       order by id limit $4`,
      [
        ...[now, titleId ?? null, viewer ?? null, rowCount],
        ...[terms === undefined, terms?.country ?? null, terms?.maxHeight ?? null],
      ],
    )
  ).rows;

export interface Played extends SessionTerms {
  readonly titleId: string;
}
/** Titles of another tenant that viewers of the transaction's tenant play, and under which terms. */
export const titlesPlayedOf = async (tx: Tx, ownerTenantId: string, now: Date): Promise<Played[]> =>
  (
    await tx.query<Played>(
      `select distinct title_id as "titleId", country, max_height as "maxHeight" from playback_session
       where owner_tenant_id = $1 and revoked_at is null and expires_at > $2 order by 1, 2, 3`,
      [ownerTenantId, now],
    )
  ).rows;

export const markRevoked = async (tx: Tx, ids: readonly string[], now: Date): Promise<void> => {
  await tx.query("update playback_session set revoked_at = $2 where id = any($1) and revoked_at is null", [ids, now]);
};

/** All of the transaction's tenant that were begun of a title before an instant. */
export const markTitleRevoked = async (tx: Tx, titleId: string, at: { before: Date; now: Date }): Promise<void> => {
  await tx.query(
    `update playback_session set revoked_at = $3
     where title_id = $1 and created_at < $2 and revoked_at is null and expires_at > $3`,
    [titleId, at.before, at.now],
  );
};

export const touchSessions = async (tx: Tx, seen: readonly { id: string; at: Date }[]): Promise<void> => {
  await tx.query(
    `update playback_session s set last_seen_at = greatest(s.last_seen_at, u.at)
     from unnest($1::uuid[], $2::timestamptz[]) as u (id, at) where s.id = u.id`,
    [seen.map(({ id }) => id), seen.map(({ at }) => at)],
  );
};

/** How many went. */
export const trimSessions = async (tx: Tx, before: Date, rowsMax: number): Promise<number> =>
  (
    await tx.query(
      `delete from playback_session where ctid = any(array(
         select ctid from playback_session where expires_at < $1 limit $2))`,
      [before, rowsMax],
    )
  ).rowCount;

export interface RevocationRow {
  readonly kind: "session" | "title";
  readonly id: string;
  readonly beforeAt: Date;
}

/** What is there already stays, or is brought up to the later instant; either way it counts as made now. */
export const insertRevocations = async (tx: Tx, rows: readonly NewRevocation[]): Promise<void> => {
  await tx.query(
    `insert into playback_revocation (kind, id, before_at, expires_at)
     select * from unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::timestamptz[])
     on conflict (kind, id) do update set before_at = greatest(playback_revocation.before_at, excluded.before_at),
       expires_at = greatest(playback_revocation.expires_at, excluded.expires_at), created_at = excluded.created_at`,
    [
      rows.map(({ kind }) => kind),
      rows.map(({ id }) => id),
      rows.map(({ beforeAt }) => beforeAt),
      rows.map(({ expiresAt }) => expiresAt),
    ],
  );
};

export type NewRevocation = RevocationRow & { readonly expiresAt: Date };

const seconds = (at: Date): number => Math.ceil(at.getTime() / 1_000);

/** As edges are told it. */
export const entryOf = ({ kind, id, beforeAt, expiresAt }: NewRevocation): Revocation => ({
  ...{ kind, id, beforeSeconds: seconds(beforeAt), untilSeconds: seconds(expiresAt) },
});

/** A place among revocations, in the order in which they were made. */
export interface RevocationPlace {
  /** Milliseconds since 1970, by the database's clock. */
  readonly madeMs: number;
  readonly id: string;
}
export type MadeRevocation = NewRevocation & { readonly madeAt: Date };

/** By the database's clock, as `created_at` is. */
export const databaseNowMs = async (tx: Tx): Promise<number> =>
  (await tx.query<{ now: Date }>("select now() as now")).rows[0]!.now.getTime();

/** Those behind a place that still matter, the oldest first. */
export const revocationsAfter = async (
  tx: Tx,
  { madeMs, id }: RevocationPlace,
  { now, rowCount }: { readonly now: Date; readonly rowCount: number },
): Promise<MadeRevocation[]> =>
  (
    await tx.query<MadeRevocation>(
      `select kind, id, before_at as "beforeAt", expires_at as "expiresAt", created_at as "madeAt"
       from playback_revocation where (created_at, id) > ($1, $2) and expires_at > $3
       order by created_at, id limit $4`,
      [new Date(madeMs), id, now, rowCount],
    )
  ).rows;

export const trimRevocations = async (tx: Tx, now: Date): Promise<void> => {
  await tx.query("delete from playback_revocation where expires_at <= $1", [now]);
};

/** Outside of any tenant. */
export const allTenantIds = async (tx: Tx): Promise<string[]> =>
  (await tx.query<{ id: string }>("select id from tenant order by id")).rows.map(({ id }) => id);
