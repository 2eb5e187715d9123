/**
 * Playback in one process: the real actors on a real database, a gateway and edges, before a catalog and packagers that
 * do as a test tells them.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { ServiceBroker } from "moleculer";
import type { z } from "zod";
import { fleetService } from "../../actors/fleet/fleet.service.ts";
import { keyserverServices } from "../../actors/keyserver/keyserver.service.ts";
import type { Entitlements } from "../../actors/playback/entitlements.ts";
import { playbackServices } from "../../actors/playback/playback.service.ts";
import { playableTitle } from "../../contracts/catalog.ts";
import { publicMarkPath, setPath } from "../../contracts/content-set.ts";
import { fail } from "../../contracts/errors.ts";
import type { Ask } from "../../contracts/kit.ts";
import { startPlayback as start, type startPlayback } from "../../contracts/playback.ts";
import { type Edge, startEdge } from "../../edge/node/edge.ts";
import { type Gateway, startGateway } from "../../gateway/gateway.service.ts";
import { makeBroker } from "../../lib/actor/broker.ts";
import { answer, type Meta, send, tenantOf } from "../../lib/actor/contract.ts";
import { systemClock } from "../../lib/clock.ts";
import { type Config, loadConfig } from "../../lib/config/config.ts";
import { pgEvents } from "../../lib/events/pg-events.ts";
import type { EventBus } from "../../lib/events/port.ts";
import { openJobs } from "../../lib/jobs/jobs.ts";
import { type Log, quietLog } from "../../lib/log/log.ts";
import { openObjects } from "../../lib/objects/open.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import { newTenant, type Tenant } from "../support/control.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { edgeConfigWith } from "../support/edge-config.ts";
import { tempDir } from "../support/platform.ts";
import { type PackagerStandIn, packagerStandIn } from "./packager.ts";

export type StartedSession = z.output<typeof startPlayback.result>["data"];

export interface Terms {
  readonly territories: readonly string[] | null;
  readonly maxHeight: number | null;
}
export interface Title {
  readonly titleId: string;
  readonly owner: Tenant;
  isPublic: boolean;
  /** Tenants that may play it. */
  readonly players: Set<string>;
  /** Of the licence of those that do not own it. */
  terms?: Terms;
}
export interface Scene {
  readonly db: TestDatabase;
  readonly broker: ServiceBroker;
  readonly events: EventBus;
  readonly objects: ObjectStore;
  readonly packager: PackagerStandIn;
  readonly dataDir: string;
  /** Two tenants. */
  readonly ours: Tenant;
  readonly theirs: Tenant;
  readonly gatewayUrl: string;
  readonly config: Config;
  newTitle(options?: { owner?: Tenant; isPublic?: boolean; players?: readonly Tenant[] }): Promise<Title>;
  ask<I extends z.ZodType, O extends z.ZodType>(ask: Ask<I, O>, input: z.input<I>, as?: Meta): Promise<z.output<O>>;
  play(
    title: Title,
    options?: { viewer?: string; address?: string; country?: string; as?: Tenant },
  ): Promise<StartedSession>;
  /** `diskBytes`: of its disk tier; none unless told. */
  edge(options?: {
    threads?: number;
    dataDir?: string;
    broker?: ServiceBroker | null;
    diskBytes?: number;
  }): Promise<EdgeAt>;
  /** Another gateway in the place of the one before. */
  restartGateway(): Promise<string>;
}
export interface EdgeAt {
  readonly edge: Edge;
  readonly url: string;
  readonly dataDir: string;
}
interface Cleaner {
  after(clean: () => Promise<void>): void;
}
interface SceneOptions {
  readonly log?: Log;
  readonly env?: Readonly<Record<string, string>>;
  readonly entitlements?: Entitlements;
  readonly poolMax?: number;
}

/** `heights`: of its rungs. */
export const writeSet = async (
  objects: ObjectStore,
  { titleId, owner, isPublic }: Title,
  heights: readonly number[] = [720],
): Promise<void> => {
  const set = {
    ...{ format: 1, contentId: titleId, tenantId: owner.tenantId, revision: 1, state: "complete" },
    ...{ encryption: "aes-128", durationSeconds: 12, frameCount: 300, frameRate: { num: 25, den: 1 } },
    rungs: heights.map((height) => ({
      ...{ name: `${height}p`, codec: "h264", width: Math.round((height * 16) / 9), height },
      ...{ maxBitsPerSecond: height * 4_000, dynamicRange: "sdr", path: `${titleId}/r1/${height}p.mp4`, chunks: [] },
    })),
    ...{ audio: [], audioPath: null, subtitles: [], storyboardPath: null },
  };
  await objects.put({ bucket: "segments", key: setPath(titleId) }, Buffer.from(JSON.stringify(set)));
  if (isPublic) await objects.put({ bucket: "segments", key: publicMarkPath(titleId) }, Buffer.from("{}"));
};

