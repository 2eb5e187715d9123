/** A gateway and an upload actor in one process, on a real database and a real folder; who they ask is stubbed. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { ServiceBroker } from "moleculer";
import { uploadServices } from "../../actors/upload/upload.service.ts";
import { attachSource } from "../../contracts/catalog.ts";
import type { EpisodePlace } from "../../contracts/episode-place.ts";
import { fail } from "../../contracts/errors.ts";
import type { Scope } from "../../contracts/kit.ts";
import { subjectProgress } from "../../contracts/scheduler.ts";
import { authenticate } from "../../contracts/tenant.ts";
import { type Gateway, startGateway } from "../../gateway/gateway.service.ts";
import { makeBroker } from "../../lib/actor/broker.ts";
import { answer, tenantOf } from "../../lib/actor/contract.ts";
import { systemClock } from "../../lib/clock.ts";
import { type Config, readSettings } from "../../lib/config/config.ts";
import { objectSettings } from "../../lib/config/object-settings.ts";
import { type Database, openDatabase } from "../../lib/db/database.ts";
import { openEvents } from "../../lib/events/carriers.ts";
import { openJobs } from "../../lib/jobs/jobs.ts";
import { type Log, makeLog, quietLog } from "../../lib/log/log.ts";
import { openObjects } from "../../lib/objects/open.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";

export interface UploadTenant {
  readonly tenantId: string;
  readonly tenant: string;
}
/** Its key is `key:{slug}`; that of `key:{slug}:none` may not upload, that of `key:{slug}:plain` nothing else. */
export const keyOf = ({ tenant }: UploadTenant): string => `key:${tenant}`;

export interface NodeSettings {
  readonly url: string;
  readonly dataDir: string;
  readonly nodeId: string;
  readonly port?: number;
  readonly tenants: readonly UploadTenant[];
  readonly env?: Readonly<Record<string, string>>;
  /** Titles that are there, besides those that sources make. */
  readonly titles?: readonly string[];
  readonly isQuiet?: boolean;
}

export interface Attached {
  readonly tenantId: string;
  readonly sourceId: string;
  readonly titleId: string | null;
  readonly path: string;
  readonly filename: string;
  readonly name: string | undefined;
  readonly year: number | undefined;
  readonly kind: string;
  readonly place: EpisodePlace | undefined;
}

export interface UploadNode {
  readonly url: string;
  readonly broker: ServiceBroker;
  readonly db: Database;
  readonly objects: ObjectStore;
  /** What the catalog was told of here. */
  readonly attached: Attached[];
  stop(): Promise<void>;
}

const stubs = ({ tenants, titles = [] }: NodeSettings, attached: Attached[], isPublished: Set<string> = new Set()) => [
  {
    name: "tenant",
    actions: {
      authenticate: answer(authenticate, ({ key }) => {
        const [, slug, without] = key.split(":");
        const found = tenants.find(({ tenant }) => tenant === slug);
        const all: Scope[] = ["upload:write", "title:read", "title:write", "job:read", "platform:admin"];
        const few: Readonly<Record<string, Scope[]>> = { none: ["title:read"], plain: ["upload:write"] };
        return found ? { ...found, apiKeyId: randomUUID(), scopes: few[without ?? ""] ?? all } : null;
      }),
    },
  },
  {
    name: "catalog",
    actions: {
      attachSource: answer(attachSource, ({ titleId, sourceId, path, filename, name, year, kind, place }, call) => {
        attached.push({ ...tenantOf(call), titleId, sourceId, path, filename, name, year, kind, place });
        return { titleId: titleId ?? sourceId, revision: 1 };
      }),
      // Of the title only its being there is looked at.
      getTitle: {
        visibility: "published" as const,
        handler: ({ params }: { params: { titleId: string } }) => {
          const has = attached.some(({ titleId, sourceId }) => (titleId ?? sourceId) === params.titleId);
          if (!has && !titles.includes(params.titleId)) return fail("TITLE_NOT_FOUND", params);
          const state = !has ? "draft" : isPublished.has(params.titleId) ? "published" : "ready";
          return { data: { id: params.titleId, state, revision: 1, readyRevision: 1, processingError: null } };
        },
      },
      patchTitle: {
        visibility: "published" as const,
        handler: ({ params }: { params: { titleId: string; autoPublish?: boolean } }) => {
          if (params.autoPublish) isPublished.add(params.titleId);
          return { data: { id: params.titleId, version: 2 } };
        },
      },
    },
  },
  {
    name: "scheduler",
    actions: {
      subjectProgress: answer(subjectProgress, () => ({
        data: { percent: 40, state: "running" as const, etaSeconds: 70, jobCount: 5, liveCount: 3 },
      })),
    },
  },
];

const configOf = ({ dataDir, nodeId, env = {} }: NodeSettings): Config & { edgePublicUrl: string } => ({
  ...readSettings({ DATA_DIR: dataDir, UPLOAD_PORT: "0", OBJECTS_DIR: join(dataDir, "objects"), ...env }),
  nodeId,
  edgePublicUrl: "http://edge.test",
});

export const startUploadNode = async (settings: NodeSettings): Promise<UploadNode> => {
  const { url, nodeId, port = 0, isQuiet = true } = settings;
  const log: Log = isQuiet ? quietLog : makeLog({ level: "info", format: "json", nodeId });
  const config = configOf(settings);
  const db = openDatabase({ url, applicationName: nodeId });
  const broker = makeBroker({ config: { nodeId, namespace: "test", natsUrl: null }, log });
  const objects = await openObjects(objectSettings(config), { log });
  await objects.ping();
  const jobs = openJobs({ db, log, clock: systemClock, nodeId, leaseTtlMs: 2_000 });
  const events = openEvents({ db, natsUrl: null, prefix: "test", log });
  const deps = { config, broker, db, events, objects, jobs, clock: systemClock, log };
  const services = await uploadServices(deps);
  const attached: Attached[] = [];
  for (const schema of [...services, ...stubs(settings, attached)]) broker.createService(schema);
  await broker.start();
  await events.start();
  await jobs.start();
  const ready = () => ({ ready: true, checks: {} });
  const place = { host: "127.0.0.1", port, edgePublicUrl: "http://edge.test", demo: false };
  const gatewayConfig = { ...place, uploadBytesMax: config.uploadBytesMax };
  const gateway: Gateway = await startGateway({ config: gatewayConfig, broker, log, ready });
  return {
    url: `http://127.0.0.1:${gateway.port}`,
    broker,
    db,
    objects,
    attached,
    stop: async () => {
      await gateway.stop(0);
      await jobs.stop();
      await events.stop();
      await broker.stop();
      await objects.close();
      await db.close();
    },
  };
};
