import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readlinkSync, symlinkSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { tempDir } from "../../test/support/platform.ts";
import { beganAt } from "../postgres/processes.ts";

interface Claimer {
  readonly child: ChildProcess;
  /** What it says of its claim. */
  readonly word: string;
  kill(): Promise<void>;
}
const claimer = async (t: TestContext, dataDir: string): Promise<Claimer> => {
  const script = join(import.meta.dirname, "data-dir-owner.fixture.ts");
  const child = spawn(process.execPath, [script, dataDir], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  t.after(kill);
  const [word] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return { child, word, kill };
};
const refusalOf = (dataDir: string, pid: number | undefined): string =>
  `DATA_DIR: ${dataDir} is in use by another Castellan (process ${pid}); each process needs one of its own.`;
const linksIn = (dataDir: string): string[] => readdirSync(join(dataDir, "run"));

test("a second process is refused while the first lives, and not once it was killed", async (t) => {
  const dataDir = await tempDir(t);
  for (let round = 1; round <= 3; round += 1) {
    const first = await claimer(t, dataDir);
    assert.equal(first.word, "claimed");
    assert.equal((await claimer(t, dataDir)).word, refusalOf(dataDir, first.child.pid));
    assert.deepEqual(linksIn(dataDir), [`owner.${round}`]);
    await first.kill();
  }
});

test("an owner whose process id another program has got by now keeps nobody out", async (t) => {
  const dataDir = await tempDir(t);
  await mkdir(join(dataDir, "run"));
  // Ours, as the same id in an earlier life, and as it would be after a start of the machine.
  const [boot, ticks] = (beganAt(process.pid) ?? "").split(" ");
  const others = [`${boot} ${Number(ticks) - 1}`, `0f3b2a10-0000-4000-8000-000000000000 ${ticks}`, "?"];
  for (const [index, began] of others.entries())
    symlinkSync(`${process.pid} ${began}`, join(dataDir, "run", `owner.${index * 2 + 1}`));
  const { word, child } = await claimer(t, dataDir);
  assert.equal(word, "claimed");
  assert.deepEqual(linksIn(dataDir), ["owner.6"]);
  assert.equal(readlinkSync(join(dataDir, "run", "owner.6")), `${child.pid} ${beganAt(child.pid ?? 0)}`);
});

test("of many that start at once after a kill, one gets the folder", async (t) => {
  const dataDir = await tempDir(t);
  await (await claimer(t, dataDir)).kill();
  const all = await Promise.all(Array.from({ length: 6 }, () => claimer(t, dataDir)));
  const owners = all.filter(({ word }) => word === "claimed");
  assert.equal(owners.length, 1);
  for (const { word } of all.filter((one) => !owners.includes(one)))
    assert.equal(word, refusalOf(dataDir, owners[0]?.child.pid));
});
