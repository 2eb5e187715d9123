/** The kinds of jobs of a transcode, how soon each runs, and who ends it when it can't be done. */
import { transcodeFailed } from "../../contracts/transcoder.ts";
import type { Tx } from "../../lib/db/database.ts";
import { publishFact } from "../../lib/events/events.ts";
import { enqueueJob, type JobRun } from "../../lib/jobs/jobs.ts";
import { enterState, type Key, lockTranscode, setFailed, type Transcode } from "./transcoder.store.ts";

/** What every job of a transcode says about itself. */
export interface Payload {
  readonly titleId: string;
  readonly revision: number;
}
export interface ChunkPayload extends Payload {
  readonly index: number;
}
export interface RungPayload extends Payload {
  readonly rung: string;
}
export interface TidyPayload extends Payload {
  /** `parts`: what a complete revision no longer needs, and older ones. `all`: the revision came to nothing. */
  readonly what: "parts" | "all";
}

export const PLAN = "transcode.plan";
export const CHUNK = "transcode.chunk";
export const AUDIO = "transcode.audio";
/** The beginning of the sound, before all of it. */
export const AUDIO_HEAD = "transcode.audioHead";
export const SUBTITLES = "transcode.subtitles";
/** Captions inside of the picture. */
export const CAPTIONS = "transcode.captions";
export const STITCH = "transcode.stitch";
export const FINISH = "transcode.finish";
/** Writes set.json. */
export const SET = "transcode.set";
export const TIDY = "transcode.tidy";
/** Posters, storyboard, preview. */
export const PICTURES = "transcode.pictures";

/**
 * Lower is sooner. First chunks and sound go before the rest of other titles, so that many titles play soon; behind
 * its fiftieth chunk a title waits its turn.
 */
const PRIORITY = {
  plan: -20,
  set: -20,
  finish: -10,
  head: -15,
  first: -10,
  stitch: -5,
  subtitles: 5,
  pictures: 10,
  late: 50,
  tidy: 60,
};
export const chunkPriority = (index: number): number => (index === 0 ? PRIORITY.first : Math.min(index, PRIORITY.late));

/** Chunks and sound fail of the source; once more is for what else there may have been. */
const ATTEMPTS = 2;

const subjectOf = ({ titleId }: Pick<Key, "titleId">) => ({ kind: "title", id: titleId }) as const;
const payloadOf = ({ titleId, revision }: Key): Payload => ({ titleId, revision });
export const keyOf = ({ tenantId, payload }: JobRun<Payload>): Key => ({
  tenantId,
  titleId: payload.titleId,
  revision: payload.revision,
});

interface Order {
  readonly kind: string;
  readonly priority: number;
  readonly more?: object;
  /** Distinguishes jobs of one kind. */
  readonly part?: string | number;
  readonly attemptsMax?: number;
  readonly runAtMs?: number;
}
const enqueue = async (tx: Tx, key: Key, { kind, priority, more, part = "", ...order }: Order): Promise<void> => {
  await enqueueJob(tx, {
    kind,
    tenantId: key.tenantId,
    payload: { ...payloadOf(key), ...more },
    priority,
    key: `${key.titleId} ${key.revision} ${part}`.trim(),
    // What is left to do for a title that is gone is not cancelled with it.
    ...(kind === TIDY ? {} : { subject: subjectOf(key) }),
    ...order,
  });
};

export const enqueuePlan = (tx: Tx, key: Key) => enqueue(tx, key, { kind: PLAN, priority: PRIORITY.plan });
export const enqueueChunk = (tx: Tx, key: Key, index: number) =>
  enqueue(tx, key, {
    kind: CHUNK,
    priority: chunkPriority(index),
    more: { index },
    part: index,
    attemptsMax: ATTEMPTS,
  });
export const enqueueAudio = (tx: Tx, key: Key) =>
  enqueue(tx, key, { kind: AUDIO, priority: PRIORITY.first, attemptsMax: ATTEMPTS });
export const enqueueAudioHead = (tx: Tx, key: Key) =>
  enqueue(tx, key, { kind: AUDIO_HEAD, priority: PRIORITY.head, attemptsMax: ATTEMPTS });
export const enqueueSubtitles = (tx: Tx, key: Key) =>
  enqueue(tx, key, { kind: SUBTITLES, priority: PRIORITY.subtitles, attemptsMax: ATTEMPTS });
export const enqueueCaptions = (tx: Tx, key: Key) =>
  enqueue(tx, key, { kind: CAPTIONS, priority: PRIORITY.subtitles, attemptsMax: ATTEMPTS });
export const enqueuePictures = (tx: Tx, key: Key) =>
  enqueue(tx, key, { kind: PICTURES, priority: PRIORITY.pictures, attemptsMax: ATTEMPTS });
export const enqueueStitch = (tx: Tx, key: Key, rung: string) =>
  enqueue(tx, key, { kind: STITCH, priority: PRIORITY.stitch, more: { rung }, part: rung });
export const enqueueFinish = (tx: Tx, key: Key) => enqueue(tx, key, { kind: FINISH, priority: PRIORITY.finish });
export const enqueueSet = (tx: Tx, key: Key, serial: number) =>
  enqueue(tx, key, { kind: SET, priority: PRIORITY.set, part: serial });
export const enqueueTidy = (tx: Tx, key: Key, { what, runAtMs }: { what: TidyPayload["what"]; runAtMs: number }) =>
  enqueue(tx, key, { kind: TIDY, priority: PRIORITY.tidy, more: { what }, part: what, runAtMs });

/** Jobs that were running hear of its end within seconds, and may put an object until then. */
export const SETTLED_MS = 60_000;

/**
 * Ended for good. Jobs of the transcode look at its row: those that wait end without doing anything, those that run
 * stop. Other work for the title (its enrichment, its removal) has the same subject and goes on.
 */
export const hasEnded = (transcode: Pick<Transcode, "state"> | null): boolean =>
  transcode === null || ["complete", "failed", "cancelled"].includes(transcode.state);

/** One job of it can't be done, so that all of it can't: the others end too, and the reason is told. */
export const failTranscode = async (
  tx: Tx,
  key: Key,
  why: { readonly code: string; readonly reason: string; readonly jobId: string; readonly nowMs: number },
): Promise<void> => {
  const transcode = await lockTranscode(tx, key);
  if (transcode === null || hasEnded(transcode)) return;
  const { code, reason, jobId, nowMs } = why;
  await setFailed(tx, key, { code, reason, jobId });
  await enqueueTidy(tx, key, { what: "all", runAtMs: nowMs + SETTLED_MS });
  await publishFact(tx, transcodeFailed, key.titleId, { ...key, code, reason: reason.slice(0, 1_000) });
};

/** Nobody wants it any more. */
export const cancelTranscode = async (tx: Tx, key: Key, nowMs: number): Promise<void> => {
  await enterState(tx, key, "cancelled");
  await enqueueTidy(tx, key, { what: "all", runAtMs: nowMs + SETTLED_MS });
};
