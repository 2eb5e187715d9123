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
import type { ServiceBroker, ServiceSchema } from "moleculer";
import type { ChannelDeps } from "./actors/channel/channel.service.ts";
import type { ChannelSupervisorDeps } from "./actors/channel-supervisor/channel-supervisor.service.ts";
import type { FleetServiceDeps } from "./actors/fleet/fleet.service.ts";
import type { TenantDeps } from "./actors/tenant/tenant.service.ts";
import { authenticate } from "./contracts/tenant.ts";
import { pause } from "./lib/actor/contract.ts";
import { isBusUp } from "./lib/actor/faults.ts";
import { systemClock } from "./lib/clock.ts";
import { baseUrlOf, type Config, type ControlActor, type Role } from "./lib/config/config.ts";
import { claimDataDir } from "./lib/config/data-dir-owner.ts";
import { welcome } from "./lib/config/welcome.ts";
import type { Database } from "./lib/db/database.ts";
import { freePort, openListener, type Readiness } from "./lib/http/listener.ts";
import { type Log, makeLog } from "./lib/log/log.ts";
import { collectProcessMetrics } from "./lib/metrics/metrics.ts";

const BALANCER_WAIT_MS = 300; // time for a load balancer to see /readyz = 503
const BUS_WAIT_MS = 3_000;
const STOP_DEADLINE_MS = 25_000; // compose and Kubernetes kill after 30 s

const SAME_SIGNAL_MS = 1_000;

type Check = () => boolean | Promise<boolean>;

/** One process: what it runs, what must hold for it to be ready, and how it ends. */
class Process {
  readonly config: Config;
  readonly log: Log;
  readonly checks = new Map<string, Check>();
  readonly #stops: { readonly what: string; readonly stop: () => Promise<void> }[] = [];
  #broker: ServiceBroker | null = null;
  #started = false;
  #stopping = false;
  #stoppingSinceMs = 0;

  constructor(config: Config) {
    this.config = config;
    this.log = makeLog({ level: config.logLevel, format: config.logFormat, nodeId: config.nodeId });
  }

  /** The broker of a process that has one. */
  get broker(): ServiceBroker {
    if (!this.#broker) throw new Error("bug: this process has no broker");
    return this.#broker;
  }

  /**
   * A packager alone asks nobody, and nobody on a bus asks it; so does an edge that a file tells of its sites: they do
   * without Moleculer, which takes 35 MB.
   */
  get hasBroker(): boolean {
    const { roles, natsUrl, edgeConfig } = this.config;
    return natsUrl !== null || roles.some((role) => role !== "packager" && !(role === "edge" && edgeConfig !== null));
  }

  async makeBroker(): Promise<void> {
    const { makeBroker } = await import("./lib/actor/broker.ts");
    const broker = makeBroker({ config: this.config, log: this.log });
    this.#broker = broker;
    this.onStop("broker", () => broker.stop());
  }

  has(role: Role): boolean {
    return this.config.roles.includes(role);
  }

  /** Stops run in the reverse order of their adding. */
  onStop(what: string, stop: () => Promise<void>): void {
    this.#stops.push({ what, stop });
  }

  /** Puts a stop before all that were added so far. */
  stopFirst(what: string): void {
    const at = this.#stops.findIndex((stop) => stop.what === what);
    if (at >= 0) this.#stops.push(...this.#stops.splice(at, 1));
  }

  started(): void {
    this.#started = true;
  }

  readonly ready = async (): Promise<Readiness> => {
    const answers = await Promise.all(
      [...this.checks].map(async ([name, check]) => {
        const ok = await Promise.resolve()
          .then(check)
          .catch(() => false);
        return [name, ok] as const;
      }),
    );
    const checks = {
      started: this.#started,
      ...(this.#stopping ? { stopping: false } : {}),
      ...Object.fromEntries(answers),
    };
    return { ready: Object.values(checks).every(Boolean), checks };
  };

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { what, stop } of this.#stops.splice(0).reverse()) {
      await stop().catch((error: unknown) => this.log.warn({ err: error }, `${what} did not stop cleanly`));
    }
  }

  /** The first signal drains, the second one and a deadline end the process as it is. */
  obeySignals(): void {
    const obey = async (signal: string) => {
      if (this.#stopping) {
        // npm passes on what the whole group got already: only a later one means it.
        if (performance.now() - this.#stoppingSinceMs > SAME_SIGNAL_MS) process.exit(1);
        return;
      }
      this.#stopping = true;
      this.#stoppingSinceMs = performance.now();
      this.log.info({ signal }, "stopping");
      setTimeout(() => process.exit(1), STOP_DEADLINE_MS).unref();
      if (!this.config.allInOne) await pause(BALANCER_WAIT_MS);
      await this.stop();
      this.log.flush();
      process.exit(0);
    };
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void obey(signal));
    process.on("unhandledRejection", (error) => this.log.error({ err: error }, "bug: a promise was left alone"));
  }
}

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
  /** The admin key's text when this start made it. */
  readonly madeKey: string | null;
  /** To be called once the broker runs: now keys may be claimed and facts be delivered. */
  join(): Promise<void>;
}

