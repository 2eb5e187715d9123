/** Wiring of the upload actor: contract ↔ behaviour, its listener, its jobs and its timer. */
import type { ServiceBroker, ServiceSchema } from "moleculer";
import { contentPurged } from "../../contracts/catalog.ts";
import {
  getUpload,
  importBucket,
  listUploads,
  pullSource,
  uploadAwaited,
  uploadTicket,
} from "../../contracts/upload.ts";
import { answer, on, tenantOf } from "../../lib/actor/contract.ts";
import type { Clock } from "../../lib/clock.ts";
import { baseUrlOf, type Config } from "../../lib/config/config.ts";
import type { Database } from "../../lib/db/database.ts";
import type { EventBus } from "../../lib/events/events.ts";
import { OutgoingAgents } from "../../lib/http/outgoing-agents.ts";
import type { Jobs } from "../../lib/jobs/jobs.ts";
import type { Log } from "../../lib/log/log.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import { fetchHandler } from "./fetch.ts";
import { finishHandler } from "./finish.ts";
import { openUploadListener } from "./listener.ts";
import { judgeWith } from "./media.ts";
import { attachWith, partsOf } from "./parts.ts";
import { Sources } from "./sources.ts";
import { sweep } from "./sweep.ts";
import { TusStore } from "./tus-store.ts";
import { forgetTitle } from "./upload.store.ts";
import { FINISH_JOB, PULL_JOB } from "./uploads.ts";

export interface UploadDeps {
  readonly config: Config & { readonly edgePublicUrl: string };
  readonly broker: ServiceBroker;
  readonly db: Database;
  readonly events: EventBus;
  readonly objects: ObjectStore;
  readonly jobs: Jobs;
  readonly clock: Clock;
  readonly log: Log;
}

const SWEEP_MS = 60_000;
const FINISH_SLOTS = 2;
const FETCH_SLOTS = 4;

/** Rejects with a ConfigError when the listener's port is taken. */
export const uploadServices = async (deps: UploadDeps): Promise<ServiceSchema[]> => {
  const { config, broker, db, objects, jobs, log, events } = deps;
  const { staging, uploads, locks, tickets, expiresMs, bytesMax, openBucket } = partsOf(deps);
  const agents = new OutgoingAgents(config.allowPrivateSources);
  const sources = new Sources({ db, uploads, allowPrivateSources: config.allowPrivateSources, openBucket });
  const store = new TusStore({ db, uploads, staging, expiresMs });
  const { host, uploadPort: port } = config;
  const listener = await openUploadListener({ host, port, bytesMax, tickets, locks, store, log });
  const url = config.uploadInternalUrl ?? baseUrlOf(host, listener.port);
  const judge = judgeWith(config.ffmpegPath);
  const finish = finishHandler({ db, objects, staging, uploads, judge, attach: attachWith(broker) });
  jobs.register(FINISH_JOB, { slots: FINISH_SLOTS, handler: finish });
  const fetching = fetchHandler({ db, uploads, staging, locks, agents, openBucket, log });
  jobs.register(PULL_JOB, { slots: FETCH_SLOTS, handler: fetching });
  const tidy = () =>
    sweep({ db, uploads, staging, expiresMs, log }).catch((error: unknown) =>
      log.warn({ err: error }, "uploads could not be swept; it is tried again"),
    );
  let timer: NodeJS.Timeout | undefined;
  return [
    {
      name: "upload",
      actions: {
        ticket: answer(uploadTicket, async (_, call) => ({ url, ticket: await tickets.issue(tenantOf(call)) })),
        get: answer(getUpload, ({ uploadId }, call) => uploads.get(tenantOf(call), uploadId)),
        list: answer(listUploads, (input, call) => uploads.list(tenantOf(call), input)),
        pull: answer(pullSource, (input, call) => sources.pull(tenantOf(call), input)),
        import: answer(importBucket, (input, call) => sources.importFrom(tenantOf(call), input)),
      },
      events: on(uploadAwaited, ({ uploadId }) => locks.awaited(uploadId)),
      async started() {
        await events.subscribe("upload", [contentPurged], async ({ payload: { tenantId, titleId } }) => {
          await db.tenantTx(tenantId, (tx) => forgetTitle(tx, titleId));
        });
        timer = setInterval(tidy, Math.min(SWEEP_MS, expiresMs)).unref();
      },
      async stopped() {
        clearInterval(timer);
        await listener.close();
        await locks.close();
        agents.close();
      },
    },
  ];
};
