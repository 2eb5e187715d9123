/** For the catalog's tests: the actor on a real database, behind a real gateway, with a folder as object store. */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ServiceBroker } from "moleculer";
import type { z } from "zod";
import type { attachSource, Title } from "../../contracts/catalog.ts";
import type { Ask } from "../../contracts/kit.ts";
import { type Answer, type CallOptions, type Cleaner, testGateway } from "../../gateway/gateway.fixture.ts";
import { send } from "../../lib/actor/contract.ts";
import { pgEvents } from "../../lib/events/pg-events.ts";
import { openJobs } from "../../lib/jobs/jobs.ts";
import { quietLog } from "../../lib/log/log.ts";
import { openObjects } from "../../lib/objects/open.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import type { TestDatabase } from "../../test/support/database.ts";
import { ensureDefaultTenant } from "../tenant/bootstrap.ts";
import { tenantService } from "../tenant/tenant.service.ts";
import { titleService } from "./catalog.service.ts";
import { enrichmentServices } from "./enrichment.service.ts";

export const ADMIN = "operators-own-admin-key-0123456789";
export const CONFIG = { contentEncryption: "aes-128", purgeGraceMs: 0, uploadExpiresMs: 0 } as const;

/** Starts at the system's time, and is moved. */
export class MovedClock {
  #aheadMs = 0;
  nowMs(): number {
    return Date.now() + this.#aheadMs;
  }
  move(ms: number): void {
    this.#aheadMs += ms;
  }
}

export const testObjects = async (t: Cleaner): Promise<ObjectStore> => {
  const root = await mkdtemp(join(tmpdir(), "castellan-test-objects-"));
  const objects = await openObjects({ kind: "filesystem", root, bucketPrefix: "test" }, { log: quietLog });
  t.after(async () => {
    await objects.close();
    await rm(root, { recursive: true, force: true, maxRetries: 5 });
  });
  return objects;
};

export interface Caller {
  readonly tenantId: string;
  readonly tenant: string;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** A title that was made; `fields` of the request. */
  make(fields?: Record<string, unknown>): Promise<Title>;
  ask<I extends z.ZodType, O extends z.ZodType>(ask: Ask<I, O>, input: z.input<I>): Promise<z.output<O>>;
}

const callerOf = (
  { broker, call: callAt }: { broker: ServiceBroker; call: Caller["call"] },
  who: { tenantId: string; tenant: string; key: string },
): Caller => {
  const { tenantId, tenant, key } = who;
  const call: Caller["call"] = (method, path, options = {}) => callAt(method, `/api/v1${path}`, { key, ...options });
  return {
    tenantId,
    tenant,
    call,
    make: async (fields = {}) => {
      const { status, body, text } = await call("POST", "/titles", {
        body: { kind: "movie", name: "Film", ...fields },
      });
      if (status !== 201) throw new Error(`no title was made: ${status} ${text}`);
      return body.data as Title;
    },
    ask: (ask, input) => send(broker, ask, input, { tenantId, tenant }),
  };
};

/** Of people, pictures, libraries and enrichment; jobs of the last one find nobody. */
const BESIDE = {
  ...{ allowPrivateSources: [], tmdbUrl: "http://127.0.0.1:9/3", tmdbImageUrl: "http://127.0.0.1:9/t/p" },
  ...{ tmdbToken: "secret", tmdbRequestsPerSecond: 10 },
} as const;

/**
 * The actor with two tenants; nothing is delivered and no job runs before `run`. `whole`: with people, pictures,
 * libraries and enrichment.
 */
export const catalogOn = async (t: Cleaner, db: TestDatabase, { whole = false } = {}) => {
  const clock = new MovedClock();
  const objects = await testObjects(t);
  const events = pgEvents({ db, log: quietLog });
  const jobs = openJobs({ db, log: quietLog, clock, nodeId: "node-1" });
  const { tenantId } = await ensureDefaultTenant({ db, adminApiKey: ADMIN });
  const services = [
    tenantService({ db, clock, log: quietLog }),
    titleService({ config: CONFIG, db, events, objects, jobs, clock, log: quietLog }),
    ...(whole ? enrichmentServices({ config: BESIDE, db, events, objects, jobs, clock, log: quietLog }) : []),
  ];
  const gateway = await testGateway(t, { except: services.map(({ name }) => name), services });
  const a = callerOf(gateway, { tenantId, tenant: "default", key: ADMIN });
  const slug = `b-${randomUUID().slice(0, 8)}`;
  const { body } = await a.call("POST", "/tenants", { body: { slug } });
  const made = body.data as { id: string; apiKey: { secret: string } };
  const b = callerOf(gateway, { tenantId: made.id, tenant: slug, key: made.apiKey.secret });
  return {
    ...{ db, clock, objects, events, a, b },
    /** Facts are delivered, and jobs run. */
    run: async () => {
      await events.start();
      await jobs.start();
      t.after(async () => {
        await jobs.stop();
        await events.stop();
      });
    },
  };
};

export const codeOf = ({ status, body }: Answer): unknown[] => [status, body.code];
export const titleIn = ({ body }: Answer): Title => body.data as Title;

export const aSource = (fields: Partial<z.input<typeof attachSource.input>> = {}) => {
  const sourceId = randomUUID();
  return { titleId: null, sourceId, path: `sources/${sourceId}`, sizeBytes: 10, filename: "My film.mkv", ...fields };
};

/** Names of the facts of a title, in their order. */
export const factsOf = async (db: TestDatabase, titleId: string): Promise<string[]> => {
  const { rows } = await db.asOwner<{ name: string }>("select name from event where key = $1 order by id", [titleId]);
  return rows.map(({ name }) => name);
};
