/**
 * Who is let in to stored media, as the fleet tells it: asked for every few seconds, hinted at in between, and kept on
 * the edge's own disk, so that an edge that starts without anybody else knows keys and revocations. What was revoked is
 * told once, piece by piece: an edge asks for what is newer than the last that it has.
 */
import { join } from "node:path";
import { z } from "zod";
import { MediaAdmission, RevocationCursor } from "../../contracts/playback.ts";
import type { Clock } from "../../lib/clock.ts";
import { type AdmissionNews, type AskAdmission, entriesIn, readAdmission } from "../../lib/crypto/admission-news.ts";
import { Revocations } from "../../lib/crypto/revocations.ts";
import type { Log } from "../../lib/log/log.ts";
import { readKept, writeKept } from "./kept-file.ts";

/** A revocation whose hint was lost is known by then: with the time of the question, within 4 s. */
const REFRESH_MS = 3_000;
/** All of it is written at once, so not at each change: 3 MB for 100,000 revoked sessions. */
const WRITE_MS = 1_000;

export interface AdmissionFeedDeps {
  readonly path: string;
  /** Rejects when nobody answers. */
  readonly ask: AskAdmission;
  /** Told what has changed; `whole` gives all that holds. */
  readonly told: (news: AdmissionNews, whole: () => AdmissionNews) => void;
  readonly log: Log;
  readonly clock: Clock;
}

/** On disk. */
const Kept = z.object({ admission: MediaAdmission, revoked: z.base64(), cursor: RevocationCursor });

export const admissionPath = (dataDir: string): string => join(dataDir, "edge", "admission.json");

export class AdmissionFeed {
  readonly #deps: AdmissionFeedDeps;
  readonly #revocations = new Revocations();
  #admission: MediaAdmission | null = null;
  #cursor = "";
  #timer: NodeJS.Timeout | undefined;
  #writeTimer: NodeJS.Timeout | undefined;
  #asking: Promise<void> | undefined;
  #isSilent = false;
  #isStopped = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(deps: AdmissionFeedDeps) {
    this.#deps = deps;
  }

  /** Resolves when what is on disk is told; live media waits for no answer. */
  async start(): Promise<void> {
    await this.#load();
    void this.refresh();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#asking;
    if (this.#writeTimer) this.#write();
    await this.#writing;
  }

  /** These were revoked, as somebody says: at once. */
  hinted(revoked: Uint8Array): void {
    this.#use({ admission: null, revoked });
  }

  refresh(): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    this.#asking ??= this.#refresh().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #refresh(): Promise<void> {
    const { ask, log } = this.#deps;
    clearTimeout(this.#timer);
    try {
      await readAdmission(ask, this.#cursor, (news, cursor) => {
        this.#cursor = cursor;
        this.#use(news);
      });
      this.#isSilent = false;
    } catch (error) {
      if (!this.#isSilent) log.warn({ err: error }, "nobody says who is let in to stored media; going on");
      this.#isSilent = true;
    }
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.refresh(), REFRESH_MS);
  }

  #use({ admission, revoked }: AdmissionNews): void {
    const isNew = admission !== null && JSON.stringify(admission) !== JSON.stringify(this.#admission);
    if (isNew) this.#admission = admission;
    if (!isNew && revoked.length === 0) return;
    this.#revocations.add(revoked, this.#deps.clock.nowMs());
    this.#tell({ admission: isNew ? admission : null, revoked });
    this.#writeTimer ??= setTimeout(() => this.#write(), WRITE_MS);
  }

  #tell(news: AdmissionNews): void {
    this.#deps.told(news, () => ({ admission: this.#admission, revoked: this.#revocations.bytes() }));
  }

  /** One after the other. A full disk does not keep the edge from serving. */
  #write(): void {
    clearTimeout(this.#writeTimer);
    this.#writeTimer = undefined;
    const { path, log } = this.#deps;
    this.#writing = this.#writing
      .then(() => {
        if (!this.#admission) return;
        const revoked = this.#revocations.bytes().toString("base64");
        return writeKept(path, JSON.stringify({ admission: this.#admission, revoked, cursor: this.#cursor }));
      })
      .catch((error: unknown) => log.error({ err: error, path }, "who is let in can't be kept on disk"));
  }

  async #load(): Promise<void> {
    const { path, log, clock } = this.#deps;
    try {
      const text = await readKept(path);
      if (text === undefined) return;
      const { admission, revoked, cursor } = Kept.parse(JSON.parse(text));
      this.#admission = admission;
      this.#cursor = cursor;
      const entries = entriesIn(revoked);
      this.#revocations.add(entries, clock.nowMs());
      this.#tell({ admission, revoked: entries });
    } catch (error) {
      log.warn({ err: error, path }, "what is on disk of who is let in can't be used; it is asked for");
    }
  }
}
