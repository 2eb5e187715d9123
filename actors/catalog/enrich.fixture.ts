/** Enrichment with all that belongs to it, on a real database and the simulator; jobs run when a test says so. */
import { Readable } from "node:stream";
import type { TestContext } from "node:test";
import { fail } from "../../contracts/errors.ts";
import { systemClock } from "../../lib/clock.ts";
import { OutgoingAgents } from "../../lib/http/outgoing-agents.ts";
import type { JobHandler, JobSpec } from "../../lib/jobs/port.ts";
import { quietLog } from "../../lib/log/log.ts";
import type { ObjectName, ObjectStore } from "../../lib/objects/port.ts";
import { newTenant, type Tenant } from "../../test/support/control.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { type SimulatedTmdb, simulatedTmdb } from "../../test/tmdb/tmdb.fixture.ts";
import { ArtworkRoom } from "./artwork.ts";
import { Titles } from "./catalog.ts";
import { ENRICH_PEOPLE, Enrichment } from "./enrich.ts";
import { peopleJob } from "./enrich-people.ts";
import { Libraries } from "./libraries.ts";
import { People } from "./people.ts";

/** Objects in memory: what pictures need of a store. */
export class MemoryObjects implements Pick<ObjectStore, "put" | "getBytes" | "delete"> {
  readonly all = new Map<string, Buffer>();

  async put({ bucket, key }: ObjectName, body: Uint8Array | Readable) {
    if (body instanceof Readable) throw new Error("bug: pictures are put whole");
    this.all.set(`${bucket}/${key}`, Buffer.from(body));
    return { key, sizeBytes: body.length, etag: '"1"', modifiedMs: 0, contentType: null };
  }
  async getBytes({ bucket, key }: ObjectName) {
    const bytes = this.all.get(`${bucket}/${key}`) ?? fail("OBJECT_NOT_FOUND", { key });
    return { bytes, stat: { key, sizeBytes: bytes.length, etag: '"1"', modifiedMs: 0, contentType: null } };
  }
  async delete(bucket: string, keys: readonly string[]) {
    for (const key of keys) this.all.delete(`${bucket}/${key}`);
  }
}

export interface CatalogScene extends SimulatedTmdb {
  readonly db: TestDatabase;
  readonly one: Tenant;
  readonly other: Tenant;
  readonly titles: Titles;
  readonly people: People;
  readonly libraries: Libraries;
  readonly artwork: ArtworkRoom;
  readonly enrichment: Enrichment;
  readonly objects: MemoryObjects;
  /** What is to be done and not yet done. */
  readonly queue: JobSpec[];
  /** Runs what is due; gives how many jobs that were. What a job throws is thrown here. */
  runJobs(): Promise<number>;
  film(name: string, fields?: object, as?: Tenant): Promise<string>;
}

export const catalogScene = async (
  t: TestContext,
  options: { readonly withoutToken?: true } = {},
): Promise<CatalogScene> => {
  const db = await testDatabase(t);
  const simulated = await simulatedTmdb(t);
  const objects = new MemoryObjects();
  const queue: JobSpec[] = [];
  const agents = new OutgoingAgents([]);
  t.after(() => agents.close());
  const artwork = new ArtworkRoom({
    ...{ db, objects, agents, imageUrl: simulated.simulator.imageUrl, clock: systemClock },
  });
  const tmdb = options.withoutToken ? null : simulated.tmdb;
  const enqueue = async (_: unknown, spec: JobSpec) => void queue.push(spec);
  const deps = { db, tmdb, artwork, enqueue, clock: systemClock, log: quietLog };
  const enrichment = new Enrichment(deps);
  const handlers: Record<string, JobHandler<{ titleId: string }>> = { [ENRICH_PEOPLE]: peopleJob(deps) };
  const runOne = async ({ kind, tenantId, payload }: JobSpec) => {
    const handler = handlers[kind] ?? enrichment.job;
    const told = { jobId: "1", tenantId, kind, attempt: 1, epoch: 1, progress: () => {} };
    const typed = payload as { titleId: string }; // every job here has one
    const { write } = await handler.run({ ...told, payload: typed, signal: new AbortController().signal });
    if (write) await db.tenantTx(tenantId, write);
  };
  const runJobs = async (): Promise<number> => {
    let count = 0;
    for (;;) {
      const at = queue.findIndex(({ runAtMs = 0 }) => runAtMs <= Date.now());
      const [job] = at === -1 ? [] : queue.splice(at, 1);
      if (!job) return count;
      count += 1;
      await runOne(job);
    }
  };
  const one = await newTenant(db, "one");
  const other = await newTenant(db, "other");
  const titles = new Titles({ db, clock: systemClock });
  const film = async (name: string, fields: object = {}, as = one) =>
    (await titles.create(as.tenantId, { kind: "movie", name, ...fields })).data.id;
  const rooms = {
    titles,
    people: new People({ db, portraits: artwork, clock: systemClock }),
    libraries: new Libraries(db),
    artwork,
    enrichment,
  };
  return { ...simulated, ...rooms, db, one, other, objects, queue, runJobs, film };
};
