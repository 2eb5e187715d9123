/** The packager of one node: what stands behind its listener. */
import type { Clock } from "../../lib/clock.ts";
import type { PackagerConfig } from "../../lib/config/config.ts";
import type { RawHandler } from "../../lib/http/exchange.ts";
import type { Log } from "../../lib/log/log.ts";

export interface PackagerDeps {
  readonly config: PackagerConfig;
  readonly dataDir: string;
  /** `ALLOW_PRIVATE_SOURCES`. */
  readonly allowPrivateSources: readonly string[];
  readonly log: Log;
  readonly clock: Clock;
}

export interface OpenedPackager {
  readonly handle: RawHandler;
  stop(): Promise<void>;
}

/** Opens sources and caches; nothing is served yet. */
export const openPackager = async (_: PackagerDeps): Promise<OpenedPackager> => ({
  handle: (exchange) => exchange.problem({ code: "NOT_FOUND" }),
  stop: async () => {},
});
