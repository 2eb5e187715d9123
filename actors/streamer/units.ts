/** The streamers of a node: what they share, and each with its listener and its reports. */
import { availableParallelism } from "node:os";
import path from "node:path";
import type { ServiceBroker } from "moleculer";
import { streamerReported } from "../../contracts/streamer.ts";
import { authenticate } from "../../contracts/tenant.ts";
import { announce, send } from "../../lib/actor/contract.ts";
import type { Clock } from "../../lib/clock.ts";
import { baseUrlOf, type Config } from "../../lib/config/config.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { PidFiles } from "../../lib/ffmpeg/pid-files.ts";
import { type Listener, openListener, type Ready } from "../../lib/http/listener.ts";
import { writeProblem } from "../../lib/http/problem.ts";
import type { Log } from "../../lib/log/log.ts";
import { openSourceProxy } from "../../lib/source-proxy.ts";
import { CastisApi } from "./castis-api.ts";
import { ffmpegIngest, type StartIngest } from "./ingest.ts";
import { LiveHttp } from "./live-http.ts";
import { LoopStore } from "./loop-store.ts";
import { Reporter } from "./reporter.ts";
import { SlateMaker } from "./slate.ts";
import { SourceOpener } from "./source.ts";
import { StateFile } from "./state-file.ts";
import { Streamer } from "./streamer.ts";

export interface StreamersOptions {
  readonly config: Pick<
    Config,
    | "nodeId"
    | "host"
    | "dataDir"
    | "streamers"
    | "streamerPort"
    | "streamerPublicUrl"
    | "streamsMax"
    | "ringBytesMax"
    | "ffmpegPath"
    | "ffmpegPreset"
    | "allowPrivateSources"
  >;
  readonly broker: ServiceBroker;
  readonly log: Log;
  readonly clock: Clock;
  readonly ready?: Ready;
  /** Tests and measurements bring a source of their own. */
  readonly startIngest?: StartIngest;
}
/** One streamer with its listener and its reports. */
export interface Unit {
  readonly streamer: Streamer;
  readonly listener: Listener;
  readonly reporter: Reporter;
}
/** Makes the streamer of an ordinal; `changed` is called when a report would look different. */
export type MakeStreamer = (ordinal: number, changed: () => void) => Streamer;

/** What all streamers of this node share. */
export interface Media {
  readonly make: MakeStreamer;
  close(): Promise<void>;
}

/** Finds ffmpeg, reaps what an earlier run left, and opens loops, slates and the rules for sources. */
export const openMedia = async ({ config, log, clock, startIngest }: StreamersOptions): Promise<Media> => {
  const { dataDir } = config;
  const ffmpeg = await findFfmpeg(config.ffmpegPath);
  const pidFiles = new PidFiles(path.join(dataDir, "run", "ffmpeg"));
  const reaped = await pidFiles.reap();
  if (reaped.length > 0) log.warn({ pids: reaped }, "killed what an earlier run had left behind");
  const loops = new LoopStore({ ffmpeg, dataDir, log, pidFiles });
  await loops.start(clock);
  const { allowPrivateSources, streamsMax, ringBytesMax } = config;
  const proxy = await openSourceProxy({ allowPrivateSources, log });
  const shared = {
    ...{ clock, log, streamsMax, ringBytesMax },
    machine: { cores: availableParallelism(), preset: config.ffmpegPreset },
    opener: new SourceOpener({ ffmpeg, loops, allowPrivateSources, guardProxyUrl: proxy.url }),
    makeSlate: new SlateMaker({ ffmpeg, pidFiles, log }).make,
    startIngest: startIngest ?? ffmpegIngest({ ffmpeg, pidFiles }),
  };
  const make: MakeStreamer = (ordinal, changed) => {
    const stateFile = new StateFile(path.join(dataDir, "run", `streamer-${ordinal}.json`), log);
    return new Streamer({ ...shared, stateFile, changed });
  };
  const close = () => {
    loops.stop();
    return proxy.close();
  };
  return { make, close };
};

/** The public URL is the first streamer's; further ones add to its port. */
const publicUrlOf = (publicUrl: string | null, ordinal: number, baseUrl: string): string => {
  if (publicUrl === null) return baseUrl;
  const url = new URL(publicUrl);
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  if (ordinal > 0) url.port = String(port + ordinal);
  return url.href.replace(/\/$/, "");
};

export const openUnit = async (options: StreamersOptions, ordinal: number, make: MakeStreamer): Promise<Unit> => {
  const { config, broker, ready = () => ({ ready: true, checks: {} }) } = options;
  const log = options.log.child({ streamer: ordinal });
  const streamer = make(ordinal, () => reporter.changed());
  const live = new LiveHttp(streamer.find);
  const castis = new CastisApi({
    ...{ streamer, log },
    authenticate: (key, requestId) => send(broker, authenticate, { key }, { requestId }),
  });
  const listener = await openListener({
    ...{ name: `streamer ${ordinal}`, host: config.host, log, ready },
    port: config.streamerPort === 0 ? 0 : config.streamerPort + ordinal,
    portVariable: "STREAMER_PORT",
    handle: (request, response) => {
      if (live.handle(request, response) || castis.handle(request, response)) return;
      writeProblem({ request, response }, { code: "NOT_FOUND" });
    },
  });
  const baseUrl = baseUrlOf(config.host, listener.port);
  const publicUrl = publicUrlOf(config.streamerPublicUrl, ordinal, baseUrl);
  const { nodeId } = config;
  const reporter = new Reporter({
    ...{ streamer, log },
    about: { nodeId, ordinal, name: `${nodeId}/${ordinal}`, baseUrl, publicUrl },
    announce: (report) => announce(broker, streamerReported, report),
  });
  await streamer.open();
  return { streamer, listener, reporter };
};
