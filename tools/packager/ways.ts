/**
 * How a command reaches the caches: the running packager is asked over HTTP where it has an admin token; one that has
 * none is told through its index, as the seed's SQL does; and where none runs, the command does it itself.
 */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { CacheCleaner, type CleanedCache } from "../../actors/packager/cache-cleaner.ts";
import { readTail } from "../../actors/packager/cache-file.ts";
import { CacheIndex, type CacheTable } from "../../actors/packager/cache-index.store.ts";
import { CacheStore } from "../../actors/packager/cache-store.ts";
import { type IsMeant, meantBy, type Targets } from "../../actors/packager/forget.ts";
import { SmilFiles } from "../../actors/packager/smil-files.ts";
import { codeOf } from "../../contracts/errors.ts";
import { systemClock as clock } from "../../lib/clock.ts";
import { baseUrlOf, ConfigError, type Settings } from "../../lib/config/config.ts";
import { claimDataDir } from "../../lib/config/data-dir-owner.ts";
import type { DiskCacheConfig, PackagerConfig } from "../../lib/config/packager-config.ts";
import { quietLog as log } from "../../lib/log/log.ts";
import { openSource } from "../../lib/source/open.ts";
import { Stop } from "./arguments.ts";

export type PackagerSettings = Settings & { readonly packager: PackagerConfig };

const HTTP_TIMEOUT_MS = 30_000;
const FOLLOW_TIMEOUT_MS = 20_000;
const LOOK_MS = 50;

/** What a purge or a cleaning did. */
export interface Done {
  readonly by: "packager" | "index" | "command";
  readonly dryRun: boolean;
  /** Null: only the packager itself knows. */
  readonly indexCount: number | null;
  readonly inputCount: number;
  readonly segmentCount: number;
  readonly sizeBytes: number;
}

export interface Way {
  purge(targets: Targets, options: { readonly dryRun: boolean }): Promise<Done>;
  clean(): Promise<Done>;
}

type CacheName = "input" | "segment";
interface Counted {
  readonly cache: CacheName;
  readonly entryCount: number;
  readonly bytes: number;
}

const doneOf = (by: Done["by"], counts: readonly Counted[], dryRun = false): Done => {
  const countOf = (cache: CacheName): number => counts.find((one) => one.cache === cache)?.entryCount ?? 0;
  const sizeBytes = counts.reduce((sum, { bytes }) => sum + bytes, 0);
  return { by, dryRun, indexCount: null, inputCount: countOf("input"), segmentCount: countOf("segment"), sizeBytes };
};

const meant = async (targets: Targets, settings: PackagerSettings): Promise<IsMeant> => {
  const { packager, allowPrivateSources } = settings;
  const { urlPrefix: prefix, connectTimeoutMs, idleTimeoutMs } = packager;
  const filesOfSmil = async (path: string): Promise<readonly string[]> => {
    const source = await openSource(packager.source, { log, connectTimeoutMs, idleTimeoutMs, allowPrivateSources });
    try {
      return await new SmilFiles({ source, clock, recheckMs: 0, prefix }).files(path);
    } finally {
      await source.close();
    }
  };
  return meantBy(targets, { ...packager, prefix, filesOfSmil });
};

