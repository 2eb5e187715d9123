/** A packager behind its listener, in the test's own process. */
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { systemClock } from "../../lib/clock.ts";
import { readSettings } from "../../lib/config/config.ts";
import type { RawHandler } from "../../lib/http/exchange.ts";
import { openRawListener, type RawListener } from "../../lib/http/raw-listener.ts";
import { type Log, quietLog } from "../../lib/log/log.ts";
import { tempDir } from "../../test/support/platform.ts";
import { openPackager } from "./packager.ts";

/** A listener as the packager has it, on a free port. */
export const listenFor = (handle: RawHandler): Promise<RawListener> =>
  openRawListener({
    name: "packager",
    host: "127.0.0.1",
    port: 0,
    portVariable: "PACKAGER_PORT",
    log: quietLog,
    ready: () => ({ ready: true, checks: {} }),
    handle,
  });

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

export interface TestPackager {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  /** Of its input, unless told otherwise. */
  readonly folder: string;
}

export interface TestPackagerOptions {
  /** Folder of the stored files; a new one where absent. */
  readonly folder?: string;
  /** Settings as the environment has them. */
  readonly env?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
  readonly log?: Log;
}

/** Starts one with `ROLES=packager`; a file counts as unchanged for no time at all. */
export const startTestPackager = async (t: Cleaner, options: TestPackagerOptions = {}): Promise<TestPackager> => {
  const folder = options.folder ?? (await tempDir(t));
  const dataDir = await tempDir(t);
  const env = {
    ROLES: "packager",
    DATA_DIR: dataDir,
    CASTERPAK_FILESYSTEM_VIDEOPARENTPATH: folder,
    CASTERPAK_INPUT_VIDEOCACHEPATH: join(dataDir, "input"),
    CASTERPAK_OUTPUT_SEGMENTPARENTPATH: join(dataDir, "segments"),
    CASTERPAK_CACHE_SOURCE_RECHECK: "0",
    ...options.env,
  };
  const { packager: config } = readSettings(env, false);
  if (!config) throw new Error("no packager among the roles");
  const packager = await openPackager({
    config,
    dataDir,
    allowPrivateSources: [],
    log: options.log ?? quietLog,
    cacheLog: quietLog,
    clock: options.clock ?? systemClock,
  });
  const listener = await listenFor(packager.handle);
  t.after(async () => {
    await listener.close(0);
    await packager.stop();
  });
  return { url: `http://127.0.0.1:${listener.port}`, folder };
};