type ControlDeps = TenantDeps & ChannelDeps & ChannelSupervisorDeps & FleetServiceDeps;

/** What each actor of the role control brings; loaded only where it runs. */
const CONTROL_SERVICES: Readonly<Record<ControlActor, (deps: ControlDeps) => Promise<ServiceSchema[]>>> = {
  tenant: async (deps) => [(await import("./actors/tenant/tenant.service.ts")).tenantService(deps)],
  channel: async (deps) => (await import("./actors/channel/channel.service.ts")).channelServices(deps),
  "channel-supervisor": async (deps) => [
    (await import("./actors/channel-supervisor/channel-supervisor.service.ts")).channelSupervisorService(deps),
  ],
  fleet: async (deps) => [(await import("./actors/fleet/fleet.service.ts")).fleetService(deps)],
};

/** Pool actors, channel supervisors and what they stand on. */
const openControl = async (self: Process, db: Database, edgePublicUrl: string): Promise<Control> => {
  const { broker, log } = self;
  const config = { ...self.config, edgePublicUrl };
  const [{ ensureDefaultTenant }, placements, directories, events] = await Promise.all([
    import("./actors/tenant/bootstrap.ts"),
    import("./lib/actor/placement.ts"),
    import("./lib/actor/directory.ts"),
    import("./lib/events/carriers.ts"),
  ]);
  const bootstrapped = await ensureDefaultTenant({ db, adminApiKey: config.adminApiKey });
  const bus = events.openEvents({ db, natsUrl: config.natsUrl, prefix: config.eventPrefix, log });
  const placement = new placements.Placement({ db, broker, log, ttlMs: config.leaseTtlMs });
  const directory = new directories.Directory(db);
  const deps = { config, broker, db, events: bus, placement, directory, clock: systemClock, log };
  const schemas = await Promise.all(config.controlActors.map((actor) => CONTROL_SERVICES[actor](deps)));
  const services = schemas.flat().map((schema) => broker.createService(schema));
  self.onStop("actors", async () => {
    for (const service of services.reverse()) await broker.destroyService(service);
  });
  return {
    ...bootstrapped,
    async join() {
      await bus.start();
      self.onStop("events", () => bus.stop());
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

const openPackager = async (self: Process, endpoints: Endpoints): Promise<void> => {
  const { config, log, ready } = self;
  if (config.packager === null) return;
  const { startPackager } = await import("./actors/packager/packager.service.ts");
  const packager = await startPackager({
    config: { ...config, packager: config.packager },
    broker: self.hasBroker ? self.broker : null,
    log,
    clock: systemClock,
    ready,
  });
  self.onStop("packager", () => packager.stop());
  // Who has other roles is of use without stored files.
  if (config.roles.length === 1 && packager.isSourceThere) self.checks.set("source", packager.isSourceThere);
  endpoints.packager = baseUrlOf(config.host, packager.port);
};

/** Needs a broker that runs: it asks for its snapshot at once. */
const openEdge = async (self: Process, edgePort: number, endpoints: Endpoints): Promise<void> => {
  if (!self.has("edge")) return;
  const { log } = self;
  const packagerUrls = self.config.edgePackagerUrls ?? (endpoints.packager === null ? [] : [endpoints.packager]);
  const isAlone = self.config.roles.length === 1;
  const ownLog = isAlone ? join(self.config.dataDir, "edge", "access.log") : null;
  const edgeAccessLog = self.config.edgeAccessLog ?? ownLog;
  const edgeThreads = self.config.edgeThreads ?? (isAlone ? availableParallelism() : 1);
  const config = { ...self.config, edgePort, edgePackagerUrls: packagerUrls, edgeThreads, edgeAccessLog };
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
    const gateway = await startGateway({ config: { ...config, edgePublicUrl }, broker: self.broker, log, ready });
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
  const db = self.has("control") ? await openStore(self) : undefined;
  if (self.hasBroker) {
    await self.makeBroker();
    addBusChecks(self);
  }
  // Known before the edge listens: playback answers name it.
  const edgePort = config.edgePort || (await freePort(config.host));
  const edgePublicUrl = config.edgePublicUrl ?? baseUrlOf(config.host, edgePort);
  const control = db && (await openControl(self, db, edgePublicUrl));
  const streamers = await openStreamers(self, endpoints);
  await openPackager(self, endpoints);
  await openFront(self, endpoints, edgePublicUrl);
  // After all services are there, so that one announcement carries them.
  if (self.hasBroker) await joinBus(self, () => streamers?.join());
  await control?.join();
  // A request needs the owners of its keys: once they are handed over, this process has none that could finish it.
  self.stopFirst("gateway");
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
    madeKey: control?.madeKey ?? null,
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
    await self.stop();
    throw error;
  }
};