const EVERYTHING: Terms = { territories: null, maxHeight: null };

const catalogOf = (titles: ReadonlyMap<string, Title>) => ({
  name: "catalog",
  actions: {
    playableTitle: answer(playableTitle, ({ titleId, country }, call) => {
      const title = titles.get(titleId);
      const { tenantId } = tenantOf(call);
      if (!title?.players.has(tenantId)) return fail("TITLE_NOT_FOUND", { titleId });
      const { owner, isPublic, terms = EVERYTHING } = title;
      const { territories, maxHeight } = tenantId === owner.tenantId ? EVERYTHING : terms;
      if (territories !== null && country === undefined) return fail("COUNTRY_UNKNOWN", { titleId });
      if (territories?.includes(country ?? "") === false) return fail("TERRITORY_EXCLUDED", { titleId, country });
      const rest = { encryption: "aes-128" as const, availableUntil: null, maxHeight };
      return { titleId, ownerTenantId: owner.tenantId, isPublic, ...rest };
    }),
  },
});

/** All of it ends with the test. */
export const playbackScene = async (
  t: Cleaner & { readonly name?: string },
  options: SceneOptions = {},
): Promise<Scene> => {
  const { log = quietLog, entitlements, poolMax = 8 } = options;
  const dataDir = await tempDir(t);
  const db = await testDatabase(t, { poolMax });
  const [ours, theirs] = [await newTenant(db, "ours"), await newTenant(db, "theirs")];
  const loaded = loadConfig({ DATA_DIR: dataDir, ...options.env });
  const config = { ...loaded, edgePublicUrl: "http://edge.test" };
  const objects = await openObjects({ kind: "filesystem", root: join(dataDir, "objects"), bucketPrefix: "t" }, { log });
  const broker = makeBroker({ config: { nodeId: "control-1", namespace: randomUUID(), natsUrl: null }, log });
  const [events, jobs] = [pgEvents({ db, log }), openJobs({ db, log, clock: systemClock, nodeId: "control-1" })];
  const titles = new Map<string, Title>();
  const deps = { config, broker, db, events, jobs, objects, clock: systemClock, log };
  const playback = playbackServices({ ...deps, ...(entitlements ? { entitlements } : {}) });
  for (const schema of [catalogOf(titles), ...keyserverServices(deps), ...playback, fleetService(deps)]) {
    broker.createService(schema);
  }
  await broker.start();
  await events.start();
  const packager = await packagerStandIn();
  const openGateway = (port = 0): Promise<Gateway> =>
    startGateway({
      config: { host: "127.0.0.1", port, edgePublicUrl: "http://edge.test", demo: false, packagerUrls: [packager.url] },
      ...{ broker, log, ready: () => ({ ready: true, checks: {} }) },
    });
  let gateway = await openGateway();
  const gatewayUrl = `http://127.0.0.1:${gateway.port}`;
  t.after(async () => {
    await gateway.stop(0);
    await events.stop();
    await broker.stop();
    await packager.close();
    await objects.close();
  });
  return {
    ...{ db, broker, events, objects, packager, dataDir, ours, theirs, gatewayUrl, config },
    async newTitle({ owner = ours, isPublic = false, players = [owner] } = {}) {
      const title: Title = {
        ...{ titleId: randomUUID(), owner, isPublic },
        players: new Set(players.map(({ tenantId }) => tenantId)),
      };
      titles.set(title.titleId, title);
      await writeSet(objects, title);
      if (isPublic) packager.publicContents.add(title.titleId);
      return title;
    },
    ask: (ask, input, as) => send(broker, ask, input, { ...ours, ...as }),
    async play({ titleId }, { as = ours, ...wish } = {}) {
      return (await send(broker, start, { titleId, ...wish }, as)).data;
    },
    async edge({ threads = 1, dataDir: folder, broker: bus = broker, diskBytes = 0 } = {}) {
      const own = folder ?? (await tempDir(t));
      const config = edgeConfigWith({
        ...{ dataDir: own, nodeId: "edge-1", edgeThreads: threads, edgeDiskBytes: diskBytes },
        ...{ edgePackagerUrls: [packager.url], edgeGatewayUrls: [gatewayUrl] },
      });
      const edge = await startEdge({ config, broker: bus, log: quietLog, clock: systemClock });
      t.after(() => edge.stop(100));
      return { edge, url: `http://127.0.0.1:${edge.port}`, dataDir: own };
    },
    async restartGateway() {
      const { port } = gateway;
      await gateway.stop(0);
      gateway = await openGateway(port);
      return gatewayUrl;
    },
  };
};

/** The same address at another place. */
export const at = (base: string, address: string): string => base + new URL(address).pathname;
