import type { ServiceSchema } from "moleculer";
import {
  chooseArtwork,
  deleteArtwork,
  getEnrichment,
  getEnrichmentSettings,
  listArtwork,
  patchEnrichmentSettings,
  startEnrichment,
} from "../../contracts/artwork.ts";
import { contentCreated, contentPurged, contentSourceAttached } from "../../contracts/catalog.ts";
import { transcodePictures } from "../../contracts/transcoder.ts";
import { answer, type Call, tenantOf } from "../../lib/actor/contract.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import type { EventBus } from "../../lib/events/events.ts";
import { OutgoingAgents } from "../../lib/http/outgoing-agents.ts";
import { enqueueJob, type Jobs } from "../../lib/jobs/jobs.ts";
import type { Log } from "../../lib/log/log.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import { Tmdb } from "../../lib/tmdb/tmdb.ts";
import { ArtworkRoom } from "./artwork.ts";
import { ENRICH, ENRICH_PEOPLE, Enrichment } from "./enrich.ts";
import { peopleJob } from "./enrich-people.ts";
import { forgetPeople } from "./forgotten.ts";
import { librariesService } from "./libraries.service.ts";
import { joinDefaultLibrary, Libraries } from "./libraries.ts";
import { peopleService } from "./people.service.ts";
import { People } from "./people.ts";

export interface EnrichmentDeps {
  readonly config: {
    readonly allowPrivateSources: readonly string[];
    readonly tmdbUrl: string;
    readonly tmdbImageUrl: string;
    readonly tmdbToken: string | null;
    readonly tmdbRequestsPerSecond: number;
  };
  readonly db: Database;
  readonly events: EventBus;
  readonly objects: ObjectStore;
  readonly jobs: Pick<Jobs, "register">;
  readonly clock: Clock;
  readonly log: Log;
}

const JOB_SLOTS = 2; // they wait for another server most of the time
const own = (call: Call): string => tenantOf(call).tenantId;

/** Parts of the catalog that have names of their own on the bus: libraries, people, artwork, enrichment. */
export const enrichmentServices = (deps: EnrichmentDeps): ServiceSchema[] => {
  const { config, db, events, objects, jobs, clock, log } = deps;
  const { tmdbToken: token, tmdbUrl: url, tmdbImageUrl: imageUrl, tmdbRequestsPerSecond: requestsPerSecond } = config;
  const agents = new OutgoingAgents(config.allowPrivateSources);
  const artwork = new ArtworkRoom({ db, objects, agents, imageUrl, clock });
  const tmdb = token === null ? null : new Tmdb({ url, token, requestsPerSecond, clock });
  const enrichment = new Enrichment({ db, tmdb, artwork, enqueue: enqueueJob, clock, log });
  jobs.register(ENRICH, { slots: JOB_SLOTS, handler: enrichment.job });
  jobs.register(ENRICH_PEOPLE, { slots: JOB_SLOTS, handler: peopleJob({ db, tmdb, artwork, log }) });
  return [
    librariesService(new Libraries(db)),
    peopleService(new People({ db, portraits: artwork, clock })),
    {
      name: "artwork",
      actions: {
        list: answer(listArtwork, (input, call) => artwork.list(own(call), input)),
        choose: answer(chooseArtwork, (input, call) => artwork.choose(own(call), input)),
        delete: answer(deleteArtwork, (input, call) => artwork.delete(own(call), input)),
      },
      async started() {
        await events.subscribe("catalog-artwork", [transcodePictures], ({ payload: { posters, ...of } }) =>
          artwork.takeFrames(of, posters),
        );
      },
      stopped: () => agents.close(),
    },
    {
      name: "enrichment",
      actions: {
        get: answer(getEnrichment, ({ titleId }, call) => enrichment.get(own(call), titleId)),
        start: answer(startEnrichment, (input, call) => enrichment.start(own(call), input)),
        settings: answer(getEnrichmentSettings, (_, call) => enrichment.settings(own(call))),
        patchSettings: answer(patchEnrichmentSettings, (input, call) => enrichment.patchSettings(own(call), input)),
      },
      async started() {
        await events.subscribe("catalog-libraries", [contentCreated], ({ payload: { tenantId, titleId } }) =>
          db.tenantTx(tenantId, (tx) => joinDefaultLibrary(tx, tenantId, titleId)),
        );
        await events.subscribe("catalog-people", [contentPurged], async ({ payload: { tenantId } }) => {
          await forgetPeople({ db, objects }, tenantId);
        });
        await events.subscribe("catalog-enrichment", [contentCreated, contentSourceAttached], ({ payload }) =>
          enrichment.heardOf(payload),
        );
      },
    },
  ];
};
