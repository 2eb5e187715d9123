/** The packager of one node: what stands behind its listener. */
import { createHash } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import type { PackagerConfig } from "../../lib/config/config.ts";
import type { RawHandler } from "../../lib/http/exchange.ts";
import type { Log } from "../../lib/log/log.ts";
import { openSource } from "../../lib/source/open.ts";
import { openCaches } from "./caches.ts";
import { Library } from "./library.ts";
import { showFigures } from "./metrics.ts";
import { PackagerServer } from "./serve.ts";
import { Sets } from "./sets.ts";
import { SmilFiles } from "./smil-files.ts";
import { Subtitles } from "./subtitles.ts";
import { TokenGate } from "./tokens.ts";
import { Workshop } from "./workshop.ts";

export interface PackagerDeps {
  readonly config: PackagerConfig;
  readonly dataDir: string;
  /** `ALLOW_PRIVATE_SOURCES`. */
  readonly allowPrivateSources: readonly string[];
  readonly log: Log;
  /** What the caches did. */
  readonly cacheLog: Log;
  readonly clock: Clock;
}

export interface OpenedPackager {
  readonly handle: RawHandler;
  stop(): Promise<void>;
}

/** Changes when segments of the same file become others: goes into each version. */
const FORMAT_EPOCH = 1;

/** What the bytes of segments depend on besides their file. */
const epochOf = ({ segmentSeconds, encryption }: PackagerConfig): string => {
  const keys = createHash("sha256").update(JSON.stringify(encryption)).digest("hex");
  return `${FORMAT_EPOCH} ${segmentSeconds} ${keys}`;
};

/** Opens sources and caches; nothing is served yet. */
export const openPackager = async (deps: PackagerDeps): Promise<OpenedPackager> => {
  const { config, log, cacheLog, clock, allowPrivateSources } = deps;
  const { segmentSeconds, connectTimeoutMs, idleTimeoutMs, sourceRecheckMs: recheckMs } = config;
  const opened = await openSource(config.source, { log, connectTimeoutMs, idleTimeoutMs, allowPrivateSources });
  const caches = await openCaches(opened, { config, clock, log: cacheLog });
  const { source } = caches;
  const library = new Library({
    source,
    clock,
    segmentSeconds,
    indexBytesMax: config.indexCacheBytes,
    recheckMs,
    epoch: epochOf(config),
  });
  const workshop = new Workshop({ slotCount: config.segmentSlots });
  const server = new PackagerServer({
    config,
    library,
    sets: new Sets({ library, segmentSeconds, log }),
    gate: new TokenGate({ rules: config.tokens, prefix: config.urlPrefix, clock }),
    smil: new SmilFiles({ source, clock, recheckMs }),
    subtitles: new Subtitles({ source }),
    workshop,
    segmentCache: caches.segments,
  });
  showFigures({ library, workshop });
  return {
    handle: server.handle,
    async stop() {
      library.close();
      await caches.stop();
    },
  };
};
