/** What a title needs is away for a while, in each part of its way: all of it waits, says so, and goes on by itself. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { makeFilm } from "../e2e/vod-platform.ts";
import { proxyTo } from "../support/proxy.ts";
import { S3_KEYS, startS3 } from "../support/servers-s3.ts";
import { assertPlays } from "./kills.suite.ts";
import { assertRungs, untilIdle } from "./objects.ts";
import { assertRefused, assertWaits, interruptedUpload, untilJob } from "./waiting.ts";
import { type Cleaner, createTitle, send, startWorks, type Tenant, untilWhole, type Works } from "./works.ts";

export type Scene = Cleaner & { after(clean: () => Promise<void>): void; skip(reason: string): void };

const temporary = async (t: Cleaner): Promise<string> => {
  const folder = await mkdtemp(path.join(tmpdir(), "castellan-test-"));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
};

const filmOf = async (t: Cleaner, film: { seconds: number; width: number; height: number }): Promise<string> =>
  makeFilm({ ...film, folder: await temporary(t) });

interface Outage {
  readonly code: string;
  away(): Promise<void>;
  back(): Promise<void>;
}

/** A title's jobs, of which each group is cut off in a title of its own. */
const STAGES = [["transcode.plan"], ["transcode.chunk"], ["transcode.stitch", "transcode.pictures"]] as const;

interface Cut {
  readonly tenant: Tenant;
  readonly titleId: string;
  readonly outage: Outage;
}

/** While jobs of these kinds are there: they wait, say why, and go on by themselves. */
const duringWork = async ({ tenant, titleId, outage }: Cut, kinds: readonly string[]): Promise<void> => {
  await untilJob(tenant, titleId, kinds);
  await outage.away();
  await assertWaits(tenant, titleId, outage.code);
  await outage.back();
  await untilWhole(tenant, titleId);
};

/** During an upload, and then in each stage of the work on a title; gives the titles. */
const survive = async (t: Cleaner, works: Works, outage: Outage): Promise<readonly string[]> => {
  const tenant = works.tenants[1]!;
  const file = await filmOf(t, { seconds: 7, width: 320, height: 180 });
  const { titleId: first, sent, refused } = await interruptedUpload(works, { tenant, file, away: outage.away });
  assertRefused(await refused, outage.code);
  await outage.back();
  await sent;
  const titles: string[] = [];
  for (const kinds of STAGES) {
    const isFirst = titles.length === 0;
    const titleId = isFirst ? first : await createTitle(tenant, kinds.join());
    if (!isFirst) await send(works, { tenant, file, titleId });
    titles.push(titleId);
    await duringWork({ tenant, titleId, outage }, kinds);
  }
  return titles;
};

/** A disk that is unplugged: what stood at its place is an empty folder, or nothing. */
const unplugged = (works: Works, leaves: "nothing" | "an empty folder"): Outage => {
  const { objectsDir } = works;
  const elsewhere = `${objectsDir}-elsewhere`;
  return {
    code: "OBJECT_STORE_DOWN",
    away: async () => {
      await rename(objectsDir, elsewhere);
      if (leaves === "an empty folder") await mkdir(objectsDir);
    },
    back: async () => {
      if (leaves === "an empty folder") {
        assert.deepEqual(await readdir(objectsDir), [], "nothing is written where the disk is not");
        await rmdir(objectsDir);
      }
      await rename(elsewhere, objectsDir);
    },
  };
};

export const storeUnplugged = async (t: Scene, leaves: "nothing" | "an empty folder"): Promise<void> => {
  const works = await startWorks(t, { transcoders: 1 });
  const titles = await survive(t, works, unplugged(works, leaves));
  await untilIdle(works);
  for (const titleId of titles) await assertRungs(works, titleId);
  await assertPlays({ tenant: works.tenants[1]!, titleId: titles[0]! });
};

const mountedAt = (dir: string, megabytes: number): boolean =>
  spawnSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", dir]).status === 0;

/** As much as there is room for. */
const fill = async (file: string): Promise<void> => {
  for (let size = 64 * 2 ** 20; size >= 4_096; size /= 2) {
    await writeFile(file, Buffer.alloc(size), { flag: "a" }).catch((error: NodeJS.ErrnoException) => {
      assert.equal(error.code, "ENOSPC");
    });
  }
};

