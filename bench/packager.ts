/**
 * What a packager sends per second out of one core, as it is shipped: TS, fMP4 and AES-128 segments of a film of ten
 * minutes and its playlists, against nginx sending the same bytes as files, nginx-vod-module (NGINX_VOD_BIN names a
 * build) and node:http answering "ok". Server on CPU 0, wrk on CPU 1, servers in turn, medians.
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { bareServer } from "./http.fixture.ts";
import { congestionControl } from "./http-load.fixture.ts";
import { Cleanup } from "./live.fixture.ts";
import { type WrkResult, wrk } from "./load.fixture.ts";
import { onFirstCpu, ours, segmentPaths, startPackager, vod } from "./packager.fixture.ts";
import { benchMedia, readWhole } from "./packager-media.fixture.ts";
import { type Peer, startStatic, startVod } from "./packager-peers.fixture.ts";
import { median, type Row, report } from "./report.ts";

const SEGMENTS = 100;
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const SECONDS = 4;
const CONNECTIONS = 8;
const KEY = "00112233445566778899aabbccddeeff";

interface Side {
  readonly name: string;
  readonly peer: Peer;
  readonly paths: readonly string[];
  /** Started anew before each sample: nginx-vod's worker is slower while its heap is young. */
  readonly fresh?: true;
}
type Figures = Pick<WrkResult, "perSecond" | "p99Ms" | "cpuMs" | "faults">;

const middle = (results: readonly WrkResult[]): Figures => ({
  perSecond: median(results.map(({ perSecond }) => perSecond)),
  p99Ms: median(results.map(({ p99Ms }) => p99Ms)),
  cpuMs: median(results.map(({ cpuMs }) => cpuMs)),
  faults: median(results.map(({ faults }) => faults)),
});

/** All sides in turn, round by round; the first round is not counted. */
const compared = async (sides: readonly Side[], connections = CONNECTIONS): Promise<ReadonlyMap<string, Figures>> => {
  const results = new Map<string, WrkResult[]>(sides.map(({ name }) => [name, []]));
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const { name, peer, paths, fresh } of sides) {
      const { url, pid } = fresh ? await peer.restart() : peer;
      const result = await wrk(pid, { url, paths, connections, seconds: SECONDS });
      if (round > 0) results.get(name)?.push(result);
    }
  }
  return new Map([...results].map(([name, all]) => [name, middle(all)]));
};

const shown = ({ perSecond, p99Ms, cpuMs, faults }: Figures): string =>
  `${Math.round(perSecond)}/s, p99 ${p99Ms.toFixed(1)} ms, ${cpuMs.toFixed(2)} ms CPU, ${Math.round(faults)} faults`;

/** One row for each side beside ours. */
const rowsOf = (
  what: string,
  figures: ReadonlyMap<string, Figures>,
  goals: Readonly<Record<string, string>>,
): Row[] => {
  const own = figures.get("packager");
  if (!own) throw new Error("the packager was not measured");
  return Object.entries(goals).map(([name, goal]) => {
    const other = figures.get(name);
    if (!other) return { what, value: shown(own), against: `${name}: not shown`, goal };
    const ratio = (own.perSecond / other.perSecond).toFixed(2);
    const tail = (own.p99Ms / other.p99Ms).toFixed(2);
    return { what, value: shown(own), against: `${name} ${shown(other)}: ${ratio}×, its p99 ${tail}×`, goal };
  });
};

interface Stage {
  readonly cleanup: Cleanup;
  readonly folder: string;
  readonly movie: string;
  readonly packager: Peer;
  readonly tuned: Peer | null;
  readonly installed: Peer | null;
  readonly young: Peer | null;
}

const vodSides = (stage: Stage, paths: readonly string[]): Side[] => [
  ...(stage.tuned ? [{ name: "nginx-vod, best tuned", peer: stage.tuned, paths }] : []),
  ...(stage.installed ? [{ name: "nginx-vod, as installed, settled", peer: stage.installed, paths }] : []),
  ...(stage.young
    ? [{ name: "nginx-vod, as installed, fresh worker", peer: stage.young, paths, fresh: true as const }]
    : []),
];

