/** The answers of the simulator, field by field as the reference shows them. */
import {
  GENRES,
  imagesOf,
  MOVIES,
  PEOPLE,
  pictureOf,
  SERIES,
  type SimCredit,
  type SimMovie,
  type SimPerson,
  type SimPicture,
  type SimSeries,
} from "./tmdb-data.ts";

export interface Asked {
  /** Of `language=de-DE`: `de`. */
  readonly language: string;
  readonly pictureLanguages: readonly (string | null)[];
  readonly parts: readonly string[];
}
type Json = Record<string, unknown>;

const RESULTS_PER_PAGE = 20;
const PAGE_MAX = 500;

const popularityOf = (id: number): number => Math.round(((id * 37) % 1_000) / 10) + 0.5;
const nameIn = (work: SimMovie | SimSeries, language: string): string => (language === "de" ? work.german : work.title);
const overviewOf = (work: SimMovie | SimSeries, language: string): string => {
  // Like theirs: a language without a translation has an empty one.
  if (language === "de") return `Worum es in „${work.title}“ geht.`;
  return language === "en" ? `What "${work.title}" is about.` : "";
};
const genresOf = (work: SimMovie | SimSeries, language: string) =>
  work.genres.map((id) => ({ id, name: GENRES.get(id)?.[language === "de" ? 1 : 0] ?? "" }));

const posterPath = (id: number, language: string): string => {
  const { posters } = imagesOf(id);
  return (posters.find((poster) => poster.language === language) ?? posters[0]!).path;
};

const bothOf = (work: SimMovie | SimSeries, { language }: Asked): Json => ({
  adult: false,
  backdrop_path: imagesOf(work.id).backdrops[0]!.path,
  id: work.id,
  original_language: work.originalLanguage,
  overview: overviewOf(work, language),
  popularity: popularityOf(work.id),
  poster_path: posterPath(work.id, language),
  vote_average: 6.4,
  vote_count: 100 + work.id,
});
const movieName = (movie: SimMovie, { language }: Asked): Json => ({
  original_title: movie.originalTitle,
  release_date: movie.date,
  title: nameIn(movie, language),
  video: false,
});
const seriesName = (series: SimSeries, { language }: Asked): Json => ({
  original_name: series.originalTitle,
  first_air_date: series.date,
  name: nameIn(series, language),
  origin_country: ["US"],
});

const folded = (text: string): string =>
  text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replaceAll("ı", "i");
/** Every word of the query begins a word of the name. */
const isFound = (names: readonly string[], query: string): boolean => {
  const words = folded(query)
    .split(/[^\p{L}\p{N}]+/u)
    .filter(Boolean);
  return names.some((name) => {
    const there = folded(name).split(/[^\p{L}\p{N}]+/u);
    return words.length > 0 && words.every((word) => there.some((one) => one.startsWith(word)));
  });
};

/** "Pages start at 1 and max at 500." Undefined for another. */
export const pageOf = <T>(all: readonly T[], page: number): Json | undefined => {
  if (!Number.isInteger(page) || page < 1 || page > PAGE_MAX) return undefined;
  return {
    page,
    results: all.slice((page - 1) * RESULTS_PER_PAGE, page * RESULTS_PER_PAGE),
    total_pages: Math.max(1, Math.ceil(all.length / RESULTS_PER_PAGE)),
    total_results: all.length,
  };
};

interface Wanted {
  readonly query: string;
  readonly year: string | null;
}
export const foundMovies = ({ query, year }: Wanted, asked: Asked): Json[] =>
  MOVIES.filter((movie) => isFound([movie.title, movie.originalTitle, movie.german], query))
    .filter(({ date }) => year === null || date.startsWith(year))
    .map((movie) => ({ ...bothOf(movie, asked), ...movieName(movie, asked), genre_ids: movie.genres }));
export const foundSeries = ({ query, year }: Wanted, asked: Asked): Json[] =>
  SERIES.filter((series) => isFound([series.title, series.german], query))
    .filter(({ date }) => year === null || date.startsWith(year))
    .map((series) => ({ ...bothOf(series, asked), ...seriesName(series, asked), genre_ids: series.genres }));

