/** kill -9 in the middle of everything: real processes on the same folders, one after the other, under load. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { diskBytes, filesBelow } from "../../actors/packager/caches.fixture.ts";
import { type Node, startNode, tempDir, until } from "../support/platform.ts";
import { type Random, seeded } from "../support/seeded.ts";
import { stampedFilms } from "./films.ts";
import { type Behaviour, type Content, type Origin, startOrigin } from "./origin.ts";
import { digestOf, MEDIA, SAME, TEXTS, type Truth, truthsOf } from "./truths.ts";
import { audienceOf } from "./viewers.ts";

const MB = 2 ** 20;
const FILE_COUNT = 5; // of 3 MB each: more than the input cache holds
const CONTENT_COUNT = 3;
const INPUT_MB = 10;
const SEGMENT_MB = 6;
const VIEWER_COUNT = 24;
const SEED_SQL = "UPDATE segmentfile SET timestamp = 0; UPDATE inputfile SET timestamp = 0;";

/** One request of so many does not go well. */
const TROUBLE_EVERY = 20;
const BEHAVIOURS: readonly Behaviour[] = ["stalls", "cut", "reset", "unavailable", "short", "silent"];

export interface KillOptions {
  readonly rounds: number;
  readonly seed: number;
  /** What the input cache keeps. */
  readonly mode: "ranges" | "whole";
}

interface World {
  readonly root: string;
  readonly origin: Origin;
  readonly contents: readonly Content[];
  readonly truths: readonly Truth[];
  readonly env: Readonly<Record<string, string>>;
  readonly random: Random;
}

const pathOf = (file: number): string => `media/film${file}.mp4`;

const worldOf = async (t: TestContext, { seed, mode }: KillOptions): Promise<World> => {
  const root = await tempDir(t);
  const contents = await stampedFilms(t, CONTENT_COUNT);
  const truths = await truthsOf(contents);
  const files = Array.from({ length: FILE_COUNT }, (_, file) => [pathOf(file), contents[0] ?? assert.fail()] as const);
  const origin = await startOrigin(t, new Map(files));
  const env = {
    ...SAME,
    ...{ ROLES: "packager", DATABASE_URL: "", NATS_URL: "" },
    CASTERPAK_INPUT_INPUT_TYPE: "http",
    CASTERPAK_HTTP_URL: `${origin.url}/media`,
    CASTERPAK_HTTP_CACHE_INPUT: "True",
    CASTERPAK_HTTP_RANGES: mode === "ranges" ? "on" : "off",
    CASTERPAK_INPUT_IDLE_TIMEOUT: "1",
    CASTERPAK_INPUT_CONNECT_TIMEOUT: "1",
    CASTERPAK_INPUT_VIDEOCACHEPATH: join(root, "input"),
    CASTERPAK_OUTPUT_SEGMENTPARENTPATH: join(root, "segments"),
    CASTERPAK_CACHE_INPUT_FILE_CACHE_SIZE: String(INPUT_MB),
    CASTERPAK_CACHE_SEGMENT_CACHE: "on",
    CASTERPAK_CACHE_SEGMENT_FILE_CACHE_SIZE: String(SEGMENT_MB),
    CASTERPAK_CACHE_CLEANUP_INTERVAL: "1",
    CASTERPAK_CACHE_SOURCE_RECHECK: "0",
  };
  return { root, origin, contents, truths, env, random: seeded(seed) };
};

/** As the seed's README says it, by another program. */
const invalidate = ({ root }: World): void => {
  const db = new DatabaseSync(join(root, "data/packager/cacheDB.db"), { timeout: 5_000 });
  try {
    db.exec(SEED_SQL);
  } finally {
    db.close();
  }
};

const assertLimits = ({ root }: World): void => {
  const sizes = { input: diskBytes(join(root, "input")), segments: diskBytes(join(root, "segments")) };
  assert.ok(sizes.input <= INPUT_MB * MB, `${sizes.input} bytes of input`);
  assert.ok(sizes.segments <= SEGMENT_MB * MB, `${sizes.segments} bytes of segments`);
};

/** Films are replaced and the source misbehaves until it is told to stop. */
const unrest = ({ origin, contents, random: { int } }: World): { stop(): void } => {
  const replace = (): void =>
    void origin.files.set(pathOf(int(FILE_COUNT)), contents[int(CONTENT_COUNT)] ?? assert.fail());
  const timer = setInterval(replace, 150);
  origin.behave = () => (int(TROUBLE_EVERY) > 0 ? "well" : (BEHAVIOURS[int(BEHAVIOURS.length)] ?? "well"));
  return {
    stop: () => {
      clearInterval(timer);
      origin.behave = () => "well";
    },
  };
};

