/** An edge over a real broker, a fleet actor that says what the test wants, and a client that sees broken answers. */
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from "node:http";
import type { ServiceBroker } from "moleculer";
import { fail } from "../../contracts/errors.ts";
import { getSnapshot, type Snapshot, snapshotMade } from "../../contracts/fleet.ts";
import { type Edge, startEdge } from "../../edge/node/edge.ts";
import type { UpstreamTimeouts } from "../../edge/origin/upstream.ts";
import { makeBroker } from "../../lib/actor/broker.ts";
import { announce, answer } from "../../lib/actor/contract.ts";
import { systemClock } from "../../lib/clock.ts";
import { quietLog } from "../../lib/log/log.ts";
import { edgeConfigWith } from "../support/edge-config.ts";
import { tempDir } from "../support/platform.ts";

type Channel = Snapshot["channels"][number];
interface Cleaner {
  after(clean: () => Promise<void>): void;
}

export const TENANT = "acme";
export const STREAM = "one.stream";
export const FOLDER = `/live/${TENANT}/${STREAM}`;

/** A busy machine must not look like an origin that hangs. */
const PATIENT: UpstreamTimeouts = {
  connectMs: 10_000,
  firstByteMs: 30_000,
  hastyFirstByteMs: 30_000,
  hastyPlaylistFirstByteMs: 30_000,
  idleMs: 30_000,
  bodyMs: 60_000,
  queueMs: 30_000,
};
/** Where an origin hangs and the test waits for the edge to give it up. */
export const HASTY: UpstreamTimeouts = {
  ...PATIENT,
  hastyFirstByteMs: 500,
  hastyPlaylistFirstByteMs: 400,
  idleMs: 1_000,
};

export interface OriginAt {
  readonly url: string;
  readonly kind?: "castellan" | "castis";
  readonly master?: string;
  readonly trusted?: boolean;
}
/** One channel with these origins, in their order. */
export const channelOf = (origins: readonly OriginAt[], more: Partial<Channel> = {}): Channel => ({
  tenant: TENANT,
  streamId: STREAM,
  segmentMs: 2_000,
  origins: origins.map(({ url, kind = "castellan", master, trusted }, index) => ({
    originId: index + 1,
    kind,
    base: `${url}${FOLDER}`,
    ...(master === undefined ? {} : { master }),
    ...(trusted === undefined ? {} : { trusted }),
  })),
  ...more,
});

export interface EdgeUnderTest {
  readonly edge: Edge;
  readonly url: string;
  readonly dataDir: string;
  readonly broker: ServiceBroker;
  /** Moves the edge's clock forward. */
  pass(ms: number): void;
  /** What the fleet actor has from now on; the edge is told. */
  setChannels(channels: readonly Channel[]): void;
  /** The fleet actor answers with an error, as without a database, until `true`. */
  fleetAnswers(yes: boolean): void;
}

export interface EdgeOptions {
  readonly channels?: readonly Channel[];
  readonly cacheBytes?: number;
  readonly dataDir?: string;
  readonly fleetAnswers?: boolean;
  readonly timeouts?: UpstreamTimeouts;
  /** Stand-ins listen on 127.0.0.1. */
  readonly allowPrivateSources?: readonly string[];
}

export const edgeUnderTest = async (t: Cleaner, options: EdgeOptions = {}): Promise<EdgeUnderTest> => {
  const dataDir = options.dataDir ?? (await tempDir(t));
  const broker = makeBroker({ config: { nodeId: "edge-1", namespace: "test", natsUrl: null }, log: quietLog });
  let snapshot: Snapshot = { version: 1, madeAt: new Date().toISOString(), channels: [...(options.channels ?? [])] };
  let answers = options.fleetAnswers ?? true;
  const snapshotFor = (haveVersion: number) => ({ snapshot: snapshot.version > haveVersion ? snapshot : null });
  broker.createService({
    name: "fleet",
    actions: {
      snapshot: answer(getSnapshot, ({ haveVersion }) => (answers ? snapshotFor(haveVersion) : fail("DATABASE_DOWN"))),
    },
  });
  await broker.start();
  t.after(() => broker.stop());
  let skewMs = 0;
  const edge = await startEdge({
    config: edgeConfigWith({
      ...{ dataDir, nodeId: "1" },
      ...(options.allowPrivateSources ? { allowPrivateSources: options.allowPrivateSources } : {}),
      ...(options.cacheBytes ? { edgeCacheBytes: options.cacheBytes } : {}),
    }),
    ...{ broker, log: quietLog, clock: systemClock, timeouts: options.timeouts ?? PATIENT },
    nowMs: () => performance.now() + skewMs,
  });
  t.after(() => edge.stop(100));
  return {
    edge,
    dataDir,
    broker,
    url: `http://127.0.0.1:${edge.port}`,
    pass: (ms) => {
      skewMs += ms;
    },
    setChannels: (channels) => {
      snapshot = { version: snapshot.version + 1, madeAt: new Date().toISOString(), channels: [...channels] };
      announce(broker, snapshotMade, { version: snapshot.version });
    },
    fleetAnswers: (yes) => {
      answers = yes;
    },
  };
};

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The connection broke before the body was whole. */
  readonly broken: boolean;
}
export interface GetOptions {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  /** Told of each piece of the body. */
  readonly onData?: (chunk: Buffer) => void;
  readonly signal?: AbortSignal;
}

/**
 * One request on a connection of its own. A broken answer is an answer, with status 0 when the connection was reset
 * before its head had been read.
 */
export const get = (url: string, options: GetOptions = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { method = "GET", headers = {}, onData, signal } = options;
    const chunks: Buffer[] = [];
    let head: { status: number; headers: IncomingHttpHeaders } = { status: 0, headers: {} };
    const end = (broken: boolean): void => resolve({ ...head, body: Buffer.concat(chunks), broken });
    const sent = request(url, { method, headers, agent: false, ...(signal ? { signal } : {}) }, (response) => {
      head = { status: response.statusCode ?? 0, headers: response.headers };
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        onData?.(chunk);
      });
      response.on("end", () => end(false));
      response.on("error", () => end(true));
    });
    sent.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNRESET") end(true);
      else reject(error);
    });
    sent.end();
  });

/** A media playlist that lists these numbers. */
export const mediaPlaylist = (first: number, last: number): string => {
  const lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", `#EXT-X-MEDIA-SEQUENCE:${first}`, '#EXT-X-MAP:URI="init.mp4"'];
  for (let number = first; number <= last; number += 1) lines.push("#EXTINF:2.0,", `${number}.m4s`);
  return `${lines.join("\n")}\n`;
};
export const lastNumberIn = (playlist: Buffer): number =>
  Number(
    playlist
      .toString()
      .match(/^(\d+)\.m4s$/gm)
      ?.at(-1)
      ?.slice(0, -4) ?? -1,
  );
/** Bytes that tell where they belong: no two places look alike. */
export const patterned = (sizeBytes: number, seed = 1): Buffer => {
  const body = Buffer.alloc(sizeBytes);
  for (let at = 0; at + 4 <= sizeBytes; at += 4) body.writeUInt32BE((at * 2_654_435_761 + seed) >>> 0, at);
  return body;
};