const personIn = (person: SimPerson): Json => ({
  adult: false,
  gender: 0,
  id: person.id,
  known_for_department: person.department,
  name: person.name,
  original_name: person.name,
  popularity: popularityOf(person.id),
  profile_path: pictureOf("profile", person.id, 0).path,
});
const castIn = ({ person, character, creditId }: SimCredit, order: number): Json => ({
  ...personIn(person),
  ...{ cast_id: order + 1, character, credit_id: creditId, order },
});
const crewIn = ({ person, department, job, creditId }: SimCredit): Json => ({
  ...personIn(person),
  ...{ credit_id: creditId, department, job },
});
const creditsOf = ({ cast, crew }: SimMovie | SimSeries): Json => ({ cast: cast.map(castIn), crew: crew.map(crewIn) });

const pictureIn = (picture: SimPicture): Json => ({
  aspect_ratio: Math.round((picture.width / picture.height) * 1_000) / 1_000,
  file_path: picture.path,
  height: picture.height,
  iso_639_1: picture.language,
  vote_average: picture.vote,
  vote_count: 3,
  width: picture.width,
});
const imagesIn = (id: number, { pictureLanguages }: Asked): Json =>
  Object.fromEntries(
    Object.entries(imagesOf(id)).map(([kind, pictures]) => [
      kind,
      pictures.filter(({ language }) => pictureLanguages.includes(language)).map(pictureIn),
    ]),
  );

const translationsOf = (work: SimMovie | SimSeries, nameField: "title" | "name"): Json => {
  const one = (language: string, country: string, english: string) => ({
    ...{ iso_3166_1: country, iso_639_1: language, name: english, english_name: english },
    data: { homepage: "", overview: overviewOf(work, language), tagline: "", [nameField]: nameIn(work, language) },
  });
  return { translations: [one("en", "US", "English"), one("de", "DE", "German")] };
};

/** `append_to_response`: parts that there are not are left out, as theirs are. */
const withParts = (base: Json, parts: Readonly<Record<string, () => Json>>, { parts: wanted }: Asked): Json => ({
  ...base,
  ...Object.fromEntries(wanted.flatMap((name) => (parts[name] ? [[name, parts[name]()]] : []))),
});

export const movieIn = (movie: SimMovie, asked: Asked): Json =>
  withParts(
    {
      ...bothOf(movie, asked),
      ...movieName(movie, asked),
      ...{ genres: genresOf(movie, asked.language), imdb_id: `tt${1_000_000 + movie.id}`, runtime: movie.runtime },
      ...{ status: "Released", tagline: "", belongs_to_collection: null, budget: 0, revenue: 0, homepage: "" },
      production_countries: [{ iso_3166_1: "US", name: "United States of America" }],
    },
    {
      credits: () => creditsOf(movie),
      images: () => imagesIn(movie.id, asked),
      translations: () => translationsOf(movie, "title"),
      external_ids: () => ({ imdb_id: `tt${1_000_000 + movie.id}`, wikidata_id: null }),
      release_dates: () => ({
        results: [
          {
            iso_3166_1: "US",
            release_dates: [{ certification: "PG-13", type: 3, note: "", release_date: movie.date }],
          },
          { iso_3166_1: "DE", release_dates: [{ certification: "12", type: 3, note: "", release_date: movie.date }] },
        ],
      }),
    },
    asked,
  );

const seasonHead = (series: SimSeries, number: number, asked: Asked): Json => ({
  air_date: series.seasons.find((season) => season.number === number)?.date ?? null,
  id: series.id * 100 + number,
  name: asked.language === "de" ? `Staffel ${number}` : `Season ${number}`,
  overview: "",
  poster_path: pictureOf("poster", series.id, 2 + number).path,
  season_number: number,
});
export const seriesIn = (series: SimSeries, asked: Asked): Json =>
  withParts(
    {
      ...bothOf(series, asked),
      ...seriesName(series, asked),
      ...{ genres: genresOf(series, asked.language), tagline: "", status: "Ended", in_production: false },
      ...{ number_of_seasons: series.seasons.length, episode_run_time: [45], homepage: "" },
      production_countries: [{ iso_3166_1: "GB", name: "United Kingdom" }],
      seasons: series.seasons.map(({ number, episodeCount }) => ({
        ...seasonHead(series, number, asked),
        episode_count: episodeCount,
      })),
    },
    {
      credits: () => creditsOf(series),
      images: () => imagesIn(series.id, asked),
      translations: () => translationsOf(series, "name"),
      external_ids: () => ({ imdb_id: `tt${2_000_000 + series.id}`, tvdb_id: null }),
      content_ratings: () => ({ results: [{ descriptors: [], iso_3166_1: "US", rating: "TV-14" }] }),
    },
    asked,
  );

