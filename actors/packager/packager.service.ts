import type { ServiceBroker } from "moleculer";
import type { Clock } from "../../lib/clock.ts";
import type { Config, PackagerConfig } from "../../lib/config/config.ts";
import { openListener, type Ready } from "../../lib/http/listener.ts";
import { writeProblem } from "../../lib/http/problem.ts";
import type { Log } from "../../lib/log/log.ts";

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
export const startPackager = async ({ config, log, ready }: PackagerOptions): Promise<Packager> => {
  const listener = await openListener({
    name: "packager",
    host: config.host,
    port: config.packager.port,
    portVariable: "PACKAGER_PORT",
    log,
    ready,
    handle: (request, response) => writeProblem({ request, response }, { code: "NOT_FOUND" }),
  });
  return { port: listener.port, stop: () => listener.close() };
};
