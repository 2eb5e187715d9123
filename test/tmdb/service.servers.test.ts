/** The same suite against the service itself, where a token for it is given. */
import { test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { Tmdb } from "../../lib/tmdb/tmdb.ts";
import { tmdbSuite } from "./suite-tmdb.ts";

const { TMDB_TOKEN: token, TMDB_URL: url = "https://api.themoviedb.org/3" } = process.env;

if (token === undefined) test("the metadata service itself", { skip: "needs TMDB_TOKEN" }, () => {});
else {
  tmdbSuite("service", async () => ({
    tmdb: new Tmdb({ url, token, requestsPerSecond: 10, clock: systemClock }),
    movie: { name: "The Matrix", year: 1999 },
    series: { name: "Breaking Bad", season: 2, episode: 3 },
    common: "love",
  }));
}
