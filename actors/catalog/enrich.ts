/**
 * Enrichment: what a metadata service knows of a title. It happens beside the title's life and holds up none of it:
 * jobs look a title up and write what they found, and leave alone what a person has set.
 *
 *   waiting → matched      one fits without a doubt, or a person chose it
 *           ↘ unsure       several fit: a person chooses
 *           ↘ unmatched    none does
 *           ↘ failed       the service did not answer, however often it was asked
 *   any → waiting          asked for again, or the time for a refresh has come
 */
import type { z } from "zod";
import type { Enrichment as Asked, patchEnrichmentSettings, startEnrichment } from "../../contracts/artwork.ts";
import { codeOf, ERRORS, fail } from "../../contracts/errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import type { JobHandler, JobRun, JobSpec } from "../../lib/jobs/port.ts";
import type { Log } from "../../lib/log/log.ts";
import type { Tmdb } from "../../lib/tmdb/tmdb.ts";
import type { ArtworkRoom } from "./artwork.ts";
import { titleById } from "./catalog.store.ts";
import * as store from "./enrich.store.ts";
import { type Known, type Learned, learn } from "./enrich-learn.ts";
import { addGenres, applyEnriched } from "./enrich-write.ts";
import { locked } from "./writing.ts";

export const ENRICH = "catalog.enrich";
export const ENRICH_PEOPLE = "catalog.enrichPeople";
/** Apart from work on the title's media, whose progress a refresh of next month would never let end. */
export const ENRICHMENT_SUBJECT = "title.enrichment";
const REFRESH_MS = 30 * 86_400_000;
const ATTEMPTS_MAX = 8;

export interface EnrichDeps {
  readonly db: Database;
  /** Null: no token is set, nothing is asked. */
  readonly tmdb: Tmdb | null;
  readonly artwork: Pick<ArtworkRoom, "offer" | "chooseFound" | "fetchPortrait" | "forgetPortrait">;
  readonly enqueue: (tx: Tx, spec: JobSpec) => Promise<unknown>;
  readonly clock: Clock;
  readonly log: Log;
}
export interface EnrichPayload {
  readonly titleId: string;
}
type StartInput = z.output<typeof startEnrichment.input>;

const NONE: Omit<z.input<typeof Asked>, "state"> = {
  candidates: [],
  chosen: null,
  chosenByHand: false,
  language: null,
  error: null,
  refreshedAt: null,
  version: 1,
};

export class Enrichment {
  readonly #deps: EnrichDeps;

  constructor(deps: EnrichDeps) {
    this.#deps = deps;
  }

  async get(tenantId: string, titleId: string) {
    const { db, tmdb } = this.#deps;
    return db.tenantTx(tenantId, async (tx) => {
      if (!(await store.hasTitle(tx, titleId))) return fail("TITLE_NOT_FOUND", { titleId });
      const row = await store.readEnrichment(tx, titleId);
      if (!row) return { data: { ...NONE, state: tmdb === null ? ("off" as const) : ("none" as const) } };
      const { state, candidates, tmdbId, byHand, language, error, version } = row;
      const refreshedAt = row.refreshedAt?.toISOString() ?? null;
      const shown = tmdb === null && state === "waiting" ? ("off" as const) : state;
      const data = { candidates: [...candidates], chosen: tmdbId, chosenByHand: byHand, language, error, refreshedAt };
      return { data: { ...data, version, state: shown } };
    });
  }

