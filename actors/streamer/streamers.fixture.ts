/** Runs real streamers on free ports in a temporary data directory, with a stand-in for the rest of the platform. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { ServiceBroker } from "moleculer";
import {
  type StreamerReported,
  type StreamReport,
  type StreamSpec,
  setAnchor,
  startStream,
  streamerReported,
} from "../../contracts/streamer.ts";
import { authenticate } from "../../contracts/tenant.ts";
import { makeBroker } from "../../lib/actor/broker.ts";
import { answer, on, sendTo } from "../../lib/actor/contract.ts";
import { systemClock } from "../../lib/clock.ts";
import { ensureDemoClip } from "../../lib/demo/demo.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { quietLog } from "../../lib/log/log.ts";
import type { StartIngest } from "./ingest.ts";
import { startStreamers } from "./streamer.service.ts";

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

export const ffmpeg = await findFfmpeg(process.env.FFMPEG_PATH ?? null);
export const TENANT_ID = "0190b5b8-0000-7000-8000-000000000001";
export const OTHER_TENANT_ID = "0190b5b8-0000-7000-8000-000000000002";
/** Keys that the stand-in of the tenant actor knows. */
export const KEYS = { full: "key-full", read: "key-read", other: "key-other", admin: "key-admin" } as const;
const NODE_ID = "node-1";
const DEADLINE_MS = 60_000;
const POLL_MS = 50;

