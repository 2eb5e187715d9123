/** All SQL of `title_enrichment` and `enrichment_settings`. Each function runs in the caller's transaction. */
import type { Candidate } from "../../contracts/artwork.ts";
import type { Tx } from "../../lib/db/database.ts";

export type EnrichmentState = "waiting" | "matched" | "unsure" | "unmatched" | "failed";
export interface EnrichmentRow {
  readonly state: EnrichmentState;
  readonly candidates: readonly Candidate[];
  readonly tmdbId: number | null;
  readonly byHand: boolean;
  readonly language: string | null;
  readonly error: string | null;
  readonly refreshedAt: Date | null;
  readonly version: number;
}
export interface TitleOf {
  readonly tenantId: string;
  readonly titleId: string;
}

const ENRICHMENT = `state, candidates, tmdb_id as "tmdbId", by_hand as "byHand", language, error,
  refreshed_at as "refreshedAt", version`;

export const hasTitle = async (tx: Tx, titleId: string): Promise<boolean> =>
  (await tx.query("select from title where id = $1 and deleted_at is null", [titleId])).rowCount === 1;

export const readEnrichment = async (tx: Tx, titleId: string): Promise<EnrichmentRow | undefined> =>
  (await tx.query<EnrichmentRow>(`select ${ENRICHMENT} from title_enrichment where title_id = $1`, [titleId])).rows[0];

export const lockEnrichment = async (tx: Tx, titleId: string): Promise<EnrichmentRow | undefined> =>
  (
    await tx.query<EnrichmentRow>(`select ${ENRICHMENT} from title_enrichment where title_id = $1 for update`, [
      titleId,
    ])
  ).rows[0];

/** It is looked up, or read again. `tmdbId`: a person says which one it is; the language stays where none is given. */
export const askEnrichment = async (
  tx: Tx,
  of: TitleOf,
  { tmdbId, language }: { readonly tmdbId: number | null; readonly language: string | null },
): Promise<void> => {
  await tx.query(
    `insert into title_enrichment as e (title_id, tenant_id, state, tmdb_id, by_hand, language)
     values ($1, $2, 'waiting', $3, $3::int is not null, $4)
     on conflict (title_id) do update set state = 'waiting', error = null, updated_at = now(),
       version = e.version + 1, tmdb_id = coalesce(excluded.tmdb_id, e.tmdb_id),
       by_hand = e.by_hand or excluded.by_hand,
       language = coalesce(excluded.language, e.language)`,
    [of.titleId, of.tenantId, tmdbId, language],
  );
};

export interface Outcome {
  readonly state: EnrichmentState;
  readonly candidates: readonly Candidate[];
  readonly tmdbId: number | null;
  readonly error: string | null;
}
export const setOutcome = async (tx: Tx, titleId: string, outcome: Outcome): Promise<void> => {
  await tx.query(
    `update title_enrichment set state = $2, candidates = $3, tmdb_id = $4, error = $5, updated_at = now(),
       version = version + 1,
       refreshed_at = case when $2 = 'matched' then now() else refreshed_at end
     where title_id = $1`,
    [titleId, outcome.state, JSON.stringify(outcome.candidates), outcome.tmdbId, outcome.error],
  );
};

/** It did not work; `final`: and is not tried again by itself. */
export const setError = async (
  tx: Tx,
  titleId: string,
  { error, final }: { readonly error: string; readonly final: boolean },
): Promise<void> => {
  await tx.query(
    `update title_enrichment set error = $2, updated_at = now(), version = version + 1,
       state = case when $3 then 'failed' else state end
     where title_id = $1`,
    [titleId, error, final],
  );
};

export interface SettingsRow {
  /** Null: none is set. */
  readonly language: string | null;
  readonly version: number;
}
const UNSET: SettingsRow = { language: null, version: 1 };

/** Of the transaction's tenant. */
export const readSettings = async (tx: Tx): Promise<SettingsRow> =>
  (await tx.query<SettingsRow>("select language, version from enrichment_settings")).rows[0] ?? UNSET;

/** Undefined: it has another version than `ifVersion` by now. */
export const writeSettings = async (
  tx: Tx,
  tenantId: string,
  { language, ifVersion }: { readonly language: string | null; readonly ifVersion: number | undefined },
): Promise<SettingsRow | undefined> =>
  (
    await tx.query<SettingsRow>(
      `insert into enrichment_settings as s (tenant_id, language) values ($1, $2)
       on conflict (tenant_id) do update set language = excluded.language, version = s.version + 1, updated_at = now()
       where $3::int is null or s.version = $3 returning language, version`,
      [tenantId, language, ifVersion ?? null],
    )
  ).rows[0];

/** In which a title is looked up: its own, that of its series, the tenant's, English. */
export const languageOf = async (tx: Tx, ...wished: readonly (string | null | undefined)[]): Promise<string> =>
  wished.find((one) => one != null) ?? (await readSettings(tx)).language ?? "en";

/** A series' seasons, a season's episodes. */
export const partsOf = async (tx: Tx, titleId: string): Promise<string[]> =>
  (
    await tx.query<{ titleId: string }>(
      `select title_id as "titleId" from title_child where parent_id = $1 and live order by number limit 1000`,
      [titleId],
    )
  ).rows.map((row) => row.titleId);
