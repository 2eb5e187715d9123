/** What the metadata service knows of a film or series, in the words of the catalog: pure. */
import type { Title, TitlePatch } from "../../contracts/catalog.ts";
import type { Episode, Movie, Picture, Season, Tv } from "../../lib/tmdb/tmdb.ts";
import type { FoundArtwork } from "./artwork.ts";

/** A genre as the catalog will have it. */
export interface FoundGenre {
  readonly slug: string;
  readonly name: string;
}
export interface FoundTitle {
  readonly patch: TitlePatch;
  readonly genres: readonly FoundGenre[];
  readonly artwork: readonly FoundArtwork[];
}

const NAME_MAX = 500;
const DESCRIPTION_MAX = 10_000;
const TRANSLATIONS_MAX = 60;
const GENRES_MAX = 20;
const PICTURES_MAX = 12; // of each kind

const cut = (text: string | null, max: number): string | null => {
  const trimmed = text?.trim().slice(0, max).trim() ?? "";
  return trimmed === "" ? null : trimmed;
};
/** What is not known leaves the field as it is. */
const known = <T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
const yearOf = (date: string | null): number | null => {
  const year = date === null ? Number.NaN : Number(date.slice(0, 4));
  return year >= 1850 && year <= 2200 ? year : null;
};

export const genreOf = (name: string): FoundGenre => ({
  name: name.slice(0, 200),
  slug:
    name
      .normalize("NFKD")
      .replace(/\p{M}/gu, "")
      .toLowerCase()
      .replace(/&/g, " and ")
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 80)
      .replace(/-$/, "") || "other",
});

/** From what age on, by system. */
const AGES: Readonly<Record<string, readonly [system: string, ages: Readonly<Record<string, number>>]>> = {
  US: [
    "MPA",
    {
      G: 0,
      PG: 8,
      "PG-13": 13,
      R: 17,
      "NC-17": 18,
      "TV-Y": 0,
      "TV-G": 0,
      "TV-Y7": 7,
      "TV-PG": 10,
      "TV-14": 14,
      "TV-MA": 17,
    },
  ],
  GB: ["BBFC", { U: 0, PG: 8, "12": 12, "12A": 12, "15": 15, "18": 18 }],
  DE: ["FSK", { "0": 0, "6": 6, "12": 12, "16": 16, "18": 18 }],
  FR: ["CNC", { U: 0, TP: 0, "10": 10, "12": 12, "16": 16, "18": 18 }],
  NL: ["Kijkwijzer", { AL: 0, "6": 6, "9": 9, "12": 12, "14": 14, "16": 16, "18": 18 }],
};
const ratingOf = (country: string, certification: string | null): Title["ratings"] => {
  const [system, ages] = AGES[country] ?? [];
  const age = certification === null ? undefined : ages?.[certification];
  if (system === undefined || certification === null || age === undefined) return [];
  return [{ country, system: certification.startsWith("TV-") ? "TVPG" : system, certification, age }];
};

type Translations = NonNullable<Movie["translations"]>["translations"];
/** The first of a language has its name alone: `pt`, then `pt-BR`. Its own language is in the fields themselves. */
const translationsOf = (translations: Translations, language: string): TitlePatch["translations"] => {
  const found: Record<string, { name?: string; description?: string; tagline?: string }> = {};
  for (const { iso_639_1: code, iso_3166_1: country, data } of translations.slice(0, TRANSLATIONS_MAX)) {
    if (!/^[a-z]{2}$/.test(code) || code === language.slice(0, 2)) continue;
    const texts = known({
      name: cut(data.title ?? data.name, NAME_MAX),
      description: cut(data.overview, DESCRIPTION_MAX),
      tagline: cut(data.tagline, NAME_MAX),
    });
    const key = code in found && country !== null && /^[A-Z]{2}$/.test(country) ? `${code}-${country}` : code;
    if (Object.keys(texts).length > 0 && !(key in found)) found[key] = texts;
  }
  return found;
};

