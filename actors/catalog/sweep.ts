/**
 * The sweep: objects in the store that belong to no title and to no person any more (written by a transcoder after its
 * title was purged, say, or of an upload that nobody attached) are removed once they are old enough. Deleted titles
 * whose purge did not come to its end are purged again.
 */
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import { enqueueJob, type JobHandler, type JobRun } from "../../lib/jobs/jobs.ts";
import type { Bucket, ObjectStat, ObjectStore } from "../../lib/objects/port.ts";
import { deletedTitles, knownPaths, platformTenant, tenantIds } from "./catalog.store.ts";
import { titlesKnown } from "./index.store.ts";
import { peopleKnown } from "./people.store.ts";
import type { Removal } from "./removal.ts";

export const SWEEP_JOB = "content.sweep";
const BATCH = 1_000;
const TITLE_BUCKETS = ["segments", "thumbnails", "trailers"] as const satisfies Bucket[];
const ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
/** `{titleId}/…`, and portraits: `{personId}/artwork/…`. */
const OF_SOMETHING = new RegExp(`^(${ID})/`);
/** `{tenantId}/{sourceId}`; uploads that are on their way have other names. */
const OF_SOURCE = new RegExp(`^(${ID})/${ID}$`);

export interface SweepDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly objects: ObjectStore;
  readonly removal: Pick<Removal, "enqueuePurge">;
  /** Younger objects of titles, and of sources, are left alone: their rows may be about to be written. */
  readonly ageMs: number;
  readonly sourceAgeMs: number;
}
interface Swept {
  readonly removedCount: number;
  readonly purgedCount: number;
}

async function* batches(objects: ObjectStore, bucket: Bucket): AsyncGenerator<ObjectStat[]> {
  let batch: ObjectStat[] = [];
  for await (const stat of objects.list(bucket)) {
    batch.push(stat);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

export class Sweep {
  readonly #deps: SweepDeps;

  constructor(deps: SweepDeps) {
    this.#deps = deps;
  }

  /** One for the platform, whichever node enqueues it. */
  async enqueue(): Promise<void> {
    const { db } = this.#deps;
    const tenantId = await db.tenantTx(null, platformTenant);
    if (tenantId === undefined) return;
    await db.tenantTx(tenantId, (tx) => enqueueJob(tx, { kind: SWEEP_JOB, tenantId, payload: {}, key: SWEEP_JOB }));
  }

  readonly handler: JobHandler<object> = {
    run: async ({ signal }: Pick<JobRun, "signal">) => ({ result: await this.run(signal) }),
  };

  async run(signal: AbortSignal): Promise<Swept> {
    let removedCount = 0;
    for (const bucket of TITLE_BUCKETS) {
      for await (const batch of batches(this.#deps.objects, bucket)) {
        signal.throwIfAborted();
        removedCount += await this.#remove(bucket, await this.#orphans(batch));
      }
    }
    for await (const batch of batches(this.#deps.objects, "sources")) {
      signal.throwIfAborted();
      removedCount += await this.#remove("sources", await this.#looseSources(batch));
    }
    return { removedCount, purgedCount: await this.#purgeAgain(signal) };
  }

  async #remove(bucket: Bucket, keys: readonly string[]): Promise<number> {
    if (keys.length > 0) await this.#deps.objects.delete(bucket, keys);
    return keys.length;
  }

  #older(batch: readonly ObjectStat[], ageMs: number, form: RegExp): { key: string; id: string }[] {
    const beforeMs = this.#deps.clock.nowMs() - ageMs;
    return batch.flatMap(({ key, modifiedMs }) => {
      const id = form.exec(key)?.[1];
      return id !== undefined && modifiedMs <= beforeMs ? [{ key, id }] : [];
    });
  }

  async #orphans(batch: readonly ObjectStat[]): Promise<string[]> {
    const { db } = this.#deps;
    const old = this.#older(batch, this.#deps.ageMs, OF_SOMETHING);
    if (old.length === 0) return [];
    const titles = new Set(await db.tenantTx(null, (tx) => titlesKnown(tx, [...new Set(old.map(({ id }) => id))])));
    const strange = old.filter(({ id }) => !titles.has(id));
    const people = await this.#peopleAmong([...new Set(strange.map(({ id }) => id))]);
    return strange.flatMap(({ key, id }) => (people.has(id) ? [] : [key]));
  }

  async #peopleAmong(ids: readonly string[]): Promise<ReadonlySet<string>> {
    const { db } = this.#deps;
    if (ids.length === 0) return new Set();
    const found: string[] = [];
    for (const tenantId of await db.tenantTx(null, tenantIds)) {
      found.push(...(await db.tenantTx(tenantId, (tx) => peopleKnown(tx, ids))));
    }
    return new Set(found);
  }

  async #looseSources(batch: readonly ObjectStat[]): Promise<string[]> {
    const old = this.#older(batch, this.#deps.sourceAgeMs, OF_SOURCE);
    const loose: string[] = [];
    for (const tenantId of new Set(old.map(({ id }) => id))) {
      const keys = old.flatMap(({ key, id }) => (id === tenantId ? [key] : []));
      const known = new Set(await this.#deps.db.tenantTx(tenantId, (tx) => knownPaths(tx, keys)));
      loose.push(...keys.filter((key) => !known.has(key)));
    }
    return loose;
  }

  async #purgeAgain(signal: AbortSignal): Promise<number> {
    const { db, removal } = this.#deps;
    let purgedCount = 0;
    for (const tenantId of await db.tenantTx(null, tenantIds)) {
      signal.throwIfAborted();
      purgedCount += await db.tenantTx(tenantId, async (tx) => {
        const rows = await deletedTitles(tx, BATCH);
        for (const row of rows) await removal.enqueuePurge(tx, row);
        return rows.length;
      });
    }
    return purgedCount;
  }
}
