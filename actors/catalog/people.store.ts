/** All SQL of `person` and `credit`. Each function runs in the caller's transaction. */
import type { Tx } from "../../lib/db/database.ts";

export interface PersonRow {
  readonly id: string;
  readonly tmdbId: number | null;
  readonly name: string;
  readonly biography: string | null;
  readonly bornOn: string | null;
  readonly diedOn: string | null;
  readonly birthplace: string | null;
  readonly department: string | null;
  /** The last part of its key in the bucket thumbnails. */
  readonly picture: string | null;
  readonly manualFields: string[];
  readonly detailedAt: Date | null;
  readonly version: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}
/** Where a row stands in lists. */
export interface PersonPlace {
  readonly nameKey: string;
  readonly id: string;
}
/** What of a person can be changed. */
export type PersonFields = Pick<
  PersonRow,
  "tmdbId" | "name" | "biography" | "bornOn" | "diedOn" | "birthplace" | "department" | "picture"
>;
export interface RoleRow {
  readonly kind: "cast" | "crew";
  readonly character: string | null;
  readonly department: string | null;
  readonly job: string | null;
}
export interface CreditRow extends RoleRow {
  readonly id: string;
  readonly personId: string;
  readonly name: string;
  readonly picture: string | null;
  readonly order: number;
  readonly source: "tmdb" | "manual";
}
/** Where a title stands in a filmography; without a year at its end. */
export interface FilmPlace {
  readonly year: number | null;
  readonly sortKey: string;
  readonly id: string;
}
export interface FilmRow extends FilmPlace {
  readonly name: string;
  readonly kind: string;
  readonly state: string;
  readonly roles: readonly RoleRow[];
}

const PERSON = `id, tmdb_id as "tmdbId", name, biography, born_on as "bornOn", died_on as "diedOn", birthplace,
  department, picture, manual_fields as "manualFields", detailed_at as "detailedAt", version,
  created_at as "createdAt", updated_at as "updatedAt"`;

/** Ordered by name; `starts`: a pattern per word. */
export const personPage = async (
  tx: Tx,
  of: { readonly words: readonly string[]; readonly after: PersonPlace | null; readonly rowCount: number },
): Promise<(PersonRow & PersonPlace)[]> => {
  const starts = of.words.map((word) => `% ${word.replace(/[%_\\]/g, "\\$&")}%`);
  const { rows } = await tx.query<PersonRow & PersonPlace>(
    `select ${PERSON}, name_key as "nameKey" from person
     where (' ' || name_key) like all ($1::text[])
       and ($3::uuid is null or (name_key, id) > ($2 collate "C", $3))
     order by name_key, id limit $4`,
    [starts, of.after?.nameKey ?? null, of.after?.id ?? null, of.rowCount],
  );
  return rows;
};

/** Those of these ids that are people of the transaction's tenant. */
export const peopleKnown = async (tx: Tx, ids: readonly string[]): Promise<string[]> =>
  (await tx.query<{ id: string }>("select id from person where id = any ($1::uuid[])", [ids])).rows.map(({ id }) => id);

/** Holds the person until the transaction ends; false: there is none. */
export const holdPerson = async (tx: Tx, id: string): Promise<boolean> =>
  (await tx.query("select from person where id = $1 for key share", [id])).rowCount === 1;

export const readPerson = async (tx: Tx, id: string): Promise<PersonRow | undefined> =>
  (await tx.query<PersonRow>(`select ${PERSON} from person where id = $1`, [id])).rows[0];

/** In one order, so that two merges never wait for each other. */
export const lockPeople = async (tx: Tx, ids: readonly string[]): Promise<PersonRow[]> =>
  (await tx.query<PersonRow>(`select ${PERSON} from person where id = any ($1::uuid[]) order by id for update`, [ids]))
    .rows;

export const personByTmdbId = async (tx: Tx, tmdbId: number): Promise<PersonRow | undefined> =>
  (await tx.query<PersonRow>(`select ${PERSON} from person where tmdb_id = $1`, [tmdbId])).rows[0];

/** Undefined: another one has the id of the metadata service. */
export const insertPerson = async (
  tx: Tx,
  person: {
    readonly id: string;
    readonly tenantId: string;
    readonly nameKey: string;
    readonly fields: PersonFields;
    readonly manualFields: readonly string[];
  },
): Promise<PersonRow | undefined> => {
  const { fields } = person;
  const { rows } = await tx.query<PersonRow>(
    `insert into person (id, tenant_id, name_key, manual_fields, tmdb_id, name, biography, born_on, died_on, birthplace,
       department, picture)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
     on conflict (tenant_id, tmdb_id) do nothing returning ${PERSON}`,
    [
      ...[person.id, person.tenantId, person.nameKey, person.manualFields, fields.tmdbId, fields.name],
      ...[fields.biography, fields.bornOn, fields.diedOn, fields.birthplace, fields.department, fields.picture],
    ],
  );
  return rows[0];
};

