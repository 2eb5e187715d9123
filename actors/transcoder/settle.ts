/** What follows when a part of a transcode is there: the next state, and who is told; in the part's transaction. */
import { fail } from "../../contracts/errors.ts";
import type { Tx } from "../../lib/db/database.ts";
import { consecutive, playable } from "./content-set.ts";
import { enqueueCaptions, enqueueFinish, enqueueSet, enqueueStitch } from "./kinds.ts";
import {
  enterState,
  type Key,
  listChunks,
  listRungs,
  lockTranscode,
  nextSetSerial,
  setCaptions,
  type Transcode,
  type TranscodeState,
} from "./transcoder.store.ts";

/** Locks the row and makes sure that the part is still wanted. */
export const holdState = async (tx: Tx, key: Key, state: TranscodeState): Promise<Transcode> => {
  const transcode = await lockTranscode(tx, key);
  if (transcode?.state === state) return transcode;
  return fail("JOB_STATE", { state: transcode?.state ?? "over", reason: `the transcode is not ${state}` });
};

/**
 * After a part was written: more that can be played is told to the writer of set.json; with the last part the rungs
 * are stitched.
 */
export const settleParts = async (tx: Tx, key: Key, { isNews = false }: { isNews?: boolean } = {}): Promise<void> => {
  const transcode = await lockTranscode(tx, key);
  if (transcode?.plan == null) return;
  const chunks = await listChunks(tx, key);
  const there = playable(transcode, chunks).length;
  const isMore = there > transcode.chunksTold || isNews;
  if (there > 0 && isMore) await enqueueSet(tx, key, await nextSetSerial(tx, key, there));
  const areTextsDone = transcode.subtitlesDone && transcode.captions !== "wanted";
  if (!transcode.audioDone || !areTextsDone || consecutive(chunks).length < chunks.length) return;
  await enterState(tx, key, "stitching");
  for (const { name } of transcode.plan.rungs) await enqueueStitch(tx, key, name);
};

/** Captions inside of the picture were seen: they are read once. */
export const wantCaptions = async (tx: Tx, key: Key): Promise<void> => {
  if ((await lockTranscode(tx, key))?.captions !== "none") return;
  await setCaptions(tx, key, "wanted");
  await enqueueCaptions(tx, key);
};

/** After a rung was written. */
export const settleRungs = async (tx: Tx, key: Key): Promise<void> => {
  const transcode = await lockTranscode(tx, key);
  const rungs = await listRungs(tx, key);
  if (transcode?.plan?.rungs.every(({ name }) => rungs.some((rung) => rung.name === name)))
    await enqueueFinish(tx, key);
};
