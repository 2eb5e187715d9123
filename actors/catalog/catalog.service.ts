import type { ServiceBroker, ServiceSchema } from "moleculer";
import { schedule } from "node-cron";
import {
  attachSource,
  createTitle,
  deleteTitle,
  editTitles,
  getTitle,
  listTitles,
  patchTitle,
  playableTitle,
  publishTitle,
  restoreTitle,
  scheduleTitle,
  searchTitles,
  unscheduleTitle,
  withdrawTitle,
} from "../../contracts/catalog.ts";
import { answer, type Call, tenantOf } from "../../lib/actor/contract.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Config } from "../../lib/config/config.ts";
import type { Database } from "../../lib/db/database.ts";
import type { EventBus } from "../../lib/events/events.ts";
import type { Jobs } from "../../lib/jobs/jobs.ts";
import type { Log } from "../../lib/log/log.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import { Titles } from "./catalog.ts";
import { enrichmentServices } from "./enrichment.service.ts";
import { genreActions } from "./genre.service.ts";
import { Genres } from "./genres.ts";
import { listenForMarks } from "./marks.ts";
import { playable } from "./playable.ts";
import { Processing } from "./processing.ts";
import { PURGE_JOB, Removal } from "./removal.ts";
import { searchIn } from "./search.ts";
import { SWEEP_JOB, Sweep } from "./sweep.ts";
import { Windows } from "./windows.ts";

export interface CatalogDeps {
  readonly config: Config & { readonly edgePublicUrl: string };
  readonly broker: ServiceBroker;
  readonly db: Database;
  readonly events: EventBus;
  readonly objects: ObjectStore;
  readonly jobs: Jobs;
  readonly clock: Clock;
  readonly log: Log;
}
/** What titles alone need. */
export type TitleDeps = Omit<CatalogDeps, "broker" | "config"> & {
  readonly config: Pick<Config, "contentEncryption" | "purgeGraceMs" | "uploadExpiresMs">;
};

const ORPHAN_AGE_MS = 3_600_000;
const SWEEP_AT = "37 * * * *"; // hourly; every control node wants it: one job is made
const PURGE_SLOTS = 2;

/** Titles and genres: contract ↔ behaviour, the clock of windows, the jobs that remove. */
export const titleService = (deps: TitleDeps): ServiceSchema => {
  const { config, db, events, objects, jobs, clock, log } = deps;
  const encryption = config.contentEncryption;
  const titles = new Titles({ db, clock });
  const processing = new Processing({ db, clock, encryption });
  const removal = new Removal({ db, clock, objects, graceMs: config.purgeGraceMs });
  const sourceAgeMs = Math.max(ORPHAN_AGE_MS, config.uploadExpiresMs);
  const sweep = new Sweep({ db, clock, objects, removal, ageMs: ORPHAN_AGE_MS, sourceAgeMs });
  const windows = new Windows({ db, clock, log });
  jobs.register(PURGE_JOB, { slots: PURGE_SLOTS, handler: removal.purge });
  jobs.register(SWEEP_JOB, { slots: 1, handler: sweep.handler });
  const wantSweep = () =>
    sweep
      .enqueue()
      .catch((error: unknown) => log.warn({ err: error }, "no sweep of objects was asked for; again later"));
  const own = (call: Call): string => tenantOf(call).tenantId;
  let stopSweeping = async (): Promise<void> => {};

  return {
    name: "catalog",
    actions: {
      createTitle: answer(createTitle, (input, call) => titles.create(own(call), input)),
      getTitle: answer(getTitle, (input, call) => titles.get(own(call), input)),
      listTitles: answer(listTitles, (input, call) => titles.list(own(call), input)),
      searchTitles: answer(searchTitles, (input, call) => searchIn(db, own(call), input)),
      patchTitle: answer(patchTitle, (input, call) => titles.patch(own(call), input)),
      deleteTitle: answer(deleteTitle, (input, call) => removal.delete(own(call), input)),
      restoreTitle: answer(restoreTitle, (input, call) => removal.restore(own(call), input)),
      editTitles: answer(editTitles, (input, call) => titles.edit(own(call), input)),
      publishTitle: answer(publishTitle, (input, call) => titles.publish(own(call), input)),
      scheduleTitle: answer(scheduleTitle, (input, call) => titles.schedule(own(call), input)),
      unscheduleTitle: answer(unscheduleTitle, (input, call) => titles.unschedule(own(call), input)),
      withdrawTitle: answer(withdrawTitle, (input, call) => titles.withdraw(own(call), input)),
      ...genreActions(new Genres(db)),
      attachSource: answer(attachSource, (input, call) => processing.attach(own(call), input)),
      playableTitle: answer(playableTitle, (input, call) => playable({ db, clock, encryption }, own(call), input)),
    },
    async started() {
      await processing.listen(events);
      await listenForMarks(events, { db, objects });
      windows.start();
      const sweeping = schedule(SWEEP_AT, wantSweep, { name: "content-sweep", noOverlap: true, unref: true });
      stopSweeping = async () => {
        await sweeping.destroy();
      };
    },
    async stopped() {
      await stopSweeping();
      await windows.stop();
    },
  };
};

/** Wiring of the actor: titles, and what goes with them. */
export const catalogServices = (deps: CatalogDeps): ServiceSchema[] => [
  titleService(deps),
  ...enrichmentServices(deps),
];
