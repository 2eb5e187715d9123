/** The packager of one node: what stands behind its listener. */
import { createHash } from "node:crypto";
import type { Purged } from "../../contracts/packager.ts";
import { isContentPath } from "../../domain/vod/content-path.ts";
import type { Clock } from "../../lib/clock.ts";
import type { PackagerConfig } from "../../lib/config/config.ts";
import type { RawHandler } from "../../lib/http/exchange.ts";
import type { Log } from "../../lib/log/log.ts";
import { openSource } from "../../lib/source/open.ts";
import { openCaches } from "./caches.ts";
import { type ContentDeps, ContentServer } from "./content/content-server.ts";
import { forgetFiles, meantBy, type Targets } from "./forget.ts";
import { Library } from "./library.ts";
import { showFigures } from "./metrics.ts";
import { answerAdmin, isAdminPath } from "./purge.ts";
import { PackagerServer } from "./serve.ts";
import { Sets } from "./sets.ts";
import { SmilFiles } from "./smil-files.ts";
import { Subtitles } from "./subtitles.ts";
import { TokenGate } from "./tokens.ts";
import { warmUp } from "./warm-up.ts";
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
  /** Titles besides files; absent: files alone. */
  readonly content?: ContentPlaces;
}

/** Where titles and their keys are. */
export interface ContentPlaces extends Pick<ContentDeps, "objects" | "keys"> {
  /** Somebody tells keys: threads that encrypt are started with the first segment that needs one. */
  readonly hasKeys: boolean;
}

export interface OpenedPackager {
  readonly handle: RawHandler;
  /** When it resolves, nothing of what is meant is served from a cache any more. Rejects with PATH_REFUSED. */
  purge(targets: Targets): Promise<Purged>;
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
    log,
    segmentSeconds,
    indexBytesMax: config.indexCacheBytes,
    recheckMs,
    epoch: epochOf(config),
  });
  const encryptsWhole = config.encryption.some(({ method }) => method === "aes-128") || deps.content?.hasKeys === true;
  const workshop = new Workshop({
    slotCount: config.segmentSlots,
    isLocal: source.kind === "filesystem",
    encryptsWhole,
    log,
  });
  const smil = new SmilFiles({ source, clock, recheckMs, prefix: config.urlPrefix });
  const subtitles = new Subtitles({ source });
  const server = new PackagerServer({
    config,
    clock,
    log,
    library,
    sets: new Sets({ library, segmentSeconds, log }),
    gate: new TokenGate({ rules: config.tokens, prefix: config.urlPrefix, clock, salt: config.tokenSalt }),
    smil,
    subtitles,
    source,
    workshop,
    segmentCache: caches.segments,
  });
  const { indexCacheBytes: indexBytesMax } = config;
  const segmentCache = caches.segments;
  const content = deps.content
    ? new ContentServer({ ...deps.content, clock, log, workshop, segmentCache, indexBytesMax })
    : null;
  await warmUp({ config, workshop, clock, log });
  showFigures({ library, workshop });
  const filesOfSmil = (path: string) => smil.files(path);
  const meant = (targets: Targets) => meantBy(targets, { ...config, prefix: config.urlPrefix, filesOfSmil });
  const purge = async (targets: Targets): Promise<Purged> => {
    const { input, segments } = caches;
    return forgetFiles(await meant(targets), { library, derived: [smil, subtitles, server], input, segments });
  };
  const { stores, clean } = caches;
  const admin = { adminToken: config.adminToken, purge, meantBy: meant, stores, clean };
  const isOfFiles = (path: string): boolean => config.urlPrefix !== "/" && path.startsWith(config.urlPrefix);
  return {
    handle(exchange) {
      const { path } = exchange;
      if (isAdminPath(path)) return answerAdmin(exchange, admin);
      if (content && isContentPath(path) && !isOfFiles(path)) return content.handle(exchange);
      return server.handle(exchange);
    },
    purge,
    async stop() {
      library.close();
      content?.close();
      await Promise.all([caches.stop(), workshop.stop()]);
    },
  };
};