  /** By a person. */
  async start(tenantId: string, input: StartInput) {
    const { titleId } = input;
    const said = { tmdbId: input.tmdbId ?? null, language: input.language ?? null };
    if (this.#deps.tmdb === null) return fail("ENRICHMENT_OFF");
    await this.#deps.db.tenantTx(tenantId, async (tx) => {
      await locked(tx, { titleId });
      const { ifVersion } = input;
      const version = (await store.lockEnrichment(tx, titleId))?.version ?? NONE.version;
      if (ifVersion !== undefined && ifVersion !== version) return fail("VERSION_CONFLICT", { version });
      await store.askEnrichment(tx, { tenantId, titleId }, said);
      // Without a key: one that runs already may have read the choice before this one.
      await this.#enqueue(tx, { tenantId, titleId });
    });
    return this.get(tenantId, titleId);
  }

  async settings(tenantId: string) {
    return { data: await this.#deps.db.tenantTx(tenantId, (tx) => store.readSettings(tx)) };
  }

  async patchSettings(tenantId: string, input: z.output<typeof patchEnrichmentSettings.input>) {
    const { ifVersion, language } = input;
    return this.#deps.db.tenantTx(tenantId, async (tx) => {
      const before = await store.readSettings(tx);
      const { version } = before;
      if (ifVersion !== undefined && ifVersion !== version) return fail("VERSION_CONFLICT", { version });
      if (language === undefined) return { data: before };
      const data = await store.writeSettings(tx, tenantId, { language, ifVersion });
      // Somebody else was first.
      return { data: data ?? fail("VERSION_CONFLICT", { version: (await store.readSettings(tx)).version }) };
    });
  }

  /** Of a title that is new, or has a file now; one that is matched already is left to its refreshes. */
  async heardOf(of: store.TitleOf): Promise<void> {
    if (this.#deps.tmdb === null) return;
    await this.#deps.db.tenantTx(of.tenantId, async (tx) => {
      if (!(await store.hasTitle(tx, of.titleId))) return;
      const row = await store.readEnrichment(tx, of.titleId);
      if (row?.state === "matched" || row?.state === "waiting") return;
      await store.askEnrichment(tx, of, { tmdbId: null, language: null });
      await this.#enqueue(tx, of, { key: of.titleId });
    });
  }

  /** The handler of jobs of the kind `catalog.enrich`. */
  readonly job: JobHandler<EnrichPayload> = {
    run: async (run) => {
      try {
        return await this.#run(run);
      } catch (error) {
        await this.#noteError(run, error);
        throw error;
      }
    },
    ended: async (tx, { payload, reason }) => store.setError(tx, payload.titleId, { error: reason, final: true }),
  };

  async #run({ tenantId, payload: { titleId }, signal }: JobRun<EnrichPayload>) {
    const { tmdb, clock } = this.#deps;
    if (tmdb === null) return {};
    const of = { tenantId, titleId };
    const known = await this.#deps.db.tenantTx(tenantId, (tx) => this.#known(tx, titleId));
    if (!known) return {};
    const learned = await learn(tmdb, known, { signal, nowYear: new Date(clock.nowMs()).getUTCFullYear() });
    if (learned.found) await this.#showPictures(of, learned, { signal, language: known.language });
    return { write: (tx: Tx) => this.#write(tx, of, { known, learned }) };
  }

  /** What the search starts from; undefined where the title is gone. */
  async #known(tx: Tx, titleId: string): Promise<Known | undefined> {
    const title = await titleById(tx, titleId);
    if (!title || title.deletedAt !== null) return undefined;
    const row = await store.readEnrichment(tx, titleId);
    const parent = title.parentId === null ? undefined : await titleById(tx, title.parentId);
    const seriesId = title.kind === "season" ? title.parentId : (parent?.parentId ?? null);
    const series = seriesId === null ? undefined : await store.readEnrichment(tx, seriesId);
    const byHand = title.manualFields.includes("externalIds.tmdb") ? Number(title.externalIds.tmdb) : Number.NaN;
    return {
      title,
      chosen: row?.byHand ? row.tmdbId : Number.isSafeInteger(byHand) && byHand > 0 ? byHand : (row?.tmdbId ?? null),
      language: await store.languageOf(tx, row?.language, series?.language),
      seriesTmdbId: series?.state === "matched" ? series.tmdbId : null,
      seasonNumber: title.kind === "season" ? title.number : (parent?.number ?? null),
    };
  }

  async #write(tx: Tx, of: store.TitleOf, { known, learned }: { known: Known; learned: Learned }): Promise<void> {
    // A refresh may come to a title whose row was never made.
    if (!(await store.hasTitle(tx, of.titleId))) return;
    const row = await store.lockEnrichment(tx, of.titleId);
    if (!row) await store.askEnrichment(tx, of, { tmdbId: null, language: null });
    // Meanwhile a person chose another: the job of that choice writes.
    if (row?.byHand && row.tmdbId !== known.chosen) return;
    const { state, candidates, tmdbId, error, found } = learned;
    await store.setOutcome(tx, of.titleId, { state, candidates, tmdbId, error });
    if (!found) return;
    await addGenres(tx, of.tenantId, found.genres);
    await applyEnriched(tx, of, learned);
    for (const titleId of await store.partsOf(tx, of.titleId)) {
      await store.askEnrichment(tx, { tenantId: of.tenantId, titleId }, { tmdbId: null, language: null });
      await this.#enqueue(tx, { tenantId: of.tenantId, titleId }, { key: titleId });
    }
    await this.#enqueue(tx, of, { kind: ENRICH_PEOPLE, key: of.titleId });
    const runAtMs = this.#deps.clock.nowMs() + REFRESH_MS;
    // The job that writes this may be a refresh itself, and has its key until it has ended.
    const month = new Date(runAtMs).toISOString().slice(0, 7);
    await this.#enqueue(tx, of, { runAtMs, key: `${of.titleId} ${month}` });
  }

  /** Pictures are of use without the rest, and the rest without them. */
  async #showPictures(
    of: store.TitleOf,
    { found }: Learned,
    { signal, language }: { readonly signal: AbortSignal; readonly language: string },
  ): Promise<void> {
    const { artwork, log } = this.#deps;
    if (!found || found.artwork.length === 0) return;
    try {
      const rows = await artwork.offer(of, "tmdb", found.artwork);
      const seen = new Set<string>();
      for (const row of rows) {
        // The best of its kind without words, in the title's language, and in English.
        const isWanted = ["", "en", language.slice(0, 2)].includes(row.language);
        const place = `${row.kind} ${row.language}`;
        if (!isWanted || seen.has(place)) continue;
        seen.add(place);
        await artwork.chooseFound(of, row, signal);
      }
    } catch (error) {
      if (signal.aborted) throw error;
      log.warn({ err: error, titleId: of.titleId }, "pictures of a title could not be fetched");
    }
  }

  /** For people to read while it is tried again; what can't be helped ends the job, which says so. */
  async #noteError({ tenantId, payload }: JobRun<EnrichPayload>, error: unknown): Promise<void> {
    const code = codeOf(error);
    if (code === undefined || !ERRORS[code].retry) return;
    const text = (error as Error).message; // it has a code of the catalogue
    await this.#deps.db
      .tenantTx(tenantId, (tx) => store.setError(tx, payload.titleId, { error: text, final: false }))
      .catch(() => {}); // the database may be what is away
  }

  #enqueue(tx: Tx, { tenantId, titleId }: store.TitleOf, spec: Partial<JobSpec> = {}): Promise<unknown> {
    const subject = { kind: ENRICHMENT_SUBJECT, id: titleId };
    const payload: EnrichPayload = { titleId };
    return this.#deps.enqueue(tx, { kind: ENRICH, tenantId, payload, subject, attemptsMax: ATTEMPTS_MAX, ...spec });
  }
}
