import type { ServiceBroker } from "moleculer";
import { purgePackager } from "../../contracts/packager.ts";
import { answer } from "../../lib/actor/contract.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Config, PackagerConfig } from "../../lib/config/config.ts";
import { objectSettings } from "../../lib/config/object-settings.ts";
import type { Ready } from "../../lib/http/health.ts";
import { openRawListener } from "../../lib/http/raw-listener.ts";
import type { Log } from "../../lib/log/log.ts";
import { openObjects } from "../../lib/objects/open.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import { keysOverBus } from "./content/content-keys.ts";
import { openLogs } from "./logs.ts";
import { openPackager } from "./packager.ts";
import { answerTestPage, isTestPage } from "./test-page.ts";
import { VideoFolder } from "./video-folder.ts";

export interface PackagerOptions {
  readonly config: Config & { readonly packager: PackagerConfig };
  /** Null: the packager is alone. */
  readonly broker: ServiceBroker | null;
  /** This process's; null: one is opened when the first title is asked for. */
  readonly objects: ObjectStore | null;
  readonly log: Log;
  readonly clock: Clock;
  readonly ready: Ready;
}

export interface Packager {
  readonly port: number;
  /** Whether the folder of its files can be read; null: they are on a server. */
  readonly isSourceThere: (() => Promise<boolean>) | null;
  stop(): Promise<void>;
}

type Stops = (() => Promise<void>)[];

/** A packager of files alone never opens one. */
const lateObjects = ({ config, log, clock }: PackagerOptions, stops: Stops): (() => Promise<ObjectStore>) => {
  let opening: Promise<ObjectStore> | undefined;
  return () => {
    opening ??= openObjects(objectSettings(config), { log, clock }).then(
      (objects) => {
        stops.unshift(() => objects.close());
        return objects;
      },
      (error: unknown) => {
        opening = undefined;
        throw error;
      },
    );
    return opening;
  };
};

/** Starts the packager of this node behind its own listener. */
export const startPackager = async (options: PackagerOptions): Promise<Packager> => {
  const { config, broker, log, clock, ready } = options;
  const { packager: own, host, dataDir, allowPrivateSources, logLevel: level, nodeId } = config;
  const stops: Stops = [];
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    const logs = await openLogs({ places: own.logs, log, level, nodeId });
    stops.push(() => logs.close());
    const folder = own.source.kind === "filesystem" ? new VideoFolder(own.source.root) : null;
    await folder?.complain(log, { isAlone: config.roles.length === 1 });
    const { error, cache: cacheLog, access: accessLog } = logs;
    const { objects } = options;
    const content = {
      objects: objects ? async () => objects : lateObjects(options, stops),
      keys: keysOverBus(broker),
      hasKeys: broker !== null,
    };
    const places = { dataDir, allowPrivateSources, content };
    const packager = await openPackager({ ...places, config: own, log: error, cacheLog, clock });
    stops.push(() => packager.stop());
    const listener = await openRawListener({
      name: "packager",
      host,
      port: own.port,
      portVariable: "PACKAGER_PORT",
      log: error,
      ready,
      handle: (exchange) => (isTestPage(exchange.path) ? answerTestPage(exchange) : packager.handle(exchange)),
      ...(accessLog ? { accessLog } : {}),
    });
    stops.push(() => listener.close());
    const forget = answer(purgePackager, (targets) => packager.purge(targets));
    broker?.createService({ name: "packager", actions: { forget } });
    const isSourceThere = folder && (async () => (await folder.fault()) === null);
    return { port: listener.port, isSourceThere, stop };
  } catch (error) {
    await stop();
    throw error;
  }
};