const episodeIn = (series: SimSeries, season: number, number: number, { language }: Asked): Json => ({
  air_date: series.seasons.find((one) => one.number === season)?.date ?? null,
  crew: series.crew.map(crewIn),
  episode_number: number,
  guest_stars: series.cast.slice(0, 1).map(castIn),
  id: series.id * 10_000 + season * 100 + number,
  name: language === "de" ? `Folge ${number}` : `Chapter ${number}`,
  overview: language === "de" || language === "en" ? `${series.title} ${season}x${number}` : "",
  production_code: "",
  runtime: 45,
  season_number: season,
  show_id: series.id,
  still_path: pictureOf("still", series.id, season * 20 + number).path,
  vote_average: 7.1,
  vote_count: 12,
});

/** Undefined where there is no such season, or episode in it. */
export const seasonIn = (series: SimSeries, number: number, asked: Asked): Json | undefined => {
  const season = series.seasons.find((one) => one.number === number);
  if (!season) return undefined;
  const episodes = Array.from({ length: season.episodeCount }, (_, at) => episodeIn(series, number, at + 1, asked));
  return { _id: `s${series.id}x${number}`, ...seasonHead(series, number, asked), episodes };
};
export const oneEpisode = (
  series: SimSeries,
  at: { readonly season: number; readonly episode: number },
  asked: Asked,
): Json | undefined => {
  const season = series.seasons.find(({ number }) => number === at.season);
  if (!season || at.episode < 1 || at.episode > season.episodeCount) return undefined;
  return episodeIn(series, at.season, at.episode, asked);
};

const creditsOfPerson = ({ id }: SimPerson, asked: Asked): Json => {
  const works = [
    ...MOVIES.map((movie) => ({ work: movie, head: { ...movieName(movie, asked), media_type: "movie" } })),
    ...SERIES.map((series) => ({ work: series, head: { ...seriesName(series, asked), media_type: "tv" } })),
  ];
  const rolesIn = (role: "cast" | "crew") =>
    works.flatMap(({ work, head }) =>
      work[role]
        .filter(({ person }) => person.id === id)
        .map(({ character, department, job, creditId }) => ({
          ...{ id: work.id, ...head, credit_id: creditId },
          ...(role === "cast" ? { character } : { department, job }),
        })),
    );
  return { cast: rolesIn("cast"), crew: rolesIn("crew") };
};

export const personOf = (id: number): SimPerson | undefined => PEOPLE.find((person) => person.id === id);
export const personPage = (person: SimPerson, asked: Asked): Json =>
  withParts(
    {
      ...personIn(person),
      also_known_as: [],
      biography: asked.language === "en" ? `${person.name} was born in ${person.place}.` : "",
      ...{ birthday: person.birthday, deathday: person.deathday, place_of_birth: person.place },
      ...{ homepage: null, imdb_id: `nm${3_000_000 + person.id}` },
    },
    { combined_credits: () => creditsOfPerson(person, asked) },
    asked,
  );

export const configuration = (imageBase: string): Json => ({
  images: {
    base_url: imageBase,
    secure_base_url: imageBase,
    backdrop_sizes: ["w300", "w780", "w1280", "original"],
    logo_sizes: ["w45", "w92", "w154", "w185", "w300", "w500", "original"],
    poster_sizes: ["w92", "w154", "w185", "w342", "w500", "w780", "original"],
    profile_sizes: ["w45", "w185", "h632", "original"],
    still_sizes: ["w92", "w185", "w300", "original"],
  },
  change_keys: ["images", "title"],
});
