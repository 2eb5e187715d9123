import type { ServiceBroker } from "moleculer";
import type { Clock } from "../../lib/clock.ts";
import type { Config, PackagerConfig } from "../../lib/config/config.ts";
import type { Ready } from "../../lib/http/health.ts";
import { openRawListener } from "../../lib/http/raw-listener.ts";
import type { Log } from "../../lib/log/log.ts";
import { openPackager } from "./packager.ts";
import { answerTestPage, isTestPage } from "./test-page.ts";

export interface PackagerOptions {
  readonly config: Config & { readonly packager: PackagerConfig };
  readonly broker: ServiceBroker;
  readonly log: Log;
  readonly clock: Clock;
  readonly ready: Ready;
}

export interface Packager {
  readonly port: number;
  stop(): Promise<void>;
}

/** Starts the packager of this node behind its own listener. */
export const startPackager = async ({ config, log, clock, ready }: PackagerOptions): Promise<Packager> => {
  const { packager: own, host, dataDir, allowPrivateSources } = config;
  const packager = await openPackager({ config: own, dataDir, allowPrivateSources, log, clock });
  const stopPackager = (): Promise<void> => packager.stop();
  const listener = await openRawListener({
    name: "packager",
    host,
    port: own.port,
    portVariable: "PACKAGER_PORT",
    log,
    ready,
    handle: (exchange) => (isTestPage(exchange.path) ? answerTestPage(exchange) : packager.handle(exchange)),
  }).catch(async (error: unknown) => {
    await stopPackager();
    throw error;
  });
  return {
    port: listener.port,
    async stop() {
      await listener.close();
      await stopPackager();
    },
  };
};
