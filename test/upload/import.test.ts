import assert from "node:assert/strict";
import { chmod, mkdir, readFile, symlink, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { PassThrough } from "node:stream";
import test from "node:test";
import { importFolder } from "../../tools/import/import.ts";
import { planOf } from "../../tools/import/plan.ts";
import { film, MiB, makeScene, type Scene, sha256, sourceBytes, tempFolder } from "./upload.fixture.ts";
import { keyOf } from "./upload-node.ts";

const texts = () => {
  const stream = new PassThrough();
  let text = "";
  stream.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  return { stream, text: () => text };
};

const run = async (args: readonly string[], { signal, key }: { signal?: AbortSignal; key?: string } = {}) => {
  const [out, err] = [texts(), texts()];
  const env = key === undefined ? {} : { CASTELLAN_KEY: key };
  const tools = { env, out: out.stream, err: err.stream, ...(signal ? { signal } : {}) };
  const status = await importFolder(args, tools);
  return { status, out: out.text(), err: err.text() };
};

const folderOf = async (scene: Scene, folder: string): Promise<Buffer> => {
  const bytes = await film(scene.dataDir, MiB);
  await mkdir(path.join(folder, "Show"), { recursive: true });
  await writeFile(path.join(folder, "Show/Show.Name.S01E02.1080p.mp4"), bytes);
  await writeFile(path.join(folder, "A film (2020).mp4"), bytes.subarray(0));
  await writeFile(path.join(folder, "broken.mkv"), Buffer.alloc(1_000, 0x9d));
  await writeFile(path.join(folder, "notes.txt"), "no film");
  await writeFile(path.join(folder, "program.ts"), "export const no = 'film';");
  await writeFile(path.join(folder, "Show/Show.Name.S01E02.small.mp4"), "the same episode");
  await writeFile(path.join(folder, "empty.mkv"), "");
  return bytes;
};

test("a folder is sent once: what is there is skipped, what is no film is told of", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const folder = await tempFolder(t);
  const bytes = await folderOf(scene, folder);
  const key = keyOf(scene.tenant);
  const dry = await run([folder, "--dry-run"]);
  assert.equal(dry.status, 0);
  const lines = dry.out.split("\n").map((line) => line.replace(/^ *[\d.]+ k?M?B {2}/, ""));
  assert.deepEqual(lines, [
    "A film (2020).mp4  →  movie: A film (2020)",
    "Show/Show.Name.S01E02.1080p.mp4  →  episode: Show Name, season 1, episode 2: Episode 2",
    "broken.mkv  →  movie: broken",
    "Left out:",
    "  empty.mkv: it is empty",
    "  program.ts: it is no transport stream",
    "  Show/Show.Name.S01E02.small.mp4: it is the same episode as Show/Show.Name.S01E02.1080p.mp4",
    "3 films, episodes of 1 series among them, 2.1 MB",
    "",
  ]);
  const first = await run([folder, "--gateway", node.url, "--parallel", "2"], { key });
  assert.match(first.out, /Left out:\n {2}empty\.mkv: .*\nNot there:\n {2}broken\.mkv: The upload is refused: /s);
  assert.match(first.out, /2 sent, 0 there before, 1 failed, of 3 films\.\n$/);
  assert.equal(first.status, 1);
  const told = node.attached
    .map(({ name, kind, filename, year, place }) => [filename, name, kind, year, place])
    .toSorted();
  assert.deepEqual(told, [
    ["A film (2020).mp4", "A film", "movie", 2020, undefined],
    [
      ...["Show.Name.S01E02.1080p.mp4", "Episode 2", "episode", undefined],
      { series: "Show Name", season: 1, number: 2 },
    ],
  ]);
  const [attached] = node.attached;
  assert.equal(sha256(await sourceBytes(scene, scene.tenant, attached?.sourceId ?? "")), sha256(bytes));
  const second = await run([folder, "--gateway", node.url], { key });
  assert.match(second.out, /0 sent, 2 there before, 1 failed, of 3 films\.\n$/);
  assert.equal(node.attached.length, 2);
  await utimes(path.join(folder, "A film (2020).mp4"), 1, 1);
  assert.match((await run([folder, "--gateway", node.url], { key })).out, /1 sent, 1 there before, 1 failed/);
  const elsewhere = await run([folder, "--gateway", "http://127.0.0.1:9"], { key });
  assert.deepEqual([elsewhere.status, /is of http.*--state/.test(elsewhere.err)], [1, true]);
});

