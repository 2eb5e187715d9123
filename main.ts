/**
 * The composition root: starts what ROLES names, in order, and stops it in reverse.
 *
 * Start: database → broker → listeners and actors → demo → words on the screen. Stop (SIGTERM, SIGINT): /readyz says
 * 503 → requests in flight end, none are taken → keyed actors are handed over → broker → pools → embedded PostgreSQL.
 */
import { mkdir, rename, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { ServiceSchema } from "moleculer";
import type { CatalogDeps } from "./actors/catalog/catalog.service.ts";
import type { ChannelDeps } from "./actors/channel/channel.service.ts";
import type { ChannelSupervisorDeps } from "./actors/channel-supervisor/channel-supervisor.service.ts";
import type { FleetServiceDeps } from "./actors/fleet/fleet.service.ts";
import type { TenantDeps } from "./actors/tenant/tenant.service.ts";
import { authenticate } from "./contracts/tenant.ts";
import { pause } from "./lib/actor/contract.ts";
import { isBusUp } from "./lib/actor/faults.ts";
import { systemClock } from "./lib/clock.ts";
import { baseUrlOf, type Config, type ControlActor } from "./lib/config/config.ts";
import { claimDataDir } from "./lib/config/data-dir-owner.ts";
import { objectSettings } from "./lib/config/object-settings.ts";
import { welcome } from "./lib/config/welcome.ts";
import type { Database } from "./lib/db/database.ts";
import type { EventBus } from "./lib/events/events.ts";
import { holdPort, openListener } from "./lib/http/listener.ts";
import type { Jobs } from "./lib/jobs/jobs.ts";
import { collectProcessMetrics } from "./lib/metrics/metrics.ts";
import type { ObjectStore } from "./lib/objects/port.ts";
import { Process } from "./lib/process/process.ts";

const BUS_WAIT_MS = 3_000;

/** The database of this process: the given one, or an embedded server in DATA_DIR. */
const openStore = async (self: Process): Promise<Database> => {
  const [{ openDatabase }, { migrate }] = await Promise.all([
    import("./lib/db/database.ts"),
    import("./lib/db/migrate.ts"),
  ]);
  let url = self.config.databaseUrl;
  if (url === null) {
    const { startEmbeddedPostgres } = await import("./lib/postgres/embedded.ts");
    const server = await startEmbeddedPostgres({ dataDir: self.config.dataDir, log: self.log });
    self.onStop("PostgreSQL", () => server.stop());
    url = server.url;
  }
  const done = await migrate({ url });
  if (done.length > 0) self.log.info({ migrations: done }, "database is up to date");
  const db = openDatabase({ url, applicationName: `castellan:${self.config.nodeId}` });
  self.onStop("database", () => db.close());
  self.checks.set("database", () => db.ping().then(() => true));
  return db;
};

interface Control {
  readonly tenantId: string;
  /** The admin key's text when this start makes it: to be shown at once. */
  makeKey(): Promise<string | null>;
  /** To be called once the broker runs: now keys may be claimed and facts be delivered. */
  join(): Promise<void>;
}

type ControlDeps = TenantDeps & ChannelDeps & ChannelSupervisorDeps & FleetServiceDeps & CatalogDeps;

/** What each actor of the role control brings; loaded only where it runs. */
const CONTROL_SERVICES: Readonly<Record<ControlActor, (deps: ControlDeps) => Promise<ServiceSchema[]>>> = {
  tenant: async (deps) => [(await import("./actors/tenant/tenant.service.ts")).tenantService(deps)],
  channel: async (deps) => (await import("./actors/channel/channel.service.ts")).channelServices(deps),
  "channel-supervisor": async (deps) => [
    (await import("./actors/channel-supervisor/channel-supervisor.service.ts")).channelSupervisorService(deps),
  ],
  fleet: async (deps) => [(await import("./actors/fleet/fleet.service.ts")).fleetService(deps)],
  scheduler: async (deps) => (await import("./actors/scheduler/scheduler.service.ts")).schedulerServices(deps),
  catalog: async (deps) => (await import("./actors/catalog/catalog.service.ts")).catalogServices(deps),
  upload: async (deps) => (await import("./actors/upload/upload.service.ts")).uploadServices(deps),
  keyserver: async (deps) => (await import("./actors/keyserver/keyserver.service.ts")).keyserverServices(deps),
  playback: async (deps) => (await import("./actors/playback/playback.service.ts")).playbackServices(deps),
};

/** What stored media needs: uploads, rungs and pictures, and the work on them. */
const openObjectStore = async (self: Process): Promise<ObjectStore> => {
  const [{ openObjects }, { keepUp }] = await Promise.all([
    import("./lib/objects/open.ts"),
    import("./lib/objects/upkeep.ts"),
  ]);
  const objects = await openObjects(objectSettings(self.config), { log: self.log });
  self.onStop("object store", () => objects.close());
  if (objects.kind !== "s3") return objects;
  const stop = keepUp(objects, self.log);
  self.onStop("upkeep of the object store", async () => stop());
  return objects;
};

/** The database with what is built on it: facts and jobs. */
interface Ground {
  readonly db: Database;
  readonly events: EventBus;
  readonly jobs: Jobs;
  readonly objects: ObjectStore;
}

const openGround = async (self: Process): Promise<Ground> => {
  const db = await openStore(self);
  const { config, log } = self;
  const [{ openEvents }, { openJobs }] = await Promise.all([
    import("./lib/events/carriers.ts"),
    import("./lib/jobs/jobs.ts"),
  ]);
  return {
    db,
    events: openEvents({ db, natsUrl: config.natsUrl, prefix: config.eventPrefix, log }),
    jobs: openJobs({ db, log, clock: systemClock, nodeId: config.nodeId, waitMaxMs: config.jobWaitMaxMs }),
    objects: await openObjectStore(self),
  };
};

/** Pool actors, channel supervisors and what they stand on. */
const openControl = async (self: Process, ground: Ground, edgePublicUrl: string): Promise<Control> => {
  const { broker, log } = self;
  const { db } = ground;
  const config = { ...self.config, edgePublicUrl };
  const [{ ensureDefaultTenant, makeFirstKey }, placements, directories] = await Promise.all([
    import("./actors/tenant/bootstrap.ts"),
    import("./lib/actor/placement.ts"),
    import("./lib/actor/directory.ts"),
  ]);
  const { tenantId } = await ensureDefaultTenant({ db, adminApiKey: config.adminApiKey });
  const placement = new placements.Placement({ db, broker, log, ttlMs: config.leaseTtlMs });
  const directory = new directories.Directory(db);
  const deps = { ...ground, config, broker, placement, directory, clock: systemClock, log };
  const schemas = await Promise.all(config.controlActors.map((actor) => CONTROL_SERVICES[actor](deps)));
  const services = schemas.flat().map((schema) => broker.createService(schema));
  self.onStop("actors", async () => {
    for (const service of services.reverse()) await broker.destroyService(service);
  });
  return {
    tenantId,
    makeKey: () => makeFirstKey(db, tenantId),
    async join() {
      await placement.start();
      self.onStop("placement", async () => {
        // A database that hangs would hold up all that is left: nothing can be handed over through it.
        await db.tenantTx(null, async () => {}).catch(() => db.giveUp());
        await placement.drain();
        await placement.stop();
      });
      self.checks.set("lease", () => placement.check());
    },
  };
};

const openTranscoder = async (self: Process, ground: Ground): Promise<void> => {
  if (!self.has("transcoder")) return;
  const { config, log } = self;
  const { startTranscoder } = await import("./actors/transcoder/transcoder.service.ts");
  const transcoder = await startTranscoder({ ...ground, config, clock: systemClock, log });
  self.onStop("transcoder", () => transcoder.stop());
};

/** Facts and jobs go to their handlers from now on. */
const startGround = async (self: Process, { events, jobs }: Ground): Promise<void> => {
  await events.start();
  self.onStop("events", () => events.stop());
  await jobs.start();
  self.onStop("jobs", () => jobs.stop());
};

/** Where this process can be reached; kept in `DATA_DIR/run/endpoints.json` for tools beside it. */
interface Endpoints {
  gateway: string | null;
  edge: string | null;
  edgeTls: string | null;
  edgeAdmin: string | null;
  streamers: readonly string[];
  packager: string | null;
  health: string | null;
}

const keepEndpoints = async ({ config }: Process, endpoints: Endpoints): Promise<void> => {
  const file = join(config.dataDir, "run", "endpoints.json");
  await mkdir(join(config.dataDir, "run"), { recursive: true });
  const text = JSON.stringify({ pid: process.pid, nodeId: config.nodeId, ...endpoints }, null, 2);
  await writeFile(`${file}.new`, `${text}\n`);
  await rename(`${file}.new`, file);
};

const openStreamers = async (self: Process, endpoints: Endpoints) => {
  if (!self.has("streamer")) return undefined;
  const { config, broker, log, ready } = self;
  const { startStreamers } = await import("./actors/streamer/streamer.service.ts");
  const streamers = await startStreamers({ config, broker, log, clock: systemClock, ready });
  self.onStop("streamers", () => streamers.stop());
  endpoints.streamers = streamers.ports.map((port) => baseUrlOf(config.host, port));
  return streamers;
};

const openPackager = async (self: Process, endpoints: Endpoints, objects: ObjectStore | null): Promise<void> => {
  const { config, log, ready } = self;
  if (config.packager === null) return;
  const { startPackager } = await import("./actors/packager/packager.service.ts");
  const packager = await startPackager({
    config: { ...config, packager: config.packager },
    broker: self.hasBroker ? self.broker : null,
    objects,
    log,
    clock: systemClock,
    ready,
  });
  self.onStop("packager", () => packager.stop());
  // Who has other roles, or titles of a platform to serve, is of use without a folder of stored files.
  if (config.roles.length === 1 && !self.hasBroker && packager.isSourceThere)
    self.checks.set("source", packager.isSourceThere);
  endpoints.packager = baseUrlOf(config.host, packager.port);
};

/** Where stored media comes from: the packagers that are named, else the one of this process. */
const packagerUrlsOf = ({ config }: Process, { packager }: Endpoints): readonly string[] =>
  config.edgePackagerUrls ?? (packager === null ? [] : [packager]);

/** Needs a broker that runs: it asks for its snapshot at once. */
const openEdge = async (self: Process, edgePort: number, endpoints: Endpoints): Promise<void> => {
  if (!self.has("edge")) return;
  const { log } = self;
  const packagerUrls = packagerUrlsOf(self, endpoints);
  const gatewayUrls = self.config.edgeGatewayUrls ?? (endpoints.gateway === null ? [] : [endpoints.gateway]);
  const isAlone = self.config.roles.length === 1;
  const ownLog = isAlone ? join(self.config.dataDir, "edge", "access.log") : null;
  const edgeAccessLog = self.config.edgeAccessLog ?? ownLog;
  const edgeThreads = self.config.edgeThreads ?? (isAlone ? availableParallelism() : 1);
  const config = {
    ...self.config,
    edgePort,
    edgePackagerUrls: packagerUrls,
    edgeThreads,
    edgeAccessLog,
    edgeGatewayUrls: gatewayUrls,
  };
  const { startEdge } = await import("./edge/node/edge.ts");
  const edge = await startEdge({ config, broker: self.hasBroker ? self.broker : null, log, clock: systemClock });
  self.onStop("edge", () => edge.stop());
  endpoints.edge = baseUrlOf(config.host, edge.port);
  if (edge.tlsPort !== null) endpoints.edgeTls = baseUrlOf(config.host, edge.tlsPort).replace("http:", "https:");
  if (edge.adminPort !== undefined) endpoints.edgeAdmin = baseUrlOf(config.host, edge.adminPort);
};

const openFront = async (self: Process, endpoints: Endpoints, edgePublicUrl: string): Promise<void> => {
  const { config, log, ready } = self;
  if (self.has("gateway")) {
    const { startGateway } = await import("./gateway/gateway.service.ts");
    const packagerUrls = packagerUrlsOf(self, endpoints);
    const settings = { ...config, edgePublicUrl, packagerUrls };
    const gateway = await startGateway({ config: settings, broker: self.broker, log, ready });
    self.onStop("gateway", () => gateway.stop());
    endpoints.gateway = baseUrlOf(config.host, gateway.port);
  }
  if (config.healthPort !== null) {
    const { host, healthPort: port } = config;
    const handle = (_: unknown, response: ServerResponse) => void response.writeHead(404).end();
    const health = await openListener({ name: "health", host, port, portVariable: "HEALTH_PORT", log, ready, handle });
    self.onStop("health", () => health.close(0));
    endpoints.health = baseUrlOf(host, health.port);
  }
};

/** Whether everything that a request needs is somewhere on the bus. */
const addBusChecks = (self: Process): void => {
  const { broker, checks } = self;
  const needsBus = self.config.natsUrl !== null && (self.has("gateway") || self.has("control"));
  if (needsBus) checks.set("bus", () => isBusUp(broker));
  // Not in Moleculer's types: the registry's catalogue of actions.
  const registry = broker.registry as unknown as { actions: { isAvailable(name: string): boolean } };
  if (self.has("gateway")) checks.set("control", () => registry.actions.isAvailable(authenticate.name));
};

const openDemo = async (self: Process, control: Control | undefined): Promise<string | null> => {
  const { config, log } = self;
  if (!config.demo || !control || !self.has("streamer")) return null;
  const { broker } = self;
  const { ensureDemoChannel } = await import("./lib/demo/demo-channel.ts");
  return ensureDemoChannel({ config, broker, log, tenantId: control.tenantId }).catch((error: unknown) => {
    log.warn({ err: error }, "the demo channel could not be made");
    return null;
  });
};

/** Streamers and edges go on from their disks while the bus is away; the broker joins when it is back. */
const joinBus = async ({ broker, log, config }: Process, joined: () => void): Promise<void> => {
  const joining = broker.start().then(joined);
  if (config.roles.includes("control") || config.roles.includes("gateway")) return joining;
  const isLate = await Promise.race([joining.then(() => false), pause(BUS_WAIT_MS).then(() => true)]);
  if (!isLate) return;
  log.warn("the bus is not reachable; going on without it until it is");
  joining.catch((error: unknown) => log.error({ err: error }, "the bus can't be joined"));
};

const start = async (self: Process): Promise<void> => {
  const { config } = self;
  claimDataDir(config.dataDir);
  for (const warning of config.warnings) self.log.warn(warning);
  const nowhere = { gateway: null, edge: null, edgeTls: null, edgeAdmin: null, packager: null, health: null };
  const endpoints: Endpoints = { ...nowhere, streamers: [] };
  const ground = self.has("control") || self.has("transcoder") ? await openGround(self) : undefined;
  if (self.hasBroker) {
    await self.makeBroker();
    addBusChecks(self);
  }
  // Known before the edge listens: playback answers name it.
  const held = config.edgePort ? null : await holdPort(config.host);
  const edgePort = held?.port ?? config.edgePort;
  const edgePublicUrl = config.edgePublicUrl ?? baseUrlOf(config.host, edgePort);
  const control = ground && self.has("control") ? await openControl(self, ground, edgePublicUrl) : undefined;
  if (ground) await openTranscoder(self, ground);
  const streamers = await openStreamers(self, endpoints);
  await openPackager(self, endpoints, ground?.objects ?? null);
  await openFront(self, endpoints, edgePublicUrl);
  // After all services are there, so that one announcement carries them.
  if (self.hasBroker) await joinBus(self, () => streamers?.join());
  if (ground) await startGround(self, ground);
  await control?.join();
  // A request needs the owners of its keys: once they are handed over, this process has none that could finish it.
  self.stopFirst("gateway");
  await held?.release();
  await openEdge(self, edgePort, endpoints);
  self.started();
  await keepEndpoints(self, endpoints);
  const demoPath = await openDemo(self, control);
  const { host, dataDir } = config;
  const words = welcome({
    host,
    dataDir,
    gatewayUrl: endpoints.gateway && (config.publicUrl ?? endpoints.gateway),
    edgeUrl: endpoints.edge && edgePublicUrl,
    edgeTlsUrl: endpoints.edgeTls,
    edgeAdminUrl: endpoints.edgeAdmin,
    streamerUrls: endpoints.streamers,
    packagerUrl: endpoints.packager && `${endpoints.packager}${config.packager?.urlPrefix}`,
    demoPath,
    madeKey: (await control?.makeKey()) ?? null,
    readyMs: performance.now(), // since this process began
  });
  process.stdout.write(words);
};

/**
 * Runs until a signal. Rejects with one clear line when it can't start (a ConfigError where a variable is to blame);
 * what was started by then is stopped again.
 */
export const main = async (config: Config): Promise<void> => {
  collectProcessMetrics();
  const self = new Process(config);
  self.obeySignals();
  try {
    await start(self);
  } catch (error) {
    if (self.isStopping) return self.log.info({ err: error }, "the start was broken off by the stop");
    await self.stop();
    throw error;
  }
};
