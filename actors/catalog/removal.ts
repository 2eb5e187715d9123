/**
 * The end of a title: deleted, it is nowhere at once; then a job removes its objects and its rows. Until that job has
 * begun a deletion can be taken back.
 */
import type { z } from "zod";
import type { deleteTitle } from "../../contracts/catalog.ts";
import { contentDeleted, contentPurged, contentUpdated, type Title } from "../../contracts/catalog.ts";
import { publicMarkPath, setPath } from "../../contracts/content-set.ts";
import { fail } from "../../contracts/errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import { publishFact } from "../../lib/events/events.ts";
import { cancelJobs, enqueueJob, type JobHandler, type JobOutcome, type JobRun } from "../../lib/jobs/jobs.ts";
import type { Bucket, ObjectStore } from "../../lib/objects/port.ts";
import * as store from "./catalog.store.ts";
import { viewOf } from "./changes.ts";
import { ENRICHMENT_SUBJECT } from "./enrich.ts";
import { indexTitle } from "./index.store.ts";
import { Life } from "./life.ts";
import { checkVersion, locked, place } from "./writing.ts";

export const PURGE_JOB = "content.purge";
/** Jobs on a title's media; they end when it is deleted. */
const TITLE_SUBJECT = "title";
const PURGE_SUBJECT = "title.purge";
const OWN_BUCKETS = ["segments", "thumbnails", "trailers"] as const satisfies Bucket[];
const DELETE_BATCH = 500;

export interface RemovalDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly objects: ObjectStore;
  /** Between a deletion and its purge. */
  readonly graceMs: number;
}
interface Purge {
  readonly titleId: string;
}
type Deleting = z.output<typeof deleteTitle.input>;

/** Everything below a prefix, in batches: a title may have tens of thousands of objects. */
export const removeBelow = async (
  objects: ObjectStore,
  { bucket, prefix, signal }: { readonly bucket: Bucket; readonly prefix: string; readonly signal: AbortSignal },
): Promise<void> => {
  let keys: string[] = [];
  for await (const { key } of objects.list(bucket, { prefix })) {
    signal.throwIfAborted();
    keys.push(key);
    if (keys.length < DELETE_BATCH) continue;
    await objects.delete(bucket, keys);
    keys = [];
  }
  if (keys.length > 0) await objects.delete(bucket, keys);
};

export class Removal {
  readonly #deps: RemovalDeps;

  constructor(deps: RemovalDeps) {
    this.#deps = deps;
  }