export const updatePerson = async (
  tx: Tx,
  person: {
    readonly id: string;
    readonly nameKey: string;
    readonly fields: PersonFields;
    readonly manualFields: readonly string[];
    readonly detailed?: boolean;
  },
): Promise<PersonRow> => {
  const { fields } = person;
  const { rows } = await tx.query<PersonRow>(
    `update person set name_key = $2, manual_fields = $3, tmdb_id = $4, name = $5, biography = $6, born_on = $7,
       died_on = $8, birthplace = $9, department = $10, picture = $11, version = version + 1, updated_at = now(),
       detailed_at = case when $12 then now() else detailed_at end
     where id = $1 returning ${PERSON}`,
    [
      ...[person.id, person.nameKey, person.manualFields, fields.tmdbId, fields.name, fields.biography],
      ...[fields.bornOn, fields.diedOn, fields.birthplace, fields.department, fields.picture],
      person.detailed ?? false,
    ],
  );
  return rows[0]!; // the caller holds its lock
};

export const deletePerson = async (tx: Tx, id: string): Promise<void> => {
  await tx.query("delete from person where id = $1", [id]);
};

/** Found elsewhere, untouched by anybody here, and in no title. */
const FORGOTTEN = `tmdb_id is not null and manual_fields = '{}'
  and not exists (select from credit where credit.person_id = person.id)`;

/**
 * Deletes at most so many of them and gives who went. Two statements: who was given a credit while the first one waited
 * for the lock is seen by the second alone, and the credit would go along with the person.
 */
export const deleteForgotten = async (
  tx: Tx,
  rowCount: number,
): Promise<{ readonly id: string; readonly picture: string | null }[]> => {
  const locked = await tx.query<{ id: string }>(
    `select id from person where ${FORGOTTEN} order by id limit $1 for update`,
    [rowCount],
  );
  const { rows } = await tx.query<{ id: string; picture: string | null }>(
    `delete from person where id = any($1::uuid[]) and ${FORGOTTEN} returning id, picture`,
    [locked.rows.map(({ id }) => id)],
  );
  return rows;
};

/** All that one has becomes the other's; what both have of one title stays once. */
export const moveCredits = async (tx: Tx, from: string, to: string): Promise<void> => {
  await tx.query(
    `delete from credit c using credit kept
     where c.person_id = $1 and kept.person_id = $2 and kept.title_id = c.title_id and kept.kind = c.kind
       and kept.character is not distinct from c.character and kept.job is not distinct from c.job`,
    [from, to],
  );
  await tx.query("update credit set person_id = $2 where person_id = $1", [from, to]);
};

/** Newest title first. Row security holds it to the transaction's tenant, whoever asks for whom. */
export const filmPage = async (
  tx: Tx,
  personId: string,
  of: { readonly after: FilmPlace | null; readonly rowCount: number },
): Promise<FilmRow[]> =>
  (
    await tx.query<FilmRow>(
      `select t.id, t.name, t.kind, t.state, t.year, t.sort_key as "sortKey",
         (select json_agg(json_build_object('kind', c.kind, 'character', c.character, 'department', c.department,
             'job', c.job) order by c.kind, c.place, c.id)
           from credit c where c.tenant_id = t.tenant_id and c.title_id = t.id and c.person_id = $1) as roles
       from title t
       where t.deleted_at is null
         and exists (select from credit c where c.tenant_id = t.tenant_id and c.title_id = t.id and c.person_id = $1)
         and ($4::uuid is null or (-coalesce(t.year, 0), t.sort_key, t.id) > (-$2::int, $3 collate "C", $4))
       order by -coalesce(t.year, 0), t.sort_key, t.id limit $5`,
      [personId, of.after?.year ?? 0, of.after?.sortKey ?? "", of.after?.id ?? null, of.rowCount],
    )
  ).rows;

const CREDIT = `c.id, c.person_id as "personId", p.name, p.picture, c.kind, c.character, c.department, c.job,
  c.place as "order", c.source`;
const CREDITS = `select ${CREDIT} from credit c join person p on p.tenant_id = c.tenant_id and p.id = c.person_id`;

