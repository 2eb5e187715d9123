/** Subtitles of titles: whole WebVTT in the object store, read once, cut where the media are cut. */
import { LRUCache } from "lru-cache";
import type { ContentSet } from "../../../contracts/content-set.ts";
import { fail } from "../../../contracts/errors.ts";
import type { SegmentPlan } from "../../../domain/vod/plan.ts";
import { segmentInterval } from "../../../domain/vod/selection.ts";
import { SUBTITLE_BYTES_MAX, type TimedText } from "../../../domain/webvtt/cue.ts";
import { readSubtitle } from "../../../domain/webvtt/read.ts";
import { webvttFile, webvttSegment } from "../../../domain/webvtt/write.ts";
import type { ObjectStore } from "../../../lib/objects/port.ts";
import { Once } from "../once.ts";
import { inTime } from "./look-up.ts";

export interface SubtitleName {
  readonly id: number;
  readonly language: string;
}

const KEPT_BYTES_MAX = 32 * 2 ** 20;
const CUE_BYTES = 200;
const WAIT_MS = 4_000;

const sizeOf = ({ cues }: TimedText): number =>
  cues.reduce((sum, { text, settings }) => sum + 2 * (text.length + settings.length) + CUE_BYTES, CUE_BYTES);

/** The subtitle under a name; NOT_FOUND. */
export const subtitleIn = (set: ContentSet, { id, language }: SubtitleName): ContentSet["subtitles"][number] =>
  set.subtitles.find((one) => one.id === id && one.language === language) ?? fail("NOT_FOUND");

export class ContentSubtitles {
  readonly #objects: () => Promise<ObjectStore>;
  readonly #kept = new LRUCache<string, TimedText>({ maxSize: KEPT_BYTES_MAX, sizeCalculation: sizeOf });
  readonly #once = new Once<TimedText>();

  constructor(objects: () => Promise<ObjectStore>) {
    this.#objects = objects;
  }

  /** One segment by its 1-based number. */
  async segment(set: ContentSet, name: SubtitleName, at: { plan: SegmentPlan; number: number }): Promise<string> {
    const { plan, number } = at;
    if (number > plan.count) fail("SEGMENT_NOT_FOUND", { path: set.contentId, segment: number });
    return webvttSegment(await this.#text(set, name), segmentInterval(plan, number - 1));
  }

  /** All of it. */
  async whole(set: ContentSet, name: SubtitleName): Promise<string> {
    return webvttFile(await this.#text(set, name), { startSeconds: 0, endSeconds: Number.MAX_SAFE_INTEGER });
  }

  async #text(set: ContentSet, name: SubtitleName): Promise<TimedText> {
    const { path } = subtitleIn(set, name);
    const kept = this.#kept.get(path); // nothing is written to a name twice
    if (kept) return kept;
    return this.#once.take(path, { read: () => this.#read(path), keep: (text) => this.#kept.set(path, text) });
  }

  async #read(path: string): Promise<TimedText> {
    const objects = await this.#objects();
    const late = (): never => fail("OBJECT_STORE_DOWN");
    const reading = objects.getBytes({ bucket: "segments", key: path }, { bytesMax: SUBTITLE_BYTES_MAX });
    const { bytes } = await inTime(reading, { ms: WAIT_MS, late });
    return readSubtitle(bytes) ?? fail("MEDIA_UNSUPPORTED", { path, reason: "it is no WebVTT" });
  }
}