const artworkOf = (
  kind: FoundArtwork["kind"],
  pictures: readonly Picture[],
  mainPath: string | null,
): FoundArtwork[] => {
  const best = [...pictures]
    // A drawing may hold a script: none is shown.
    .filter(({ file_path: path }) => !path.endsWith(".svg"))
    .sort((a, b) => Number(b.file_path === mainPath) - Number(a.file_path === mainPath))
    .slice(0, PICTURES_MAX)
    .map(({ file_path: origin, iso_639_1: language, width, height }, place) => ({
      ...{ kind, origin, width, height, place, language: /^[a-z]{2}$/.test(language ?? "") ? language! : "" },
    }));
  const hasMain = mainPath === null || best.some(({ origin }) => origin === mainPath);
  return hasMain ? best : [{ kind, origin: mainPath, width: null, height: null, place: 0, language: "" }, ...best];
};

const commonOf = (work: Movie | Tv, language: string) => {
  const { images } = work;
  const imdb = work.external_ids?.imdb_id ?? null;
  return {
    genres: work.genres.slice(0, GENRES_MAX).map(({ name }) => genreOf(name)),
    artwork: [
      ...artworkOf("poster", images?.posters ?? [], work.poster_path),
      ...artworkOf("backdrop", images?.backdrops ?? [], work.backdrop_path),
      ...artworkOf("logo", images?.logos ?? [], null),
    ],
    patch: {
      ...known({ description: cut(work.overview, DESCRIPTION_MAX), tagline: cut(work.tagline, NAME_MAX) }),
      externalIds: { tmdb: String(work.id), ...(imdb === null ? {} : { imdb: imdb.slice(0, 200) }) },
      translations: translationsOf(work.translations?.translations ?? [], language),
      ...(work.original_language !== null && /^[a-z]{2}$/.test(work.original_language)
        ? { languages: [work.original_language] }
        : {}),
    } satisfies TitlePatch,
  };
};
const slugsOf = (genres: readonly FoundGenre[]): { genres?: string[] } =>
  genres.length === 0 ? {} : { genres: [...new Set(genres.map(({ slug }) => slug))] };

export const movieFields = (movie: Movie, language: string): FoundTitle => {
  const { genres, artwork, patch } = commonOf(movie, language);
  const ratings = (movie.release_dates?.results ?? []).flatMap(({ iso_3166_1: country, release_dates: releases }) =>
    ratingOf(country, releases.find(({ certification }) => certification !== null)?.certification ?? null),
  );
  const fields = known({
    name: cut(movie.title, NAME_MAX),
    originalName: cut(movie.original_title, NAME_MAX),
    year: yearOf(movie.release_date),
    releaseDate: movie.release_date,
    runtimeSeconds: movie.runtime !== null && movie.runtime > 0 ? Math.round(movie.runtime * 60) : null,
  });
  const rated = ratings.length === 0 ? {} : { ratings };
  return { genres, artwork, patch: { ...patch, ...fields, ...rated, ...slugsOf(genres) } };
};

export const seriesFields = (series: Tv, language: string): FoundTitle => {
  const { genres, artwork, patch } = commonOf(series, language);
  const ratings = (series.content_ratings?.results ?? []).flatMap(({ iso_3166_1: country, rating }) =>
    ratingOf(country, rating),
  );
  const fields = known({
    name: cut(series.name, NAME_MAX),
    originalName: cut(series.original_name, NAME_MAX),
    year: yearOf(series.first_air_date),
    releaseDate: series.first_air_date,
  });
  const rated = ratings.length === 0 ? {} : { ratings };
  return { genres, artwork, patch: { ...patch, ...fields, ...rated, ...slugsOf(genres) } };
};

const only = (kind: FoundArtwork["kind"], path: string | null): FoundArtwork[] => artworkOf(kind, [], path);

export const seasonFields = (season: Season): FoundTitle => ({
  genres: [],
  artwork: only("poster", season.poster_path),
  patch: {
    ...known({ name: cut(season.name, NAME_MAX), description: cut(season.overview, DESCRIPTION_MAX) }),
    ...known({ year: yearOf(season.air_date), releaseDate: season.air_date }),
    externalIds: { tmdb: String(season.id) },
  },
});
export const episodeFields = (episode: Episode): FoundTitle => ({
  genres: [],
  artwork: only("still", episode.still_path),
  patch: {
    ...known({ name: cut(episode.name, NAME_MAX), description: cut(episode.overview, DESCRIPTION_MAX) }),
    ...known({ year: yearOf(episode.air_date), releaseDate: episode.air_date }),
    ...known({
      runtimeSeconds: episode.runtime !== null && episode.runtime > 0 ? Math.round(episode.runtime * 60) : null,
    }),
    externalIds: { tmdb: String(episode.id) },
  },
});
