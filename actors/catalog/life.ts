/**
 * The life of a title.
 *
 *   draft ⇄ processing → ready ⇄ scheduled → published → withdrawn
 *
 * - draft → processing: a source came, or its transcode is tried again. processing → draft: it failed.
 * - processing → ready: every rung is whole.
 * - ready, processing → published or scheduled: somebody publishes it, or it publishes itself; of a title in processing
 *   its beginning must be playable. A series, a season and a live channel have nothing to process: draft → published.
 * - scheduled → published: its window opens. scheduled → ready (or to where it was): the schedule is taken back.
 * - scheduled, published → withdrawn: its window ends, or somebody withdraws it. published → scheduled: its window was
 *   moved to later. withdrawn → published, scheduled: it is published again.
 * - scheduled, published, withdrawn → draft: the only source that it has failed while it was already being played.
 *
 * A title with a whole revision keeps its state while a newer source is worked on, and when that fails. News of another
 * revision than the newest changes nothing.
 */
import { fail } from "../../contracts/errors.ts";
import type { TitleRow } from "./catalog.store.ts";

export type LifeFact = "published" | "withdrawn";
type State = TitleRow["state"];
export interface ProcessingError {
  readonly code: string;
  readonly reason: string;
}

export const ARROWS: Readonly<Record<State, readonly State[]>> = {
  draft: ["processing", "scheduled", "published"],
  processing: ["draft", "ready", "scheduled", "published"],
  ready: ["scheduled", "published"],
  scheduled: ["draft", "processing", "ready", "published", "withdrawn"],
  published: ["draft", "scheduled", "withdrawn"],
  withdrawn: ["draft", "scheduled", "published"],
};

/** Kinds that are made from a file; the others have nothing to process. */
export const isFilm = (kind: TitleRow["kind"]): boolean => kind === "movie" || kind === "episode" || kind === "clip";

export class Life {
  /** In the order in which they came about. */
  readonly facts: LifeFact[] = [];
  readonly #nowMs: number;
  #row: TitleRow;

  constructor(row: TitleRow, nowMs: number) {
    this.#row = row;
    this.#nowMs = nowMs;
  }

  /** As it is by now. */
  get row(): TitleRow {
    return this.#row;
  }

  /** A new source: its revision is the newest from now on. */
  attach(): void {
    const { kind, revision, state } = this.#row;
    if (!isFilm(kind)) this.#refuse(`a ${kind} has no file`);
    this.#row = { ...this.#row, revision: revision + 1, processingError: null };
    if (state === "draft") this.#enter("processing");
  }

  /** Of the newest revision, and it is not whole yet. */
  isNews(revision: number): boolean {
    const { revision: newest, readyRevision } = this.#row;
    return revision > 0 && revision === newest && revision !== readyRevision;
  }

  /** What has nothing to do with its state. */
  found(fields: Partial<TitleRow>): void {
    this.#row = { ...this.#row, ...fields };
  }

  started(revision: number): void {
    if (this.isNews(revision)) this.#resume();
  }

  playable(revision: number): void {
    if (!this.isNews(revision)) return;
    this.#resume();
    this.#row = { ...this.#row, playableRevision: revision };
    this.#publishItself();
  }