export const tempDir = async (t: Cleaner): Promise<string> => {
  const dir = await mkdtemp(path.join(tmpdir(), "streamer-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
};

/** Waits until `look` gives something else than undefined or false; generous, since machines are shared. */
export const until = async <T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> => {
  const endsAt = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    assert.ok(performance.now() < endsAt, `nothing within ${DEADLINE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
};

const tenantStandIn = (broker: ServiceBroker): void => {
  const principal = (scopes: ("channel:read" | "channel:write" | "platform:admin")[], other = false) => ({
    tenantId: other ? OTHER_TENANT_ID : TENANT_ID,
    tenant: other ? "other" : "default",
    apiKeyId: TENANT_ID,
    scopes,
  });
  const known = new Map([
    [KEYS.full as string, principal(["channel:read", "channel:write"])],
    [KEYS.read, principal(["channel:read"])],
    [KEYS.other, principal(["channel:read", "channel:write"], true)],
    [KEYS.admin, principal(["channel:read", "channel:write", "platform:admin"])],
  ]);
  broker.createService({
    name: "tenant",
    actions: { authenticate: answer(authenticate, ({ key }) => known.get(key) ?? null) },
  });
};

export interface World {
  readonly broker: ServiceBroker;
  readonly dataDir: string;
  /** `http://127.0.0.1:port` of each streamer. */
  readonly bases: readonly string[];
  /** The newest report of a stream. */
  report(streamId: string, ordinal?: number): StreamReport | undefined;
  readonly reported: readonly StreamerReported[];
  start(
    spec: Partial<StreamSpec> & { url: string },
    options?: StartOptions,
  ): Promise<{ state: string; changed: boolean }>;
  stop(): Promise<void>;
}
interface StartOptions {
  readonly ordinal?: number;
  readonly leaseEpoch?: number;
}
export interface WorldOptions {
  readonly dataDir?: string;
  readonly streamers?: number;
  readonly streamsMax?: number;
  readonly startIngest?: StartIngest;
  /** A supervisor that takes every proposal; on unless told otherwise. */
  readonly anchors?: "taken" | "ignored";
  readonly allowPrivateSources?: string[];
}

/** A payload that costs little: one small rung, segments of a second. */
export const CHEAP = {
  chunkDuration: "1000ms",
  preset: "ultrafast",
  ladder: [{ width: 160, height: 90, videoKbps: 150 }],
};
export const specOf = ({ url, ...spec }: Partial<StreamSpec> & { url: string }): StreamSpec => ({
  ...{ tenantId: TENANT_ID, tenant: "default", streamId: "test.stream", channelId: 7 },
  ...{ anchor: null, trusted: true, loopStartedAt: url.startsWith("pl:") ? 1_700_000_000_000 : null },
  ...spec,
  payload: { ...CHEAP, ...spec.payload, url },
});

/** Keeps the first anchor of a stream and those of a higher epoch, as a supervisor would, and tells all streamers. */
const anchorKeeper = (broker: ServiceBroker): ((report: StreamerReported) => void) => {
  const kept = new Map<string, NonNullable<StreamReport["anchorProposal"]>>();
  return ({ ordinal, streams }) => {
    for (const { anchorProposal, anchorEpoch, tenant, streamId, leaseEpoch, state } of streams) {
      const before = kept.get(streamId);
      if (anchorProposal && anchorProposal.anchorEpoch > (before?.anchorEpoch ?? 0)) kept.set(streamId, anchorProposal);
      const anchor = kept.get(streamId);
      if (!anchor || state === "stopped" || (anchorEpoch ?? 0) >= anchor.anchorEpoch) continue;
      const command = { ordinal, leaseEpoch, tenant, streamId, anchor };
      sendTo(broker, NODE_ID, setAnchor, command, { tenantId: TENANT_ID, tenant: "default" }).catch(() => {});
    }
  };
};

export const startWorld = async (t: Cleaner, options: WorldOptions = {}): Promise<World> => {
  const dataDir = options.dataDir ?? (await tempDir(t));
  const config = {
    ...{ nodeId: NODE_ID, namespace: "test", natsUrl: null, host: "127.0.0.1", dataDir },
    ...{ streamers: options.streamers ?? 1, streamerPort: 0, streamerPublicUrl: null },
    ...{ streamsMax: options.streamsMax ?? 8, ringBytesMax: 32 * 2 ** 20 },
    ...{ ffmpegPath: process.env.FFMPEG_PATH ?? null, ffmpegPreset: "ultrafast" as const },
    allowPrivateSources: options.allowPrivateSources ?? [],
  };
  const broker = makeBroker({ config, log: quietLog });
  tenantStandIn(broker);
  const reported: StreamerReported[] = [];
  const keepAnchors = options.anchors === "ignored" ? () => {} : anchorKeeper(broker);
  broker.createService({
    name: "watcher",
    events: on(streamerReported, (report) => {
      reported.push(report);
      keepAnchors(report);
    }),
  });
  const ingest = options.startIngest ? { startIngest: options.startIngest } : {};
  const streamers = await startStreamers({ config, broker, log: quietLog, clock: systemClock, ...ingest });
  await broker.start();
  streamers.join();
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    await streamers.stop();
    await broker.stop();
  };
  t.after(stop);
  return {
    ...{ broker, dataDir, reported, stop },
    bases: streamers.ports.map((port) => `http://127.0.0.1:${port}`),
    report: (streamId, ordinal = 0) =>
      reported.findLast((report) => report.ordinal === ordinal)?.streams.find((stream) => stream.streamId === streamId),
    start: (spec, { ordinal = 0, leaseEpoch = 1 } = {}) =>
      sendTo(
        broker,
        NODE_ID,
        startStream,
        { ordinal, leaseEpoch, spec: specOf(spec) },
        { tenantId: TENANT_ID, tenant: "default" },
      ),
  };
};

/** Puts a small clip where `pl:///{name}` looks for it. */
export const putClip = (dataDir: string, name: string, seconds = 4): Promise<string> =>
  ensureDemoClip({
    ...{ ffmpeg, dataDir, tenant: "default", name, log: quietLog },
    picture: { width: 320, height: 180, rate: "25", seconds },
  });

/** Waits until a stream lists segments; answers the base of its first video rendition. */
export const playable = async (world: World, streamId = "test.stream", ordinal = 0): Promise<string> => {
  const base = `${world.bases[ordinal]}/live/default/${streamId}`;
  await until(`${base} is playable`, async () => {
    const response = await fetch(`${base}/v0/media.m3u8`);
    return (await response.text()).includes("#EXTINF") && response.ok;
  });
  return `${base}/v0`;
};

/** Pids of ffmpegs that take a source in; the source itself, which has the address in its command line too, is none. */
export const canListProcesses = existsSync("/proc/self/cmdline");
export const ingestPids = (address: string): number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        return command.includes(address) && command.includes("-protocol_whitelist");
      } catch {
        return false;
      }
    })
    .map(Number);
