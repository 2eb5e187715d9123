/** Asks the metadata service about one title: which one it is, and what is known of that one. Writes nothing. */
import type { Candidate } from "../../contracts/artwork.ts";
import { codeOf } from "../../contracts/errors.ts";
import type { Credits, Found, Tmdb } from "../../lib/tmdb/tmdb.ts";
import type { TitleRow } from "./catalog.store.ts";
import type { EnrichmentState } from "./enrich.store.ts";
import { episodeFields, type FoundTitle, movieFields, seasonFields, seriesFields } from "./tmdb-fields.ts";
import { guessesOf, ranked, sureOne } from "./tmdb-match.ts";

export interface Known {
  readonly title: TitleRow;
  /** The id that it is taken for already. */
  readonly chosen: number | null;
  readonly language: string;
  /** Of the series that it is part of, where that one is matched. */
  readonly seriesTmdbId: number | null;
  readonly seasonNumber: number | null;
}
export interface Learned {
  readonly state: EnrichmentState;
  readonly candidates: readonly Candidate[];
  readonly tmdbId: number | null;
  /** For people. */
  readonly error: string | null;
  readonly found: FoundTitle | null;
  readonly credits: Credits | null;
}
interface Ask {
  readonly signal: AbortSignal;
  readonly nowYear: number;
}

const NO_CREDITS: Credits = { cast: [], crew: [] };
const nothing = (state: EnrichmentState, error: string | null, candidates: readonly Candidate[] = []): Learned => ({
  ...{ state, candidates, tmdbId: null, error, found: null, credits: null },
});

/** Its name with the year first; where that finds nothing, without. */
const search = async (tmdb: Tmdb, { title, language }: Known, { signal, nowYear }: Ask): Promise<Candidate[]> => {
  const guesses = guessesOf(title.name, title.year, nowYear);
  const find = (query: string, year: number | null) => {
    const options = { query, language, signal, ...(year === null ? {} : { year }) };
    return title.kind === "series" ? tmdb.findSeries(options) : tmdb.findMovies(options);
  };
  const found: Found[] = [];
  for (const { name, year } of guesses) {
    if (name === "") continue;
    const { results } = await find(name, year);
    found.push(...results);
    if (results.length === 0 && year !== null) found.push(...(await find(name, null)).results);
  }
  return ranked(guesses, found);
};

const readWhole = async (tmdb: Tmdb, { title, language }: Known, id: number, signal: AbortSignal) => {
  if (title.kind === "series") {
    const series = await tmdb.series(id, { language, signal });
    return { found: seriesFields(series, language), credits: series.credits ?? NO_CREDITS };
  }
  const movie = await tmdb.movie(id, { language, signal });
  return { found: movieFields(movie, language), credits: movie.credits ?? NO_CREDITS };
};

/** Part of a series: its place says which one it is. */
const readPart = async (tmdb: Tmdb, known: Known, signal: AbortSignal): Promise<Learned> => {
  const { title, seriesTmdbId, seasonNumber, language } = known;
  if (seriesTmdbId === null || seasonNumber === null || title.number === null) {
    return nothing("unmatched", "its series is not matched, or it has no place in one");
  }
  if (title.kind === "season") {
    const season = await tmdb.season(seriesTmdbId, seasonNumber, { language, signal });
    const done = { state: "matched" as const, candidates: [], tmdbId: season.id, error: null };
    return { ...done, found: seasonFields(season), credits: null };
  }
  const place = { seriesId: seriesTmdbId, season: seasonNumber, episode: title.number };
  const episode = await tmdb.episode(place, { language, signal });
  const credits = { cast: episode.guest_stars, crew: episode.crew };
  return { state: "matched", candidates: [], tmdbId: episode.id, error: null, found: episodeFields(episode), credits };
};

const isMissing = (error: unknown): boolean => codeOf(error) === "METADATA_NOT_FOUND";

/** Fails with METADATA_FAILED and METADATA_REFUSED. */
export const learn = async (tmdb: Tmdb, known: Known, ask: Ask): Promise<Learned> => {
  const { title, chosen } = known;
  try {
    if (title.kind === "season" || title.kind === "episode") return await readPart(tmdb, known, ask.signal);
    if (title.kind === "live") return nothing("unmatched", "a live title is not looked up");
    // A clip has a name like any other: only a person can say that it is known elsewhere.
    if (title.kind === "clip" && chosen === null) return nothing("unmatched", "a clip is looked up by its id alone");
    const candidates = chosen === null ? await search(tmdb, known, ask) : [];
    const tmdbId = chosen ?? sureOne(candidates)?.tmdbId;
    if (tmdbId === undefined) return nothing(candidates.length > 0 ? "unsure" : "unmatched", null, candidates);
    const whole = await readWhole(tmdb, known, tmdbId, ask.signal);
    return { state: "matched", candidates, tmdbId, error: null, ...whole };
  } catch (error) {
    if (!isMissing(error)) throw error;
    return { ...nothing("unmatched", (error as Error).message), tmdbId: chosen }; // it has a code of the catalogue
  }
};
