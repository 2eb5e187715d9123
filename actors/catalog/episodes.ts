/** The place of an episode that came as a file: its series and its season, made where they are not there. */
import { randomUUIDv7 } from "node:crypto";
import type { EpisodePlace } from "../../contracts/episode-place.ts";
import { episodeName, seasonName } from "../../domain/media-files.ts";
import type { Tx } from "../../lib/db/database.ts";
import { lockTitle, partAt, type TitleRow, titlesById } from "./catalog.store.ts";
import { newTitle } from "./changes.ts";
import { plain } from "./fold.ts";
import { lockSeriesName, seriesNamed } from "./index.store.ts";
import { insert } from "./writing.ts";

interface Asked {
  readonly tenantId: string;
  readonly nowMs: number;
  readonly place: EpisodePlace;
  /** Of an episode that is made. */
  readonly name: string | undefined;
}

type Fields = Parameters<typeof newTitle>[1];

const made = (tx: Tx, { tenantId, nowMs }: Asked, fields: Fields): Promise<TitleRow> =>
  insert(tx, newTitle({ id: randomUUIDv7(), tenantId, nowMs }, fields));

/** With its lock; null for one that was deleted meanwhile. */
const lockedLive = async (tx: Tx, id: string | undefined): Promise<TitleRow | null> => {
  const row = id === undefined ? undefined : await lockTitle(tx, id);
  return row?.deletedAt === null ? row : null;
};

/** One of this year, else one that says no year; any, where the file says none. */
const seriesFor = async (tx: Tx, asked: Asked): Promise<TitleRow> => {
  const { series: name, seriesYear } = asked.place;
  await lockSeriesName(tx, { tenantId: asked.tenantId, name });
  const named = await titlesById(tx, await seriesNamed(tx, name));
  // Names of signs alone are all the same to the index.
  const found = named.filter((row) => plain(row.name) !== "" || row.name === name).toSorted(byAge);
  const fit =
    seriesYear === undefined
      ? found[0]
      : (found.find(({ year }) => year === seriesYear) ?? found.find(({ year }) => year === null));
  const row = await lockedLive(tx, fit?.id);
  return row ?? made(tx, asked, { kind: "series", name, year: seriesYear });
};

const byAge = (a: TitleRow, b: TitleRow): number => (a.id < b.id ? -1 : 1);

/** The part of this number, with its lock. */
const partFor = async (tx: Tx, asked: Asked, fields: Fields & { parentId: string; number: number }) =>
  (await lockedLive(tx, await partAt(tx, fields.parentId, fields.number))) ?? made(tx, asked, fields);

/** The episode at a place, with its lock. A second time it is the same one. */
export const episodeAt = async (tx: Tx, asked: Asked): Promise<TitleRow> => {
  const { season: seasonNumber, number } = asked.place;
  const { id: seriesId } = await seriesFor(tx, asked);
  const part = { parentId: seriesId, number: seasonNumber };
  const season = await partFor(tx, asked, { kind: "season", name: seasonName(seasonNumber), ...part });
  const name = asked.name?.trim() || episodeName(number);
  return partFor(tx, asked, { kind: "episode", name, parentId: season.id, number });
};
