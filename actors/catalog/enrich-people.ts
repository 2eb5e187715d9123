/** What the metadata service knows of a title's people, beyond their names: the handler of `catalog.enrichPeople`. */
import { codeOf } from "../../contracts/errors.ts";
import type { JobHandler } from "../../lib/jobs/port.ts";
import { languageOf, readEnrichment } from "./enrich.store.ts";
import type { EnrichDeps, EnrichPayload } from "./enrich.ts";
import { peopleWithoutDetails } from "./people.store.ts";
import { applyFoundPerson } from "./people.ts";

/** Those that a title's page shows; at 40 requests per second it takes a second. */
const PEOPLE_MAX = 30;

export const peopleJob = ({
  db,
  tmdb,
  artwork,
  log,
}: Pick<EnrichDeps, "db" | "tmdb" | "artwork" | "log">): JobHandler<EnrichPayload> => ({
  run: async ({ tenantId, payload: { titleId }, signal }) => {
    if (tmdb === null) return {};
    const { people, language } = await db.tenantTx(tenantId, async (tx) => ({
      people: await peopleWithoutDetails(tx, titleId, PEOPLE_MAX),
      language: await languageOf(tx, (await readEnrichment(tx, titleId))?.language),
    }));
    for (const { id, tmdbId } of people) {
      try {
        const person = await tmdb.person(tmdbId, { language, signal });
        const path = person.profile_path;
        const picture =
          path === null
            ? null
            : await artwork.fetchPortrait(id, path, signal).catch((error: unknown) => {
                log.warn({ err: error, personId: id }, "the picture of a person could not be fetched");
                return null;
              });
        const left = await db.tenantTx(tenantId, (tx) => applyFoundPerson(tx, id, { person, picture }));
        if (left !== null) await artwork.forgetPortrait(id, left);
      } catch (error) {
        // Gone from the service meanwhile; the others are still of use.
        if (codeOf(error) !== "METADATA_NOT_FOUND") throw error;
      }
    }
    return {};
  },
});
