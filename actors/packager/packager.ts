/** The packager of one node: what stands behind its listener. */
import { createHash } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import type { PackagerConfig } from "../../lib/config/config.ts";
import type { RawHandler } from "../../lib/http/exchange.ts";
import type { Log } from "../../lib/log/log.ts";
import { openSource } from "../../lib/source/open.ts";
import { Library } from "./library.ts";
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
  const { config, log, clock, allowPrivateSources } = deps;
  const { segmentSeconds, connectTimeoutMs, idleTimeoutMs } = config;
  const source = await openSource(config.source, { log, connectTimeoutMs, idleTimeoutMs, allowPrivateSources });
  const library = new Library({
    source,
    clock,
    segmentSeconds,
    indexBytesMax: config.indexCacheBytes,
    recheckMs: config.sourceRecheckMs,
    epoch: epochOf(config),
  });
  const server = new PackagerServer({
    config,
    library,
    sets: new Sets({ library, segmentSeconds, log }),
    gate: new TokenGate({ rules: config.tokens, prefix: config.urlPrefix, clock }),
    smil: new SmilFiles({ source, clock, recheckMs: config.sourceRecheckMs }),
    subtitles: new Subtitles({ source }),
    workshop: new Workshop({ slotCount: config.segmentSlots }),
    segmentCache: null,
  });
  return {
    handle: server.handle,
    async stop() {
      library.close();
      await source.close();
    },
  };
};
