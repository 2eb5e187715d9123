/** `set.json` of a title out of its rows, and its way into the object store, which is forward only. */
import { type ContentSet, ContentSet as Schema, type SetRung, setPath } from "../../contracts/content-set.ts";
import { codeOf } from "../../contracts/errors.ts";
import { secondsAt } from "../../domain/transcode/timing.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import { durationOf, HEAD_SECONDS, type Plan } from "./plan.ts";
import type { ChunkRow, RungRow, Transcode } from "./transcoder.store.ts";

const SET_BYTES_MAX = 16 * 2 ** 20; // seven rungs of 24 hours in chunks of a minute: 1 MB
const RACES_MAX = 5;

interface Rows {
  readonly transcode: Transcode;
  readonly plan: Plan;
  readonly chunks: readonly ChunkRow[];
  readonly rungs: readonly RungRow[];
}

/** Chunks that are there without a hole from the beginning on. */
export const consecutive = (chunks: readonly ChunkRow[]): readonly ChunkRow[] => {
  const hole = chunks.findIndex(({ paths }) => paths === null);
  return hole === -1 ? chunks : chunks.slice(0, hole);
};

/** Of those, what there is sound for, too. */
export const playable = (
  { plan, audioDone, audioHeadPath }: Pick<Transcode, "plan" | "audioDone" | "audioHeadPath">,
  chunks: readonly ChunkRow[],
): readonly ChunkRow[] => {
  const there = consecutive(chunks);
  if (plan === null) return [];
  if (audioDone) return there;
  if (audioHeadPath === null) return [];
  return there.filter(({ until }) => secondsAt(until, plan.rate) <= HEAD_SECONDS);
};

/** Null: nothing can be played yet. Complete once every rung is one file. */
export const composeSet = ({ transcode, plan, chunks, rungs }: Rows): ContentSet | null => {
  const isComplete = plan.rungs.every(({ name }) => rungs.some((rung) => rung.name === name));
  const there = playable(transcode, chunks);
  if (!isComplete && there.length === 0) return null;
  const setRung = (rung: Plan["rungs"][number]): SetRung => ({
    name: rung.name,
    codec: rung.codec,
    width: rung.width,
    height: rung.height,
    maxBitsPerSecond: rung.kbps * 1000,
    dynamicRange: rung.dynamicRange,
    path: isComplete ? (rungs.find(({ name }) => name === rung.name)?.path ?? null) : null,
    chunks: isComplete
      ? []
      : there.map(({ from, until, paths }) => ({ path: paths?.[rung.name] ?? "", frameCount: until - from })),
  });
  return {
    format: 1,
    contentId: transcode.titleId,
    tenantId: transcode.tenantId,
    revision: transcode.revision,
    state: isComplete ? "complete" : "growing",
    encryption: transcode.encryption,
    durationSeconds: durationOf(plan),
    frameCount: plan.frameCount,
    frameRate: plan.rate,
    rungs: plan.rungs.map(setRung),
    audio: plan.sound.map(({ language, name, channels, isDefault }) => ({ language, name, channels, isDefault })),
    audioPath: isComplete ? null : transcode.audioDone ? transcode.audioPath : transcode.audioHeadPath,
    subtitles: [...transcode.subtitles],
    storyboardPath: transcode.storyboardPath,
  };
};

/** How far a set has come; a later one is greater in the first place that differs. */
const stepsOf = (set: ContentSet): number[] => [
  set.revision,
  set.state === "complete" ? 1 : 0,
  set.rungs[0]?.chunks.length ?? 0,
  set.subtitles.length,
  set.storyboardPath === null ? 0 : 1,
];
const isAhead = (set: ContentSet, other: ContentSet): boolean => {
  const [mine, theirs] = [stepsOf(set), stepsOf(other)];
  const differs = mine.findIndex((step, i) => step !== theirs[i]);
  return differs !== -1 && (mine[differs] ?? 0) > (theirs[differs] ?? 0);
};

interface Current {
  readonly etag: string;
  readonly set: ContentSet | null;
}
const currentSet = async (objects: ObjectStore, contentId: string): Promise<Current | null> => {
  try {
    const name = { bucket: "segments", key: setPath(contentId) } as const;
    const { stat, bytes } = await objects.getBytes(name, { bytesMax: SET_BYTES_MAX });
    return { etag: stat.etag, set: parsed(bytes) };
  } catch (error) {
    if (codeOf(error) === "OBJECT_NOT_FOUND") return null;
    throw error;
  }
};
/** One that can't be read is nobody's. */
const parsed = (bytes: Buffer): ContentSet | null => {
  try {
    return Schema.parse(JSON.parse(bytes.toString("utf8")));
  } catch {
    return null;
  }
};

/**
 * Puts it unless the one that is there has come as far. Callers hold the title's lock; the condition is for one that
 * lost it and doesn't know yet. A storyboard or subtitles that a later look at the rows has stay.
 */
export const putSet = async (objects: ObjectStore, set: ContentSet): Promise<void> => {
  const body = Buffer.from(JSON.stringify(Schema.parse(set)));
  const name = { bucket: "segments", key: setPath(set.contentId) } as const;
  for (let race = 0; ; race += 1) {
    const current = await currentSet(objects, set.contentId);
    if (current?.set && !isAhead(set, current.set)) return;
    const condition = current === null ? ({ ifAbsent: true } as const) : { ifMatch: current.etag };
    try {
      await objects.put(name, body, { contentType: "application/json", ...condition });
      return;
    } catch (error) {
      if (codeOf(error) !== "OBJECT_CHANGED" || race >= RACES_MAX) throw error;
    }
  }
};

/** Takes away what a failed or deleted revision published; an older or newer one stays. */
export const dropSet = async (objects: ObjectStore, contentId: string, revision: number): Promise<void> => {
  const current = await currentSet(objects, contentId);
  if (current?.set?.revision === revision) await objects.delete("segments", [setPath(contentId)]);
};