/** Asks a packager; null: nothing listens there. */
const asked = async (base: string, path: string, token: string, body: unknown): Promise<unknown> => {
  let response: Response;
  try {
    response = await fetch(`${base}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(HTTP_TIMEOUT_MS),
    });
  } catch (error) {
    const { code, message = String(error) } = ((error as Error).cause ?? error) as { code?: string; message?: string };
    if (code === "ECONNREFUSED") return null;
    throw new Stop(1, `${base} does not answer: ${message}`);
  }
  const answer = (await response.json().catch(() => ({}))) as { detail?: string };
  if (response.ok) return answer;
  throw new Stop(1, `${base} answers ${response.status}: ${answer.detail ?? response.statusText}`);
};

const overHttp = (base: string, token: string): Way => ({
  async purge(targets, { dryRun }) {
    const answer = (await asked(base, "/purge", token, { ...targets, dryRun })) as Omit<Done, "by"> | null;
    if (!answer) throw new Stop(1, `nothing listens at ${base}.`);
    return { ...answer, by: "packager" };
  },
  async clean() {
    const answer = (await asked(base, "/clean", token, {})) as { caches: CleanedCache[] } | null;
    if (!answer) throw new Stop(1, `nothing listens at ${base}.`);
    return doneOf(
      "packager",
      answer.caches.map(({ cache, removed }) => ({ cache, ...removed })),
    );
  },
});

interface Folder {
  readonly cache: CacheName;
  readonly config: DiskCacheConfig;
  readonly table: CacheTable;
}

const foldersOf = ({ packager }: PackagerSettings, index: CacheIndex): readonly Folder[] =>
  [
    { cache: "input" as const, config: packager.inputCache, table: index.inputs },
    { cache: "segment" as const, config: packager.segmentCache, table: index.segments },
  ].filter(({ config }) => config.on);

const withIndex = async <T>(
  settings: PackagerSettings,
  act: (folders: readonly Folder[], index: CacheIndex) => Promise<T>,
) => {
  const index = new CacheIndex({ file: settings.packager.cacheDatabase, clock, log });
  try {
    return await act(foldersOf(settings, index), index);
  } finally {
    index.close();
  }
};

const headOf = async (file: string) => {
  const handle = await open(file, "r").catch(() => null);
  try {
    if (!handle) return null;
    const tail = await readTail(handle);
    return tail && { path: tail.head.path, bytes: (await handle.stat()).blocks * 512 };
  } finally {
    await handle?.close();
  }
};

/** Rows of files that are meant, and what they take. */
const rowsMeant = async ({ config, table }: Folder, isMeant: IsMeant) => {
  const names: string[] = [];
  let bytes = 0;
  for (const { filename } of table.rows()) {
    const head = await headOf(join(config.dir, filename));
    if (!head || !isMeant(head.path)) continue;
    names.push(filename);
    bytes += head.bytes;
  }
  return { names, bytes };
};

const followed = async (table: CacheTable, names: readonly string[]): Promise<void> => {
  const waited = new Set(names);
  const end = performance.now() + FOLLOW_TIMEOUT_MS;
  while (table.olderThan(1000 * 2).some(({ filename }) => waited.has(filename))) {
    if (performance.now() > end) throw new Stop(1, "the packager has not followed; its next cleaning will.");
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
};

const throughIndex = (settings: PackagerSettings): Way => ({
  async purge(targets, { dryRun }) {
    const isMeant = await meant(targets, settings);
    return withIndex(settings, async (folders) => {
      const counts: Counted[] = [];
      for (const folder of folders) {
        const { names, bytes } = await rowsMeant(folder, isMeant);
        counts.push({ cache: folder.cache, entryCount: names.length, bytes });
        if (dryRun) continue;
        if (!folder.table.invalidate(names)) throw new Stop(1, "the index of the caches is locked; try again.");
        await followed(folder.table, names);
      }
      return doneOf("index", counts, dryRun);
    });
  },
  clean: () =>
    withIndex(settings, async (folders) => {
      const before = folders.map(({ table }) => table.count());
      // A row without a file: whoever cleans removes it.
      const mark = `=clean-${process.pid}`;
      for (const { table } of folders) table.add(mark, 0);
      for (const { table } of folders) await followed(table, [mark]);
      const counts = folders.map(({ cache, table }, index) => {
        return { cache, entryCount: Math.max(0, (before[index] ?? 0) - table.count()), bytes: 0 };
      });
      return doneOf("index", counts);
    }),
});

const inFolders = (settings: PackagerSettings): Way => {
  const withStores = <T>(act: (stores: readonly CacheStore[], index: CacheIndex) => Promise<T>): Promise<T> =>
    withIndex(settings, async (folders, index) => {
      const stores: CacheStore[] = [];
      for (const { cache: name, config, table } of folders) {
        const { dir, sizeBytes: maxBytes, limitPercent, ageMs } = config;
        stores.push(await CacheStore.open({ name, dir, table, maxBytes, limitPercent, ageMs, clock, log }));
      }
      try {
        return await act(stores, index);
      } finally {
        for (const store of stores) await store.close();
      }
    });
  return {
    async purge(targets, { dryRun }) {
      const isMeant = await meant(targets, settings);
      return withStores(async (stores) => {
        const counts = stores.map((store) => {
          const byHead = ({ path }: { path: string }): boolean => isMeant(path);
          return { cache: store.options.name, ...(dryRun ? store.count(byHead) : store.purge(byHead)) };
        });
        return doneOf("command", counts, dryRun);
      });
    },
    clean: () =>
      withStores(async (stores, index) => {
        const cleaner = new CacheCleaner({ stores, index, intervalMs: 0, cron: null, clock, log });
        const cleaned = await cleaner.runOnce();
        const counts = cleaned.map(({ cache, removed }) => {
          const store = stores.find(({ options }) => options.name === cache);
          const { entryCount = 0, bytes = 0 } = store?.expiredAtOpen ?? {};
          return { cache, entryCount: removed.entryCount + entryCount, bytes: removed.bytes + bytes };
        });
        return doneOf("command", counts);
      }),
  };
};

/** Whether a process of ours has this DATA_DIR; else it is this command's until it ends. */
const runsHere = (dataDir: string): boolean => {
  try {
    claimDataDir(dataDir);
    return false;
  } catch (error) {
    if (error instanceof ConfigError && error.message.includes("in use")) return true;
    throw error;
  }
};

const isThere = async (base: string): Promise<boolean> =>
  fetch(`${base}/livez`, { signal: AbortSignal.timeout(HTTP_TIMEOUT_MS) }).then(
    () => true,
    () => false,
  );

/** The way that is open. With `server`, only that one is asked. */
export const openWay = async (settings: PackagerSettings, server: string | null): Promise<Way> => {
  const { adminToken, port } = settings.packager;
  const host = ["0.0.0.0", "::"].includes(settings.host) ? "127.0.0.1" : settings.host;
  const base = (server ?? baseUrlOf(host, port)).replace(/\/+$/, "");
  if (adminToken !== null && (server !== null || (await isThere(base)))) return overHttp(base, adminToken);
  if (server !== null)
    throw new Stop(1, "--server needs CASTERPAK_APPLICATION_ADMIN_TOKEN, the token of that packager.");
  return runsHere(settings.dataDir) ? throughIndex(settings) : inFolders(settings);
};

/** How full the caches are, from the folders alone. */
export const usageOf = (
  settings: PackagerSettings,
): Promise<(Counted & { readonly dir: string; readonly maxBytes: number })[]> =>
  withIndex(settings, async (folders) => {
    const all: IsMeant = () => true;
    return Promise.all(
      folders.map(async (folder) => {
        const { names, bytes } = await rowsMeant(folder, all);
        const { dir, sizeBytes: maxBytes } = folder.config;
        return { cache: folder.cache, entryCount: names.length, bytes, dir, maxBytes };
      }),
    );
  });

export const isRefusal = (error: unknown): error is Error => codeOf(error) !== undefined;
