import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { type FileHandle, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { keptLog } from "../../lib/http/raw.fixture.ts";
import { seeded } from "../../test/support/seeded.ts";
import { Accounts } from "./accounts.ts";
import { counted, HIT, KEY, place, requestsOf, START_MS } from "./ledger.fixture.ts";
import { accountsDir, Ledger } from "./ledger.ts";

test("a journal that is cut or damaged anywhere costs the damaged lines alone", async (t) => {
  const { opened, journal, log } = await place(t);
  const first = await opened();
  for (let step = 0; step < 50; step += 1) {
    first.merge(counted(1));
    await first.flush();
  }
  await first.close();
  const whole = await readFile(journal);
  const { int } = seeded(31);
  const reopened = async (bytes: Buffer): Promise<number> => {
    await writeFile(journal, bytes);
    const ledger = await opened();
    const found = requestsOf(ledger);
    await ledger.close();
    return found;
  };
  const stateEnd = whole.indexOf(0x0a) + 1;
  for (let round = 0; round < 40; round += 1) {
    const cut = stateEnd + int(whole.length - stateEnd);
    const lines = whole.subarray(stateEnd, cut).filter((byte) => byte === 0x0a).length;
    assert.equal(await reopened(whole.subarray(0, cut)), lines, `cut at ${cut}`);
    const flipped = Buffer.from(whole);
    const at = stateEnd + int(whole.length - stateEnd);
    flipped[at] = flipped[at]! ^ (1 << int(8));
    const found = await reopened(flipped);
    assert.ok(found === 49 || found === 48, `${found} of 50: a line, or two that became one`);
  }
  assert.ok(log.lines.some(({ msg }) => String(msg).includes("damaged lines of the journal were left out")));
});

test("a damaged beginning is made good from the journal before", async (t) => {
  const { opened, journal } = await place(t);
  const first = await opened();
  first.merge(counted(7));
  await first.close();
  const second = await opened();
  second.merge(counted(2));
  const { series } = second;
  await second.close();
  const bytes = await readFile(journal);
  bytes[20] = bytes[20]! ^ 1;
  await writeFile(journal, bytes);
  const third = await opened();
  assert.deepEqual([requestsOf(third), third.series], [9, series]);
  await third.close();
});

test("an edge that finds nothing but rubbish begins anew and says so", async (t) => {
  const { opened, journal, log } = await place(t);
  const first = await opened();
  await first.close();
  await writeFile(journal, "rubbish\n\n{}\n");
  await rm(`${journal}.previous`, { force: true });
  const second = await opened();
  assert.equal(requestsOf(second), 0);
  assert.notEqual(second.series, first.series);
  assert.equal(log.lines.at(-1)?.damagedCount, 3);
  await second.close();
});

test("a journal stays short however long an edge counts", async (t) => {
  const { opened, journal } = await place(t);
  const ledger = await opened();
  for (let step = 0; step < 12; step += 1) {
    const accounts = new Accounts();
    for (let index = 0; index < 9_000; index += 1) {
      accounts.row({ ...KEY, hostname: `host-${index}.customer.example` }).count(HIT);
    }
    ledger.merge(accounts.take());
    await ledger.tick();
  }
  assert.equal(requestsOf(ledger), 12 * 9_000);
  await ledger.close();
  assert.ok((await readFile(journal)).length < 8 * 1024 * 1024);
  assert.ok(existsSync(`${journal}.previous`));
});

/** Files on a disk that has room for so many bytes more: of a write that does not fit, half is written. */
const fullDisk = () => {
  const disk = { roomBytes: Number.POSITIVE_INFINITY };
  const noSpace = () => Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  const openFile = async (path: string, flags: string): Promise<FileHandle> => {
    const file = await open(path, flags);
    const write = async (bytes: Buffer, at: number, length: number, position: number) => {
      if (length <= disk.roomBytes) {
        disk.roomBytes -= length;
        return file.write(bytes, at, length, position);
      }
      await file.write(bytes, at, Math.floor(length / 2), position);
      throw noSpace();
    };
    return new Proxy(file, {
      get: (target, name) => {
        if (name === "write") return write;
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  };
  return { disk, openFile };
};

test("a full disk loses nothing while the edge runs, is said once, and half a line is never counted", async (t) => {
  const { disk, openFile } = fullDisk();
  const { opened, time, log, dataDir } = await place(t, { openFile });
  const ledger = await opened();
  const counts = async (): Promise<void> => {
    time.ms += 500;
    ledger.merge(counted(1));
    const ticking = ledger.tick();
    await Promise.resolve(); // it is being written
    ledger.merge(counted(1, { ...KEY, hostname: "late.example" }));
    assert.equal(requestsOf(ledger) % 2, 0, "both are in the totals");
    await ticking;
  };
  for (let step = 0; step < 5; step += 1) await counts();
  disk.roomBytes = 0;
  for (let step = 0; step < 5; step += 1) await counts();
  assert.deepEqual([requestsOf(ledger), ledger.failedWrites], [20, 5]);
  const clock = { nowMs: () => START_MS };
  const killed = await mkdtemp(join(tmpdir(), "ledger-"));
  t.after(() => rm(killed, { recursive: true }));
  await Ledger.open({ dataDir: killed, edge: "e", clock, log: log.log }).then((one) => one.close());
  await writeFile(join(accountsDir(killed), "journal"), await readFile(join(accountsDir(dataDir), "journal")));
  const other = await Ledger.open({ dataDir: killed, edge: "e", clock, log: log.log });
  assert.equal(requestsOf(other), 9, "what a kill at this moment leaves");
  await other.close();
  disk.roomBytes = Number.POSITIVE_INFINITY;
  await counts();
  await ledger.close();
  const after = await opened();
  assert.equal(requestsOf(after), 22);
  assert.equal(log.lines.filter(({ msg }) => String(msg).startsWith("accounts: can't be written")).length, 1);
  await after.close();
});

test("an edge begins on a full disk, with what it knew, and writes when there is room", async (t) => {
  const { disk, openFile } = fullDisk();
  const { opened, log } = await place(t, { openFile });
  const first = await opened();
  first.merge(counted(3));
  await first.close();
  disk.roomBytes = 0;
  const second = await opened();
  second.merge(counted(4));
  await second.tick();
  assert.deepEqual([requestsOf(second), second.failedWrites, second.series], [7, 1, first.series]);
  assert.equal(log.lines.filter(({ msg }) => String(msg).startsWith("accounts: can't be written")).length, 1);
  disk.roomBytes = Number.POSITIVE_INFINITY;
  await second.tick();
  const third = await opened();
  assert.equal(requestsOf(third), 7);
  await Promise.all([second.close(), third.close()]);
});

test("a directory that can't be used is said at once", async (t) => {
  const { dataDir } = await place(t);
  await writeFile(join(dataDir, "edge"), "");
  const options = { dataDir, edge: "e", clock: { nowMs: () => 0 }, log: keptLog().log };
  await assert.rejects(Ledger.open(options), { code: "ENOTDIR" });
});
