/**
 * What is used of the answers of API version 3, by the names of its reference ("Search", "Movies: Details", "TV Series:
 * Details", "TV Seasons: Details", "People: Details", "Configuration: Details", "Append To Response", "Image Basics").
 * It leaves fields out or makes them null or empty where it knows nothing: all that is not an id may be missing.
 */
import { z } from "zod";

const text = z
  .string()
  .nullish()
  .transform((value) => (value ? value : null));
const number = z
  .number()
  .nullish()
  .transform((value) => value ?? null);
/** `1999-03-31`. */
const date = text.transform((value) => (value !== null && /^\d{4}-\d{2}-\d{2}$/.test(value) ? value : null));
/** One that does not fit is left out: the others are still of use. */
const list = <S extends z.ZodType>(item: S) =>
  z
    .array(z.unknown())
    .nullish()
    .transform((items) =>
      (items ?? []).flatMap((value): z.output<S>[] => {
        const one = item.safeParse(value);
        return one.success ? [one.data] : [];
      }),
    );
const Id = z.int().positive();

const Found = z.object({
  id: Id,
  popularity: number,
  poster_path: text,
  overview: text,
  original_language: text,
});
const FoundMovie = Found.extend({ title: z.string(), original_title: text, release_date: date });
const FoundTv = Found.extend({ name: z.string(), original_name: text, first_air_date: date });
const page = <S extends z.ZodType>(item: S) =>
  z.object({ page: z.int(), results: list(item), total_pages: z.int(), total_results: z.int() });
export const MoviePage = page(FoundMovie);
export const TvPage = page(FoundTv);

const Credited = { id: Id, name: z.string(), profile_path: text, credit_id: text };
export const Credits = z.object({
  cast: list(z.object({ ...Credited, character: text, order: number })),
  crew: list(z.object({ ...Credited, department: text, job: text })),
});
export type Credits = z.output<typeof Credits>;

export const Picture = z.object({
  file_path: z.string(),
  iso_639_1: text,
  width: z.int().positive(),
  height: z.int().positive(),
  vote_average: number,
});
export type Picture = z.output<typeof Picture>;
const Images = z.object({ posters: list(Picture), backdrops: list(Picture), logos: list(Picture) });

const Translations = z.object({
  translations: list(
    z.object({
      iso_639_1: z.string(),
      iso_3166_1: text,
      data: z.object({ title: text, name: text, overview: text, tagline: text }),
    }),
  ),
});
const Genres = list(z.object({ id: Id, name: z.string() }));
const Certificate = z.object({ certification: text });
const Common = {
  id: Id,
  overview: text,
  tagline: text,
  original_language: text,
  genres: Genres,
  poster_path: text,
  backdrop_path: text,
  production_countries: list(z.object({ iso_3166_1: z.string() })),
  credits: Credits.optional(),
  images: Images.optional(),
  translations: Translations.optional(),
  external_ids: z.object({ imdb_id: text }).optional(),
};
export const Movie = z.object({
  ...Common,
  title: z.string(),
  original_title: text,
  release_date: date,
  runtime: number,
  imdb_id: text,
  release_dates: z
    .object({ results: list(z.object({ iso_3166_1: z.string(), release_dates: list(Certificate) })) })
    .optional(),
});
export type Movie = z.output<typeof Movie>;

const SeasonInfo = z.object({
  id: Id,
  name: text,
  overview: text,
  air_date: date,
  season_number: z.int().min(0),
  poster_path: text,
});
export const Tv = z.object({
  ...Common,
  name: z.string(),
  original_name: text,
  first_air_date: date,
  number_of_seasons: number,
  seasons: list(SeasonInfo),
  content_ratings: z.object({ results: list(z.object({ iso_3166_1: z.string(), rating: text })) }).optional(),
});
export type Tv = z.output<typeof Tv>;

export const Episode = z.object({
  id: Id,
  name: text,
  overview: text,
  air_date: date,
  runtime: number,
  episode_number: z.int().min(0),
  season_number: z.int().min(0),
  still_path: text,
  crew: Credits.shape.crew,
  guest_stars: Credits.shape.cast,
});
export type Episode = z.output<typeof Episode>;
export const Season = SeasonInfo.extend({ episodes: list(Episode) });
export type Season = z.output<typeof Season>;

export const Person = z.object({
  id: Id,
  name: z.string(),
  biography: text,
  birthday: date,
  deathday: date,
  place_of_birth: text,
  profile_path: text,
  imdb_id: text,
  known_for_department: text,
  /** Everything that they took part in, films and series. */
  combined_credits: z
    .object({ cast: list(z.object({ id: Id, media_type: text })), crew: list(z.object({ id: Id, media_type: text })) })
    .optional(),
});
export type Person = z.output<typeof Person>;

export const Configuration = z.object({
  images: z.object({
    base_url: z.string(),
    secure_base_url: z.string(),
    poster_sizes: z.array(z.string()),
    backdrop_sizes: z.array(z.string()),
    still_sizes: z.array(z.string()),
    logo_sizes: z.array(z.string()),
    profile_sizes: z.array(z.string()),
  }),
});