const IN_ORDER = "order by c.kind, c.place, c.id";
export const creditsOf = async (tx: Tx, titleId: string): Promise<CreditRow[]> =>
  (await tx.query<CreditRow>(`${CREDITS} where c.title_id = $1 ${IN_ORDER}`, [titleId])).rows;

/** Where a credit stands in the list of its title's. */
export type CreditPlace = Pick<CreditRow, "kind" | "order" | "id">;

export const creditPage = async (
  tx: Tx,
  titleId: string,
  { after, rowCount }: { readonly after: CreditPlace | null; readonly rowCount: number },
): Promise<CreditRow[]> =>
  (
    await tx.query<CreditRow>(
      `${CREDITS} where c.title_id = $1 and ($2::text is null or (c.kind, c.place, c.id) > ($2, $3::int, $4::uuid))
       ${IN_ORDER} limit $5`,
      [titleId, after?.kind ?? null, after?.order ?? null, after?.id ?? null, rowCount],
    )
  ).rows;

export interface NewCredit extends RoleRow {
  readonly id: string;
  readonly personId: string;
  readonly order: number;
}
export interface CreditsOf {
  readonly tenantId: string;
  readonly titleId: string;
  readonly source: "tmdb" | "manual";
}
export const insertCredits = async (tx: Tx, of: CreditsOf, credits: readonly NewCredit[]): Promise<void> => {
  await tx.query(
    `insert into credit (id, tenant_id, title_id, source, person_id, kind, character, department, job, place)
     select id, $1, $2, $3, person_id, kind, character, department, job, place
     from unnest($4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::int[])
       as new (id, person_id, kind, character, department, job, place)`,
    [
      ...[of.tenantId, of.titleId, of.source, credits.map(({ id }) => id), credits.map(({ personId }) => personId)],
      ...[credits.map(({ kind }) => kind), credits.map(({ character }) => character)],
      ...[
        credits.map(({ department }) => department),
        credits.map(({ job }) => job),
        credits.map(({ order }) => order),
      ],
    ],
  );
};
export const readCredit = async (tx: Tx, id: string): Promise<CreditRow | undefined> =>
  (await tx.query<CreditRow>(`${CREDITS} where c.id = $1`, [id])).rows[0];

export const deleteCredit = async (tx: Tx, titleId: string, creditId: string): Promise<boolean> =>
  (await tx.query("delete from credit where title_id = $1 and id = $2", [titleId, creditId])).rowCount === 1;
export const deleteFoundCredits = async (tx: Tx, titleId: string): Promise<void> => {
  await tx.query("delete from credit where title_id = $1 and source = 'tmdb'", [titleId]);
};

export const hasTitle = async (tx: Tx, titleId: string): Promise<boolean> =>
  (await tx.query("select from title where id = $1 and deleted_at is null", [titleId])).rowCount === 1;

/** Those of the metadata service's ids that are known, and namesakes on this title that have none yet. */
export const knownPeople = async (
  tx: Tx,
  of: { readonly titleId: string; readonly tmdbIds: readonly number[] },
): Promise<{ id: string; tmdbId: number | null; nameKey: string }[]> =>
  (
    await tx.query<{ id: string; tmdbId: number | null; nameKey: string }>(
      `select id, tmdb_id as "tmdbId", name_key as "nameKey" from person
       where tmdb_id = any ($2::int[])
         or (tmdb_id is null and id in (select person_id from credit where title_id = $1))
       order by id for update`,
      [of.titleId, of.tmdbIds],
    )
  ).rows;

export const adoptTmdbId = async (tx: Tx, id: string, tmdbId: number): Promise<void> => {
  await tx.query(
    `update person set tmdb_id = $2, version = version + 1, updated_at = now()
     where id = $1 and not 'tmdbId' = any (manual_fields)`,
    [id, tmdbId],
  );
};

/** Of a title's people, those of whom nothing but the name was asked for, the most important ones first. */
export const peopleWithoutDetails = async (
  tx: Tx,
  titleId: string,
  rowCount: number,
): Promise<{ id: string; tmdbId: number }[]> =>
  (
    await tx.query<{ id: string; tmdbId: number }>(
      `select p.id, p.tmdb_id as "tmdbId" from person p
       join (select person_id, min(place + case kind when 'cast' then 0 else 5 end) as rank
             from credit where title_id = $1 group by 1) c on c.person_id = p.id
       where p.tmdb_id is not null and (p.detailed_at is null or p.detailed_at < now() - interval '30 days')
       order by c.rank, p.id limit $2`,
      [titleId, rowCount],
    )
  ).rows;