const start = (t: TestContext, { root, env }: World): Promise<Node> =>
  startNode(t, { env, dataDir: join(root, "data") });

/** One life under load: frozen now and then, its caches invalidated now and then, killed at any moment. */
const live = async (node: Node, world: World): Promise<void> => {
  const { int } = world.random;
  await pause(100 + int(900));
  if (int(3) === 0) {
    node.kill("SIGSTOP");
    await pause(100 + int(500));
    node.kill("SIGCONT");
    await pause(int(300));
  }
  if (int(4) === 0) {
    invalidate(world);
    await pause(int(1_500)); // its cleaning is in the middle of something, or over
  }
};

const die = async (node: Node): Promise<void> => {
  assert.equal(node.child.exitCode, null, `it ended by itself:\n${node.output().slice(-3_000)}`);
  const ended = once(node.child, "exit");
  node.kill("SIGKILL");
  await ended;
};

/** Everything of every film, from a source that is quiet again. */
const assertAll = async (url: string, { origin, contents, truths }: World): Promise<void> => {
  for (let file = 0; file < FILE_COUNT; file += 1) {
    const present = contents.indexOf(origin.files.get(pathOf(file)) ?? assert.fail());
    const { version, digests } = truths[present] ?? assert.fail();
    for (const name of [...TEXTS, ...MEDIA]) {
      const path = `/i/film${file}.mp4/${name}${MEDIA.includes(name) ? `?v=${version}` : ""}`;
      const answer = await fetch(url + path);
      const bytes = new Uint8Array(await answer.arrayBuffer());
      assert.equal(answer.status, 200, `${path}: ${Buffer.from(bytes).subarray(0, 300)}`);
      assert.equal(digestOf(bytes), digests.get(name), path);
    }
    const stale = truths.find((truth) => truth.version !== version)?.version;
    assert.equal((await fetch(`${url}/i/film${file}.mp4/segment1_0_av.ts?v=${stale}`)).status, 404, "a stale version");
  }
};

const filesOf = ({ root }: World): string[] =>
  ["input", "segments"].flatMap((folder) => [...filesBelow(join(root, folder)).keys()]);

/** Segments are kept after they are sent: what is written after the invalidation is not meant by it. */
const settled = async (world: World): Promise<void> => {
  for (let before = -1; before !== filesOf(world).length; await pause(1_000)) before = filesOf(world).length;
};

/** Answers that a life says it cut because the source failed in their middle: others may not break off. */
const cutsOf = (node: Node): number =>
  (node.output().match(/"code":"SOURCE_[A-Z]+".*"msg":"answer cut"/g) ?? []).length;

/** Rounds over the same folders; each is a life, a kill and a look at what is left. */
export const surviveKills = async (t: TestContext, options: KillOptions): Promise<void> => {
  const world = await worldOf(t, options);
  const audience = audienceOf({ ...world, count: VIEWER_COUNT, fileCount: FILE_COUNT });
  t.after(() => audience.stop().catch(() => {}));
  const trouble = unrest(world);
  let isDone = false;
  let cutCount = 0;
  let node = await start(t, world);
  t.after(() => {
    if (!isDone) t.diagnostic(`seed ${options.seed}; the last life said:\n${node.output().slice(-4_000)}`);
  });
  for (let round = 0; round < options.rounds; round += 1) {
    audience.turnTo(node.endpoints.packager);
    await live(node, world);
    if (audience.hasFailed) break;
    audience.turnTo(null);
    await die(node);
    cutCount += cutsOf(node);
    assertLimits(world);
    node = await start(t, world);
    assertLimits(world);
  }
  audience.turnTo(node.endpoints.packager);
  await pause(500);
  trouble.stop();
  await audience.stop();
  const { served } = audience;
  t.diagnostic(`${options.mode}: ${options.rounds} kills (seed ${options.seed}), ${JSON.stringify(served)}`);
  await assertAll(node.endpoints.packager ?? "", world);
  assertLimits(world);
  assert.ok(filesOf(world).length > 0, "something is kept");
  await settled(world);
  invalidate(world);
  await until("both caches to be empty", () => (filesOf(world).length === 0 ? true : undefined));
  await assertAll(node.endpoints.packager ?? "", world);
  assert.equal(await node.stop(), 0);
  cutCount += cutsOf(node);
  assert.ok(served.cut <= cutCount, `${served.cut} answers broke off, ${cutCount} for their source`);
  assert.ok(served.right > options.rounds * 10 && served.played > 0, JSON.stringify(served));
  isDone = true;
};
