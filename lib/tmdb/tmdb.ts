/** The Movie Database, API version 3: what the catalog asks of it. Paths and parameters as its reference has them. */
import { Configuration, Episode, Movie, MoviePage, Person, Season, Tv, TvPage } from "./answers.ts";
import { TmdbClient, type TmdbSettings } from "./client.ts";

export type { Credits, Episode, Movie, Person, Picture, Season, Tv } from "./answers.ts";
export type { TmdbSettings } from "./client.ts";

export interface FindOptions {
  readonly query: string;
  readonly year?: number | undefined;
  /** `en-US`, `de`. */
  readonly language?: string | undefined;
  /** From 1 on; 20 results each. */
  readonly page?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}
export interface ReadOptions {
  readonly language?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}
/** One result of a search, of films and series alike. */
export interface Found {
  readonly id: number;
  readonly name: string;
  readonly originalName: string | null;
  /** `1999-03-31`. */
  readonly date: string | null;
  readonly posterPath: string | null;
  readonly popularity: number;
}
export interface EpisodeOf {
  readonly seriesId: number;
  readonly season: number;
  readonly episode: number;
}
export interface FoundPage {
  readonly results: readonly Found[];
  readonly page: number;
  readonly pageCount: number;
  readonly resultCount: number;
}

const MOVIE_PARTS = "credits,images,translations,release_dates,external_ids";
const TV_PARTS = "credits,images,translations,content_ratings,external_ids";

/** Pictures without a word on them have no language: `null` in the list of wanted ones ("Image Languages"). */
const pictureLanguages = (language: string | undefined): string =>
  [...new Set([...(language === undefined ? [] : [language.slice(0, 2)]), "en", "null"])].join(",");

export class Tmdb {
  readonly #client: TmdbClient;

  constructor(settings: TmdbSettings) {
    this.#client = new TmdbClient(settings);
  }

  async findMovies({ query, year, language, page, signal }: FindOptions): Promise<FoundPage> {
    const parameters = { query, year, language, page, include_adult: "false" };
    const answer = await this.#client.get("/search/movie", parameters, MoviePage, signal);
    const results = answer.results.map(({ id, title: name, original_title, release_date, ...rest }) => ({
      ...{ id, name, originalName: original_title, date: release_date },
      ...{ posterPath: rest.poster_path, popularity: rest.popularity ?? 0 },
    }));
    return { results, page: answer.page, pageCount: answer.total_pages, resultCount: answer.total_results };
  }

  async findSeries({ query, year, language, page, signal }: FindOptions): Promise<FoundPage> {
    const parameters = { query, first_air_date_year: year, language, page, include_adult: "false" };
    const answer = await this.#client.get("/search/tv", parameters, TvPage, signal);
    const results = answer.results.map(({ id, name, original_name, first_air_date, ...rest }) => ({
      ...{ id, name, originalName: original_name, date: first_air_date },
      ...{ posterPath: rest.poster_path, popularity: rest.popularity ?? 0 },
    }));
    return { results, page: answer.page, pageCount: answer.total_pages, resultCount: answer.total_results };
  }

  movie(id: number, { language, signal }: ReadOptions = {}): Promise<Movie> {
    const parts = { append_to_response: MOVIE_PARTS, include_image_language: pictureLanguages(language) };
    return this.#client.get(`/movie/${id}`, { language, ...parts }, Movie, signal);
  }

  series(id: number, { language, signal }: ReadOptions = {}): Promise<Tv> {
    const parts = { append_to_response: TV_PARTS, include_image_language: pictureLanguages(language) };
    return this.#client.get(`/tv/${id}`, { language, ...parts }, Tv, signal);
  }

  season(seriesId: number, number: number, { language, signal }: ReadOptions = {}): Promise<Season> {
    return this.#client.get(`/tv/${seriesId}/season/${number}`, { language }, Season, signal);
  }

  episode(of: EpisodeOf, { language, signal }: ReadOptions = {}): Promise<Episode> {
    const path = `/tv/${of.seriesId}/season/${of.season}/episode/${of.episode}`;
    return this.#client.get(path, { language }, Episode, signal);
  }

  person(id: number, { language, signal }: ReadOptions = {}): Promise<Person> {
    return this.#client.get(`/person/${id}`, { language, append_to_response: "combined_credits" }, Person, signal);
  }

  async pictureSizes(signal?: AbortSignal) {
    return (await this.#client.get("/configuration", {}, Configuration, signal)).images;
  }
}