/** Our own answers as files for nginx. */
const staticCopies = async ({ cleanup, folder, packager, movie }: Stage): Promise<Peer> => {
  const copies = path.join(folder, "static");
  await mkdir(copies, { recursive: true });
  cleanup.after(() => rm(copies, { recursive: true, force: true }));
  for (const [index, one] of segmentPaths(SEGMENTS, ours.ts(movie)).entries()) {
    const answer = await fetch(packager.url + one);
    await writeFile(path.join(copies, `${index + 1}.ts`), Buffer.from(await answer.arrayBuffer()));
  }
  return startStatic(cleanup, copies);
};

const segmentsRows = async (stage: Stage): Promise<Row[]> => {
  const { packager, movie } = stage;
  const own = (paths: readonly string[]): Side => ({ name: "packager", peer: packager, paths });
  const files = await staticCopies(stage);
  const ts = await compared([
    own(segmentPaths(SEGMENTS, ours.ts(movie))),
    { name: "nginx, static files", peer: files, paths: segmentPaths(SEGMENTS, (number) => `/${number}.ts`) },
    ...vodSides(stage, segmentPaths(SEGMENTS, vod.ts(movie))),
  ]);
  const fmp4 = await compared([
    own(segmentPaths(SEGMENTS, ours.fmp4(movie))),
    ...vodSides(stage, segmentPaths(SEGMENTS, vod.fmp4(movie))),
  ]);
  return [
    ...rowsOf("TS segments, 8 connections", ts, {
      "nginx, static files": "≥ 1.0×",
      "nginx-vod, best tuned": "≥ 1.0×, p99 ≤ 1.5×",
      "nginx-vod, as installed, settled": "≥ 1.6×",
      "nginx-vod, as installed, fresh worker": "≥ 2×",
    }),
    ...rowsOf("fMP4 segments, 8 connections", fmp4, {
      "nginx-vod, best tuned": "≥ 1.3×",
      "nginx-vod, as installed, settled": "≥ 2×",
    }),
  ];
};

const aesRows = async ({ cleanup, folder, movie, tuned }: Stage): Promise<Row[]> => {
  const env = { CASTERPAK_ENCRYPTION_METHOD: "aes-128", CASTERPAK_ENCRYPTION_KEY: KEY };
  const packager = await startPackager(cleanup, folder, env);
  const figures = await compared([
    { name: "packager", peer: packager, paths: segmentPaths(SEGMENTS, ours.ts(movie)) },
    ...(tuned ? [{ name: "nginx-vod, best tuned", peer: tuned, paths: segmentPaths(SEGMENTS, vod.aes(movie)) }] : []),
  ]);
  return rowsOf("AES-128 TS segments, 8 connections", figures, { "nginx-vod, best tuned": "≥ 0.85×" });
};

const playlistRows = async ({ cleanup, packager, movie }: Stage): Promise<Row[]> => {
  const bare = await bareServer(cleanup, Buffer.from("ok"));
  onFirstCpu(bare.pid);
  const bareUrl = new URL(bare.url);
  const peer: Peer = { name: "node:http", url: bareUrl.origin, pid: bare.pid, restart: async () => peer };
  const sides = [
    { name: "packager", peer: packager, paths: [ours.playlist(movie)] },
    { name: 'node:http answering "ok"', peer, paths: ["/"] },
  ];
  return rowsOf("warm playlists, 32 connections", await compared(sides, 32), {
    'node:http answering "ok"': "≥ 50,000/s, ≥ 1.0×",
  });
};

const main = async (cleanup: Cleanup): Promise<void> => {
  const { folder, movie } = await benchMedia();
  await readWhole(path.join(folder, movie));
  const stage: Stage = {
    cleanup,
    folder,
    movie,
    packager: await startPackager(cleanup, folder),
    tuned: await startVod(cleanup, folder, "tuned"),
    installed: await startVod(cleanup, folder, "installed"),
    young: await startVod(cleanup, folder, "installed"),
  };
  const rows = [...(await playlistRows(stage)), ...(await segmentsRows(stage)), ...(await aesRows(stage))];
  report(`The packager, warm: a film of ten minutes, 1080p, 4 MB segments, one core, ${congestionControl()}`, rows);
};

const cleanup = new Cleanup();
await main(cleanup).finally(() => cleanup.run());