  complete(revision: number): void {
    if (!this.isNews(revision)) return;
    this.#resume();
    this.#row = { ...this.#row, playableRevision: revision, readyRevision: revision };
    if (this.#row.state === "processing") this.#enter("ready");
    this.#publishItself();
  }

  failed(revision: number, error: ProcessingError): void {
    if (!this.isNews(revision)) return;
    this.#row = { ...this.#row, processingError: error };
    if (this.#row.readyRevision !== null) return;
    this.#row = { ...this.#row, playableRevision: null };
    if (this.#row.state !== "draft") this.#enter("draft");
  }

  /** Now, or when its window opens; `atMs` moves the opening. */
  publish(atMs?: number): void {
    const { kind, channelId, playableRevision, state } = this.#row;
    if (isFilm(kind) && playableRevision === null) this.#refuse("nothing of it can be played yet");
    if (kind === "live" && channelId === null) this.#refuse("it has no channel");
    if (atMs !== undefined) this.#row = { ...this.#row, availableFrom: new Date(atMs) };
    if (this.#isOver()) this.#refuse("its window has ended");
    const next = this.#isEarly() ? "scheduled" : "published";
    // Another time of a schedule.
    if (next === "scheduled" && state === "scheduled") return;
    this.#enter(next);
  }

  unschedule(): void {
    if (this.#row.state !== "scheduled") this.#refuse("it is not scheduled");
    this.#enter(this.#resting());
  }

  withdraw(): void {
    if (this.#row.state !== "published") this.#refuse("it is not published");
    this.#enter("withdrawn");
  }

  /** What the clock, or a window that was changed, makes of it. */
  tick(): void {
    const { state } = this.#row;
    if (state !== "scheduled" && state !== "published") return;
    if (this.#isOver()) this.#enter("withdrawn");
    else if (state === "scheduled" && !this.#isEarly()) this.#enter("published");
    else if (state === "published" && this.#isEarly()) this.#enter("scheduled");
  }

  /** A deleted title is nowhere; should it come back, it is not published. */
  leave(): void {
    const { state, readyRevision } = this.#row;
    if (state === "published") this.#enter("withdrawn");
    if (state === "scheduled") this.#enter(this.#resting());
    // Its transcode ends with it.
    if (readyRevision !== null || !isFilm(this.#row.kind)) return;
    this.#row = { ...this.#row, playableRevision: null };
    if (this.#row.state !== "draft") this.#enter("draft");
  }

  /** A transcode that had failed goes on. */
  #resume(): void {
    this.#row = { ...this.#row, processingError: null };
    if (this.#row.state === "draft") this.#enter("processing");
  }

  #publishItself(): void {
    const { autoPublish, state } = this.#row;
    if (autoPublish && (state === "processing" || state === "ready") && !this.#isOver()) this.publish();
  }

  #resting(): State {
    if (!isFilm(this.#row.kind)) return "draft";
    return this.#row.readyRevision === null ? "processing" : "ready";
  }

  #isEarly(): boolean {
    const { availableFrom } = this.#row;
    return availableFrom !== null && availableFrom.getTime() > this.#nowMs;
  }

  #isOver(): boolean {
    const { availableUntil } = this.#row;
    return availableUntil !== null && availableUntil.getTime() <= this.#nowMs;
  }

  #enter(next: State): void {
    const { state } = this.#row;
    if (!ARROWS[state].includes(next)) this.#refuse(state === next ? "it is so already" : `it can't become ${next}`);
    if (state === "published") this.facts.push("withdrawn");
    if (next === "published") this.facts.push("published");
    this.#row = { ...this.#row, state: next };
  }

  #refuse(reason: string): never {
    const { id: titleId, state } = this.#row;
    return fail("TITLE_STATE", { titleId, state, reason });
  }
}

/** When the clock has something to do; null: never. */
export const dueAt = ({ state, availableFrom, availableUntil, deletedAt }: TitleRow): Date | null => {
  if (deletedAt !== null) return null;
  if (state === "published") return availableUntil;
  if (state !== "scheduled") return null;
  if (availableUntil !== null && availableFrom !== null && availableUntil < availableFrom) return availableUntil;
  return availableFrom ?? new Date(0);
};

/** Whether viewers may have it at this moment, whatever the clock's next round makes of it. */
export const isOpen = (row: TitleRow, nowMs: number): boolean =>
  row.state === "published" &&
  row.deletedAt === null &&
  (row.availableFrom === null || row.availableFrom.getTime() <= nowMs) &&
  (row.availableUntil === null || row.availableUntil.getTime() > nowMs);
