/** All SQL of the table `artwork`. Each function runs in the caller's transaction. */
import type { ARTWORK_KINDS } from "../../contracts/artwork.ts";
import type { Tx } from "../../lib/db/database.ts";

export type ArtworkKind = (typeof ARTWORK_KINDS)[number];
export interface ArtworkRow {
  readonly id: string;
  readonly kind: ArtworkKind;
  /** Empty: none. */
  readonly language: string;
  readonly source: "tmdb" | "frame" | "manual";
  readonly origin: string;
  readonly place: number;
  readonly width: number | null;
  readonly height: number | null;
  readonly objectName: string | null;
  readonly chosen: boolean;
  readonly chosenByHand: boolean;
  readonly createdAt: Date;
}
export interface TitleOf {
  readonly tenantId: string;
  readonly titleId: string;
}

const ARTWORK = `id, kind, language, source, origin, place, width, height, object_name as "objectName", chosen,
  chosen_by_hand as "chosenByHand", created_at as "createdAt"`;

export const hasTitle = async (tx: Tx, titleId: string): Promise<boolean> =>
  (await tx.query("select from title where id = $1 and deleted_at is null", [titleId])).rowCount === 1;

/** Holds the title until the transaction ends: of two choices at once the later one stays. */
export const lockTitle = async (tx: Tx, titleId: string): Promise<boolean> =>
  (await tx.query("select from title where id = $1 and deleted_at is null for key share", [titleId])).rowCount === 1;

export const artworkOf = async (tx: Tx, titleId: string): Promise<ArtworkRow[]> =>
  (
    await tx.query<ArtworkRow>(
      `select ${ARTWORK} from artwork where title_id = $1 order by kind, chosen desc, language, source, place, id`,
      [titleId],
    )
  ).rows;

/** Where a picture stands in the list of its title's. */
export type ArtworkPlace = Pick<ArtworkRow, "kind" | "chosen" | "language" | "source" | "place" | "id">;

/** In the order of `artworkOf`; `chosenOnly`: those that are shown. */
export const artworkPage = async (
  tx: Tx,
  titleId: string,
  of: { readonly after: ArtworkPlace | null; readonly rowCount: number; readonly chosenOnly: boolean },
): Promise<ArtworkRow[]> => {
  const { after } = of;
  const { rows } = await tx.query<ArtworkRow>(
    `select ${ARTWORK} from artwork
     where title_id = $1 and (chosen or not $2)
       and ($3::text is null
         or (kind, not chosen, language, source, place, id)
           > ($3, not $4::boolean, $5::text, $6::text, $7::int, $8::uuid))
     order by kind, chosen desc, language, source, place, id limit $9`,
    [
      ...[titleId, of.chosenOnly, after?.kind ?? null, after?.chosen ?? null, after?.language ?? null],
      ...[after?.source ?? null, after?.place ?? null, after?.id ?? null, of.rowCount],
    ],
  );
  return rows;
};

export const readArtwork = async (tx: Tx, titleId: string, id: string): Promise<ArtworkRow | undefined> =>
  (await tx.query<ArtworkRow>(`select ${ARTWORK} from artwork where title_id = $1 and id = $2`, [titleId, id])).rows[0];

export interface NewArtwork {
  readonly id: string;
  readonly kind: ArtworkKind;
  readonly language: string;
  readonly source: "tmdb" | "frame" | "manual";
  readonly origin: string;
  readonly width: number | null;
  readonly height: number | null;
  readonly place: number;
}
/** One that is known keeps its id and its object. */
export const putArtwork = async (tx: Tx, of: TitleOf, art: NewArtwork): Promise<ArtworkRow> => {
  const { rows } = await tx.query<ArtworkRow>(
    `insert into artwork (id, tenant_id, title_id, kind, language, source, origin, width, height, place)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     on conflict (tenant_id, title_id, kind, source, origin) do update set place = excluded.place
     returning ${ARTWORK}`,
    [
      ...[art.id, of.tenantId, of.titleId, art.kind, art.language, art.source, art.origin, art.width, art.height],
      art.place,
    ],
  );
  return rows[0]!; // an upsert without a condition gives its row
};

/** Candidates that are no longer offered and were never fetched. */
export const dropCandidates = async (
  tx: Tx,
  of: { readonly titleId: string; readonly source: "tmdb" | "frame"; readonly keptIds: readonly string[] },
): Promise<void> => {
  await tx.query(
    `delete from artwork where title_id = $1 and source = $2 and object_name is null and not chosen
       and not id = any ($3::uuid[])`,
    [of.titleId, of.source, of.keptIds],
  );
};

export interface StoredObject {
  readonly name: string;
  readonly sizeBytes: number;
  readonly width: number;
  readonly height: number;
}
/** False: there is no such picture any more. */
export const setObject = async (tx: Tx, id: string, object: StoredObject): Promise<boolean> => {
  const text = "update artwork set object_name = $2, size_bytes = $3, width = $4, height = $5 where id = $1";
  const { rowCount } = await tx.query(text, [id, object.name, object.sizeBytes, object.width, object.height]);
  return rowCount === 1;
};

/**
 * The one of its kind and language from now on. A choice by a person is changed by a person only. True: it was not so
 * before.
 */
export const choose = async (
  tx: Tx,
  choice: {
    readonly titleId: string;
    readonly id: string;
    readonly kind: ArtworkKind;
    readonly language: string;
    readonly byHand: boolean;
  },
): Promise<boolean> => {
  const of = [choice.titleId, choice.kind, choice.language];
  const held = await tx.query(
    "select from artwork where title_id = $1 and kind = $2 and language = $3 and chosen and chosen_by_hand for update",
    of,
  );
  if (held.rowCount > 0 && !choice.byHand) return false;
  // A frame that nobody chose stands in for posters only until there is one, of whatever language.
  await tx.query(
    `update artwork set chosen = false, chosen_by_hand = false
     where title_id = $1 and kind = $2 and chosen and id <> $4
       and (language = $3 or (source = 'frame' and not chosen_by_hand))`,
    [...of, choice.id],
  );
  const { rowCount } = await tx.query(
    `update artwork set chosen = true, chosen_by_hand = $2, language = $3
     where id = $1 and (chosen, chosen_by_hand, language) is distinct from (true, $2::boolean, $3::text)`,
    [choice.id, choice.byHand, choice.language],
  );
  return rowCount === 1;
};

export const deleteArtwork = async (tx: Tx, titleId: string, id: string): Promise<ArtworkRow | undefined> =>
  (
    await tx.query<ArtworkRow>(`delete from artwork where title_id = $1 and id = $2 returning ${ARTWORK}`, [
      titleId,
      id,
    ])
  ).rows[0];

/** Whether another picture of the title has the same bytes. */
export const isUsed = async (tx: Tx, titleId: string, objectName: string): Promise<boolean> =>
  (await tx.query("select from artwork where title_id = $1 and object_name = $2", [titleId, objectName])).rowCount > 0;
