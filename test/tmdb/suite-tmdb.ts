/** What the catalog relies on of the metadata service: one suite for the simulator and for the service itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../contracts/errors.ts";
import type { Tmdb } from "../../lib/tmdb/tmdb.ts";

export interface TmdbSubject {
  readonly tmdb: Tmdb;
  /** A film that is there, as it is called in English. */
  readonly movie: { readonly name: string; readonly year: number };
  readonly series: { readonly name: string; readonly season: number; readonly episode: number };
  /** Words that more than 20 films have. */
  readonly common: string;
}

const code = (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => "OK",
    (error: unknown) => codeOf(error),
  );

export const tmdbSuite = (what: string, open: () => Promise<TmdbSubject>): void => {
  test(`${what}: a film is found by name and year, and read with all that belongs to it`, async () => {
    const { tmdb, movie } = await open();
    const { results, resultCount } = await tmdb.findMovies({ query: movie.name, year: movie.year, language: "en-US" });
    assert.ok(resultCount >= 1);
    const found = results.find(({ name, date }) => name === movie.name && date?.startsWith(String(movie.year)));
    assert.ok(found, JSON.stringify(results));
    const whole = await tmdb.movie(found.id, { language: "en-US" });
    assert.equal(whole.title, movie.name);
    assert.ok(whole.credits && whole.credits.cast.length > 0 && whole.credits.crew.length > 0);
    assert.ok(whole.images && whole.images.posters.length > 0);
    assert.ok(whole.translations && whole.translations.translations.length > 0);
    assert.ok(whole.release_dates && whole.release_dates.results.length > 0);
    assert.match(whole.external_ids?.imdb_id ?? "", /^tt\d+$/);
    assert.match(whole.poster_path ?? "", /^\/[\w.-]+$/);
  });

  test(`${what}: a result list has pages of twenty, and the language decides the words`, async () => {
    const { tmdb, common, movie } = await open();
    const [first, second] = await Promise.all([
      tmdb.findMovies({ query: common }),
      tmdb.findMovies({ query: common, page: 2 }),
    ]);
    assert.equal(first.results.length, 20);
    assert.ok(first.pageCount >= 2 && second.page === 2);
    const ids = new Set(first.results.map(({ id }) => id));
    assert.ok(second.results.every(({ id }) => !ids.has(id)));
    const [one] = (await tmdb.findMovies({ query: movie.name, year: movie.year })).results;
    const texts = await Promise.all(["en-US", "de-DE"].map((language) => tmdb.movie(one!.id, { language })));
    assert.notEqual(texts[0]?.overview, texts[1]?.overview);
  });

  test(`${what}: a series has seasons, they have episodes, and people have what they did`, async () => {
    const { tmdb, series } = await open();
    const [found] = (await tmdb.findSeries({ query: series.name })).results;
    assert.equal(found?.name, series.name);
    const whole = await tmdb.series(found.id, {});
    assert.ok(whole.seasons.some((season) => season.season_number === series.season));
    const season = await tmdb.season(found.id, series.season);
    assert.ok(season.episodes.some((episode) => episode.episode_number === series.episode));
    const place = { seriesId: found.id, season: series.season, episode: series.episode };
    assert.equal((await tmdb.episode(place)).season_number, series.season);
    const person = await tmdb.person(whole.credits!.cast[0]!.id);
    assert.equal(person.name, whole.credits!.cast[0]!.name);
    assert.ok(person.combined_credits?.cast.some(({ id, media_type }) => id === found.id && media_type === "tv"));
  });

  test(`${what}: what is not there says so, and sizes of pictures are told`, async () => {
    const { tmdb, series } = await open();
    assert.equal(await code(tmdb.movie(999_999_999)), "METADATA_NOT_FOUND");
    const [found] = (await tmdb.findSeries({ query: series.name })).results;
    assert.equal(await code(tmdb.season(found!.id, 987)), "METADATA_NOT_FOUND");
    assert.equal(await code(tmdb.findMovies({ query: "x", page: 501 })), "METADATA_REFUSED");
    const sizes = await tmdb.pictureSizes();
    assert.ok(sizes.poster_sizes.includes("w780") && sizes.backdrop_sizes.includes("w1280"));
    assert.ok(sizes.profile_sizes.includes("h632") && sizes.logo_sizes.includes("w500"));
  });
};