  /** A series goes with its seasons, a season with its episodes. */
  delete(tenantId: string, input: Deleting): Promise<{ data: { id: string; deletedCount: number; version: number } }> {
    return this.#deps.db.tenantTx(tenantId, async (tx) => {
      const root = await locked(tx, input);
      const family = await store.familyOf(tx, root.id);
      let deletedCount = 0;
      for (const id of family) {
        const row = await store.lockTitle(tx, id);
        if (!row || row.deletedAt !== null) continue;
        await this.#hide(tx, row, root.id);
        deletedCount += 1;
      }
      return { data: { id: root.id, deletedCount, version: root.version + 1 } };
    });
  }

  /** With what its deletion took along. */
  restore(tenantId: string, { titleId, ifVersion }: Deleting): Promise<{ data: Title }> {
    return this.#deps.db.tenantTx(tenantId, async (tx) => {
      const root = await store.lockTitle(tx, titleId);
      if (!root) return fail("TITLE_NOT_FOUND", { titleId });
      checkVersion(root, ifVersion);
      const refuse = (reason: string) => fail("TITLE_STATE", { titleId, state: "deleted", reason });
      if (root.deletedAt === null) return fail("TITLE_STATE", { titleId, state: root.state, reason: "it is there" });
      if (root.purgingAt !== null) return refuse("it is being removed");
      const parent = root.parentId === null ? undefined : await store.titleById(tx, root.parentId);
      if (parent && parent.deletedAt !== null) return refuse("what it is part of is deleted");
      for (const id of await store.deletedWith(tx, titleId)) await this.#show(tx, id);
      // One that went along with its parent is restored by itself only here.
      if (root.deletedWith !== titleId) await this.#show(tx, titleId);
      return { data: viewOf((await store.titleById(tx, titleId))!) }; // it is locked
    });
  }

  /** The job; it may be done again from its beginning. */
  readonly purge: JobHandler<Purge> = { run: (run) => this.#purge(run) };

  /** In a transaction of its tenant: the job that purges a deleted title, where it has none. */
  async enqueuePurge(tx: Tx, { id, tenantId, deletedAt }: store.TitleRow): Promise<void> {
    await enqueueJob(tx, {
      kind: PURGE_JOB,
      tenantId,
      payload: { titleId: id } satisfies Purge,
      key: id,
      runAtMs: (deletedAt?.getTime() ?? this.#deps.clock.nowMs()) + this.#deps.graceMs,
      subject: { kind: PURGE_SUBJECT, id },
    });
  }

  async #hide(tx: Tx, row: store.TitleRow, deletedWith: string): Promise<void> {
    const { id: titleId, tenantId } = row;
    const nowMs = this.#deps.clock.nowMs();
    const life = new Life(row, nowMs);
    life.leave();
    // `content.deleted` says it all: that it was withdrawn before is nobody's business.
    const deleted = { ...life.row, deletedAt: new Date(nowMs), deletedWith };
    await store.updateTitle(tx, deleted);
    await place(tx, deleted);
    await indexTitle(tx, deleted);
    await cancelJobs(tx, { tenantId, subject: { kind: TITLE_SUBJECT, id: titleId } });
    await this.enqueuePurge(tx, deleted);
    await publishFact(tx, contentDeleted, titleId, { tenantId, titleId });
  }

  async #show(tx: Tx, titleId: string): Promise<void> {
    const row = await store.lockTitle(tx, titleId);
    if (!row || row.deletedAt === null || row.purgingAt !== null) return;
    const { tenantId } = row;
    const restored = { ...row, deletedAt: null, deletedWith: null };
    await cancelJobs(tx, { tenantId, subject: { kind: PURGE_SUBJECT, id: titleId } });
    await place(tx, restored);
    await store.updateTitle(tx, restored);
    await indexTitle(tx, restored);
    await publishFact(tx, contentUpdated, titleId, { tenantId, titleId, version: row.version + 1 });
  }

  async #purge({ tenantId, payload: { titleId }, signal }: JobRun<Purge>): Promise<JobOutcome> {
    const { db, objects } = this.#deps;
    const paths = await db.tenantTx(tenantId, (tx) => this.#beginPurge(tx, titleId));
    // It was restored, or purged before.
    if (paths === null) return {};
    await this.#endWork(tenantId, titleId);
    // First what makes it playable: half a title is none.
    await objects.delete("segments", [setPath(titleId), publicMarkPath(titleId)]);
    for (const bucket of OWN_BUCKETS) await removeBelow(objects, { bucket, prefix: `${titleId}/`, signal });
    await objects.delete("sources", paths);
    return {
      write: async (tx) => {
        await store.removeTitle(tx, titleId);
        await publishFact(tx, contentPurged, titleId, { tenantId, titleId });
      },
    };
  }

  /**
   * What was running when the title was deleted may have put further jobs on the list: nothing may be made any more of
   * a source that goes now. A job that is cancelled puts none, so that this comes to an end.
   */
  async #endWork(tenantId: string, titleId: string): Promise<void> {
    for (const kind of [TITLE_SUBJECT, ENRICHMENT_SUBJECT]) {
      const subject = { kind, id: titleId };
      while ((await this.#deps.db.tenantTx(tenantId, (tx) => cancelJobs(tx, { tenantId, subject }))) > 0);
    }
  }

  /** From here on there is no way back. Gives the paths of its sources; null: there is nothing to purge. */
  async #beginPurge(tx: Tx, titleId: string): Promise<string[] | null> {
    const row = await store.lockTitle(tx, titleId);
    if (!row || row.deletedAt === null) return null;
    if (row.purgingAt === null) await store.updateTitle(tx, { ...row, purgingAt: new Date(this.#deps.clock.nowMs()) });
    return store.sourcePaths(tx, titleId);
  }
}
