/** The transcoder of one process: hears of sources, and runs the jobs that make rungs of them. */
import { contentDeleted, contentPurged, contentSourceAttached } from "../../contracts/catalog.ts";
import type { FactEvent } from "../../lib/events/events.ts";
import type { JobHandler, JobOutcome, JobRun, Jobs } from "../../lib/jobs/jobs.ts";
import { goWithoutCaptions, makeCaptions } from "./captions.ts";
import { makeChunk } from "./chunk.ts";
import * as kinds from "./kinds.ts";
import { picture } from "./picturing.ts";
import { planTranscode } from "./planning.ts";
import { makeSound, makeSoundHead } from "./sound.ts";
import { finish, stitchRung, tidy, writeSet } from "./stitching.ts";
import { makeSubtitles } from "./subtitles.ts";
import { deleteTranscodes, insertTranscode, listUnended } from "./transcoder.store.ts";
import { endedKey, partOfTranscode, type Work } from "./work.ts";

/** Jobs that encode, and those that move a rung's bytes, share the slots. */
export const POOL = "transcode";
/** Jobs that wait for others more than they work. */
const LIGHT_SLOTS = 4;
const PLAN_SLOTS = 2;

type Run<P> = (work: Work, run: JobRun<P>) => Promise<JobOutcome>;

export const registerKinds = (jobs: Pick<Jobs, "register">, work: Work, slots: number): void => {
  const part = <P extends kinds.Payload>(run: Run<P>): JobHandler<never> =>
    partOfTranscode<P>(work, (job) => run(work, job)) as JobHandler<never>;
  jobs.register(kinds.PLAN, { slots: PLAN_SLOTS, handler: part(planTranscode) });
  jobs.register(kinds.CHUNK, { slots, pool: POOL, handler: part(makeChunk) });
  jobs.register(kinds.AUDIO, { slots, pool: POOL, handler: part(makeSound) });
  jobs.register(kinds.AUDIO_HEAD, { slots, pool: POOL, handler: part(makeSoundHead) });
  jobs.register(kinds.SUBTITLES, { slots, pool: POOL, handler: part(makeSubtitles) });
  jobs.register(kinds.CAPTIONS, {
    ...{ slots, pool: POOL },
    handler: {
      ...part(makeCaptions),
      ended: async (tx, job) => goWithoutCaptions(tx, await endedKey(tx, job)),
    },
  });
  jobs.register(kinds.STITCH, { slots, pool: POOL, handler: part(stitchRung) });
  jobs.register(kinds.FINISH, { slots: LIGHT_SLOTS, handler: part(finish) });
  jobs.register(kinds.PICTURES, {
    ...{ slots, pool: POOL },
    handler: { run: (job: JobRun<kinds.Payload>) => picture(work, job) },
  });
  // A set that could not be written is written by the next one, at the latest by `finish`.
  jobs.register(kinds.SET, {
    slots: LIGHT_SLOTS,
    handler: { run: (job: JobRun<kinds.Payload>) => writeSet(work, job) },
  });
  jobs.register(kinds.TIDY, { slots: 1, handler: { run: (job: JobRun<kinds.TidyPayload>) => tidy(work, job) } });
};

type Heard = typeof contentSourceAttached | typeof contentDeleted | typeof contentPurged;
export const HEARD = [contentSourceAttached, contentDeleted, contentPurged] as const satisfies readonly Heard[];

/** Facts come at least once, and those of a title in their order. */
export const hear = async (work: Work, event: FactEvent): Promise<void> => {
  if (event.name === contentSourceAttached.name)
    return attach(work, contentSourceAttached.payload.parse(event.payload));
  const { tenantId, titleId } = contentDeleted.payload.parse(event.payload);
  await work.db.tenantTx(tenantId, async (tx) => {
    if (event.name === contentPurged.name) return deleteTranscodes(tx, { tenantId, titleId });
    const key = { tenantId, titleId, revision: 0 };
    const revisions = await listUnended(tx, key);
    for (const revision of revisions) await kinds.cancelTranscode(tx, { ...key, revision }, work.clock.nowMs());
  });
};

type Attached = ReturnType<typeof contentSourceAttached.payload.parse>;

/** A newer source of the same title takes the place of one that is still being made. */
const attach = async (
  work: Work,
  { tenantId, titleId, revision, path, encryption, codec }: Attached,
): Promise<void> => {
  const key = { tenantId, titleId, revision };
  await work.db.tenantTx(tenantId, async (tx) => {
    if (!(await insertTranscode(tx, key, { sourcePath: path, encryption, codec }))) return;
    const older = await listUnended(tx, key);
    for (const one of older) await kinds.cancelTranscode(tx, { ...key, revision: one }, work.clock.nowMs());
    await kinds.enqueuePlan(tx, key);
  });
};
