/**
 * Runs what viewers will run, before there are any: code that was never run takes 50 ms for the first playlist of a
 * long file, and 15 ms when it has run for a while.
 */
import { inflateSync } from "node:zlib";
import type { Clock } from "../../lib/clock.ts";
import type { PackagerConfig } from "../../lib/config/packager-config.ts";
import type { RawExchange } from "../../lib/http/exchange.ts";
import type { Log } from "../../lib/log/log.ts";
import type { ContentSource, SourceObject, SourceStat } from "../../lib/source/port.ts";
import { Library } from "./library.ts";
import { PackagerServer } from "./serve.ts";
import { Sets } from "./sets.ts";
import { SmilFiles } from "./smil-files.ts";
import { Subtitles } from "./subtitles.ts";
import { TokenGate } from "./tokens.ts";
import { WARM_UP_CLIP } from "./warm-up-clip.ts";
import { loopedMovie } from "./warm-up-movie.ts";
import type { Workshop } from "./workshop.ts";

/** Long enough for the compiler, short enough to be ready within two seconds. */
const BUDGET_MS = 300;
/** Ten minutes out of a clip of four seconds: long tables are what has to be quick. */
const LOOPS = 150;

/** A source with one file in memory, under every path. */
const memorySource = (bytes: Buffer): ContentSource => {
  const stat: SourceStat = { sizeBytes: bytes.length, modifiedMs: 0, etag: null, version: "1" };
  const object: SourceObject = {
    stat,
    readRange: async (offset, target) => void bytes.copy(target, 0, offset, offset + target.length),
    close: async () => {},
  };
  return {
    kind: "memory",
    capabilities: { ranges: true, list: false, strongVersion: true },
    stat: async () => stat,
    open: async () => object,
    list: () => {
      throw new Error("bug: a clip in memory has no folders");
    },
    fetchTo: () => Promise.reject(new Error("bug: a clip in memory is not copied")),
    close: async () => {},
  };
};

/** A request that nobody waits for. */
const unheard = (path: string): RawExchange => ({
  method: "GET",
  target: path,
  path,
  query: "",
  host: "",
  remoteAddress: "127.0.0.1",
  encrypted: false,
  requestId: "warm-up",
  signal: new AbortController().signal,
  status: 0,
  isGone: false,
  context: undefined,
  fields: [],
  isConditional: false,
  header: () => undefined,
  readBody: async () => Buffer.alloc(0),
  send: (_status, _headers, _body, release) => release?.(),
  begin: () => {
    throw new Error("bug: a warm-up segment does not fit into a slot");
  },
  beginPart: () => undefined,
  sendPrepared: () => {},
  problem: ({ code }) => {
    throw new Error(`bug: the warm-up got ${code}`);
  },
});

const LEAVES = [
  "master.m3u8",
  "index_0_av.m3u8",
  "segment1_0_av.ts",
  "cmaf_0_av.m3u8",
  "segment1_0_av.m4s",
  "manifest.mpd",
];

export interface WarmUpDeps {
  readonly config: PackagerConfig;
  readonly workshop: Workshop;
  readonly clock: Clock;
  readonly log: Log;
}

/** Asks for each kind of thing again and again for a quarter of a second. */
export const warmUp = async ({ config, workshop, clock, log }: WarmUpDeps): Promise<void> => {
  const clip = inflateSync(Buffer.from(WARM_UP_CLIP, "base64"));
  const source = memorySource(loopedMovie(clip, LOOPS));
  const open = { ...config, segmentSeconds: 1, tokens: [], encryption: [], trustedProxies: [] };
  const { segmentSeconds, urlPrefix: prefix, sourceRecheckMs: recheckMs } = open;
  const library = new Library({ source, clock, log, segmentSeconds, indexBytesMax: 1e6, recheckMs, epoch: "" });
  const server = new PackagerServer({
    config: open,
    clock,
    log,
    library,
    sets: new Sets({ library, segmentSeconds, log }),
    gate: new TokenGate({ rules: [], prefix, clock }),
    smil: new SmilFiles({ source, clock, recheckMs, prefix }),
    subtitles: new Subtitles({ source }),
    source,
    workshop,
    segmentCache: null,
  });
  const endMs = performance.now() + BUDGET_MS;
  for (let round = 0; performance.now() < endMs; round += 1) {
    for (const leaf of LEAVES) await server.handle(unheard(`${prefix}${round}.mp4/${leaf}`));
  }
  library.close();
};