test("an import that was interrupted goes on with the same upload", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const folder = await tempFolder(t);
  const bytes = await film(scene.dataDir, 30 * MiB);
  await writeFile(path.join(folder, "Film.mp4"), bytes);
  const key = keyOf(scene.tenant);
  const interrupted = new AbortController();
  const state = path.join(folder, ".castellan-import.json");
  const began = (async () => {
    for (;;) {
      const kept = await readFile(state, "utf8").catch(() => "");
      if (kept.includes("sending")) return interrupted.abort(new Error("interrupted"));
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const first = await run([folder, "--gateway", node.url], { key, signal: interrupted.signal });
  await began;
  assert.equal(first.status, 1);
  const { files } = JSON.parse(await readFile(state, "utf8")) as { files: Record<string, { uploadUrl: string }> };
  const second = await run([folder, "--gateway", node.url], { key });
  assert.equal(second.status, 0, second.err);
  assert.deepEqual(
    node.attached.map(({ sourceId }) => sourceId),
    [files["Film.mp4"]?.uploadUrl.split("/").at(-1)],
  );
  assert.equal(sha256(await sourceBytes(scene, scene.tenant, node.attached[0]?.sourceId ?? "")), sha256(bytes));
});

const skip = process.getuid?.() === 0 && "root reads every folder";
test("a folder that can't be read is told of, and the rest is sent", { skip }, async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const folder = await tempFolder(t);
  await writeFile(path.join(folder, "Film.mp4"), await film(scene.dataDir));
  await mkdir(path.join(folder, "Other"));
  await chmod(path.join(folder, "Other"), 0);
  const { out, status } = await run([folder, "--gateway", node.url], { key: keyOf(scene.tenant) });
  assert.match(out, /Left out:\n {2}Other: EACCES.*\n1 sent, 0 there before, 0 failed, of 1 films\.\n$/);
  assert.equal(status, 1);
});

test("a folder that is not there, and a file in its place, are said to be no folder", async (t) => {
  const folder = await tempFolder(t);
  await writeFile(path.join(folder, "Film.mp4"), "no folder");
  for (const name of ["gone", "Film.mp4"]) {
    const at = path.join(folder, name);
    const { status, err } = await run([at, "--key", "k"]);
    assert.deepEqual([status, err], [1, `castellan: import: ${at} is no folder.\n`]);
  }
});

test("what is not understood ends with 64 and one line, a key that is none with 1", async (t) => {
  const folder = await tempFolder(t);
  for (const args of [[], [folder, "--what"], [folder, "--key", "k", "--parallel", "0"], [folder]]) {
    const { status, err } = await run(args);
    assert.deepEqual([status, err.split("\n").length], [64, 2], JSON.stringify(args));
  }
  assert.equal((await run(["--help"])).status, 0);
  const scene = await makeScene(t);
  const node = await scene.node();
  await writeFile(path.join(folder, "Film.mp4"), await film(scene.dataDir));
  const wrong = await run([folder, "--gateway", node.url, "--key", "nobody"]);
  assert.equal(wrong.status, 1);
  assert.match(wrong.err, /A valid API key is needed/);
});

test("links to films are followed, and no link is left out without a word", async (t) => {
  const folder = await tempFolder(t);
  const elsewhere = await tempFolder(t);
  await writeFile(path.join(elsewhere, "data"), "some bytes");
  await symlink(path.join(elsewhere, "data"), path.join(folder, "A film (2020).mkv"));
  await symlink(path.join(elsewhere, "data"), path.join(folder, "notes"));
  await symlink(folder, path.join(folder, "ring"));
  await symlink(path.join(elsewhere, "gone"), path.join(folder, "gone"));
  await symlink(path.join(elsewhere, "gone"), path.join(folder, "gone.mkv"));
  const { films, leftOut } = await planOf(folder);
  assert.deepEqual(
    films.map(({ path: name, sizeBytes, title }) => [name, sizeBytes, title]),
    [["A film (2020).mkv", 10, { name: "A film", kind: "movie", year: 2020 }]],
  );
  const told = leftOut.map(({ path: name, reason, isUnread }) => [name, reason.split(":")[0], isUnread]);
  assert.deepEqual(told.toSorted(), [
    ["gone.mkv", "ENOENT", true],
    ["ring", "it is a link to a folder", undefined],
  ]);
});