/** The disk of the object store and that of the transcoder's work, each full for a while. */
export const disksFull = async (t: Scene): Promise<void> => {
  const [store, work] = [await mkdtemp(`${tmpdir()}/castellan-full-`), await mkdtemp(`${tmpdir()}/castellan-full-`)];
  let isMounted = true;
  for (const dir of [store, work]) isMounted = isMounted && mountedAt(dir, 48);
  if (!isMounted) {
    for (const dir of [store, work]) spawnSync("umount", ["--lazy", dir]);
    return t.skip("only root may mount a file system");
  }
  // After the processes have ended: hooks run in the order of their making.
  let works: Works | undefined;
  const lateCleaner: Cleaner = {
    after: (clean) => t.after(async () => void (await clean())),
    diagnostic: t.diagnostic,
  };
  try {
    works = await startWorks(lateCleaner, {
      objectsDir: path.join(store, "objects"),
      transcoders: 1,
      dataDirOf: (role) => (role === "transcoder" ? path.join(work, "data") : undefined),
    });
    const full = (dir: string): Outage => ({
      code: "OBJECT_STORE_FULL",
      away: () => fill(path.join(dir, "filler")),
      back: () => rm(path.join(dir, "filler")),
    });
    const titles = await survive(t, works, full(store));
    const tenant = works.tenants[0]!;
    const titleId = await createTitle(tenant, "Workless");
    const workDisk = full(work);
    await workDisk.away();
    await send(works, { tenant, titleId, file: await filmOf(t, { seconds: 4, width: 160, height: 90 }) });
    await assertWaits(tenant, titleId, workDisk.code);
    await workDisk.back();
    await untilWhole(tenant, titleId);
    for (const one of [...titles, titleId]) await assertRungs(works, one);
  } finally {
    await Promise.all((works?.parts ?? []).map(({ node }) => node.stop()));
    for (const dir of [store, work]) {
      execFileSync("umount", ["--lazy", dir]);
      await rmdir(dir);
    }
  }
};

/** The platform over an S3 server, and what stands between them. */
const worksInS3 = async (t: Scene) => {
  const { port } = await startS3(t, "s3proxy");
  const gate = await proxyTo(t, `http://127.0.0.1:${port}`);
  const env = {
    ...{ OBJECT_STORE: "s3", S3_ENDPOINT: gate.url.replace(/\/$/, "") },
    ...{ S3_ACCESS_KEY_ID: S3_KEYS.accessKeyId, S3_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey },
  };
  return { gate, works: await startWorks(t, { env, transcoders: 1 }) };
};

/** The whole way where the object store is S3, and then without its server. */
export const storeInS3 = async (t: Scene): Promise<void> => {
  const { gate, works } = await worksInS3(t);
  const tenant = works.tenants[0]!;
  const titleId = await createTitle(tenant, "In S3");
  await send(works, { tenant, titleId, file: await filmOf(t, { seconds: 4, width: 160, height: 90 }) });
  await untilWhole(tenant, titleId);
  await assertPlays({ tenant, titleId });
  const outage: Outage = {
    code: "OBJECT_STORE_DOWN",
    away: async () => gate.cut(),
    back: async () => gate.mend(),
  };
  const titles = await survive(t, works, outage);
  for (const one of titles) await assertPlays({ tenant: works.tenants[1]!, titleId: one });
  const purged = await tenant.api.call("DELETE", `/titles/${titleId}`);
  assert.equal(purged.status, 200, JSON.stringify(purged.body));
  await untilIdle(works);
};

const HANGS_MS = 5_000;

/** It takes what is asked, and answers nothing: what waits for an answer then is never told. */
export const storeHangs = async (t: Scene): Promise<void> => {
  const { gate, works } = await worksInS3(t);
  const tenant = works.tenants[0]!;
  const titleId = await createTitle(tenant, "Without an answer");
  await send(works, { tenant, titleId, file: await filmOf(t, { seconds: 7, width: 320, height: 180 }) });
  await untilJob(tenant, titleId, ["transcode.chunk"]);
  gate.freeze();
  await pause(HANGS_MS); // that long
  gate.mend();
  await untilWhole(tenant, titleId);
  await assertPlays({ tenant, titleId });
};

const AWAY_MS = 10_000;

/** Cut off for ten seconds, twice: while a title is encoded, and while it is put together. */
export const databaseAway = async (t: Scene): Promise<void> => {
  let proxy: Awaited<ReturnType<typeof proxyTo>> | undefined;
  const works = await startWorks(t, {
    databaseProxy: async (url) => {
      proxy = await proxyTo(t, url);
      return proxy.url;
    },
  });
  const file = await filmOf(t, { seconds: 7, width: 320, height: 180 });
  const titles: string[] = [];
  for (const kind of ["transcode.chunk", "transcode.stitch"]) {
    const made = await Promise.all(
      works.tenants.map(async (tenant) => {
        const titleId = await createTitle(tenant, `During ${kind}`);
        await send(works, { tenant, titleId, file });
        return titleId;
      }),
    );
    await untilJob(works.tenants[0]!, made[0]!, [kind]);
    proxy?.cut();
    await pause(AWAY_MS); // that long
    proxy?.mend();
    for (const [index, titleId] of made.entries()) await untilWhole(works.tenants[index]!, titleId);
    titles.push(...made);
  }
  const { rows } = await works.db.query<{ text: string; count: number }>(
    "select text, count(*)::int as count from effect group by text having count(*) > 1 and text !~ 'cancelled|failed'",
  );
  assert.deepEqual(rows, [], "no effect is there twice");
  for (const titleId of titles) await assertRungs(works, titleId);
};
