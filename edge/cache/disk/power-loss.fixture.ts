/**
 * Rounds of work that a power loss ends at a random operation. What a restart finds must be the state after one of the
 * steps since the last flush that was acknowledged, as a whole.
 */
import assert from "node:assert/strict";
import type { Random } from "../../../test/support/seeded.ts";
import { bytesOf, openStore, putVersion, readAll, versionOf } from "./disk.fixture.ts";
import type { DiskStore } from "./disk-store.ts";
import { MemoryFiles } from "./memory-files.fixture.ts";

const KEYS = Array.from({ length: 8 }, (_, n) => `acme|/k${n}`);
const STEPS = 60;

/** Key → metadata as text; it begins with the version, from which the body follows. */
type State = ReadonlyMap<string, string>;

export interface PowerLossOptions {
  readonly random: Random;
  readonly maxBytes: number;
  readonly sizeBytesMax: number;
  /** With eviction an object may be missing, but never be another than the state says. */
  readonly evicts: boolean;
}

interface History {
  readonly states: State[];
  flushedAt: number;
}

const put = async (store: DiskStore, history: History, options: PowerLossOptions & { key: string }): Promise<void> => {
  const { key, random, sizeBytesMax } = options;
  const before = history.states.at(-1);
  const sizes = { version: random.int(2 ** 30), sizeBytes: random.int(sizeBytesMax) };
  history.states.push(new Map(before).set(key, versionOf(sizes.version, sizes.sizeBytes).meta.toString()));
  if (await putVersion(store, key, sizes)) return;
  const without = new Map(before);
  without.delete(key);
  history.states.push(without);
};

const updateMeta = async (store: DiskStore, history: History, key: string): Promise<void> => {
  const object = await store.open(key);
  object?.close();
  if (!object) return;
  const meta = Buffer.concat([object.meta, Buffer.from(" ")]);
  history.states.push(new Map(history.states.at(-1)).set(key, meta.toString()));
  await store.updateMeta(key, meta);
};

const step = async (store: DiskStore, history: History, options: PowerLossOptions): Promise<void> => {
  const { random } = options;
  const key = KEYS[random.int(KEYS.length)] ?? "";
  const kind = random.int(10);
  if (kind < 6) await put(store, history, { ...options, key });
  else if (kind < 7) {
    const without = new Map(history.states.at(-1));
    without.delete(key);
    history.states.push(without);
    store.remove(key);
  } else if (kind < 8) await updateMeta(store, history, key);
  else if (kind < 9) store.noteHit(key);
  else if (await store.flush()) history.flushedAt = history.states.length - 1;
};

const observe = async (store: DiskStore): Promise<State> => {
  const seen = new Map<string, string>();
  for (const key of KEYS) {
    const found = await readAll(store, key);
    if (!found) continue;
    const { version, sizeBytes } = JSON.parse(found.meta.toString()) as { version: number; sizeBytes: number };
    assert.ok(found.body.equals(bytesOf(version, sizeBytes)), `${key} is not what was put`);
    seen.set(key, found.meta.toString());
  }
  return seen;
};

const agrees = (seen: State, state: State, evicts: boolean): boolean =>
  [...seen].every(([key, meta]) => state.get(key) === meta) && (evicts || seen.size === state.size);

/** Works until the power goes, or, now and then, until the store is closed properly. */
const live = async (files: MemoryFiles, history: History, options: PowerLossOptions): Promise<void> => {
  const { random, maxBytes } = options;
  const store = await openStore({ folder: "/disk", files, maxBytes, objectBytesMax: maxBytes });
  const powerLossAt = files.operationCount + 1 + random.int(250);
  files.powerLossAt = powerLossAt;
  for (let n = 0; n < STEPS && files.operationCount < powerLossAt; n += 1) await step(store, history, options);
  const isOn = files.operationCount < powerLossAt;
  if (isOn) files.powerLossAt = Number.POSITIVE_INFINITY;
  await store.close(); // without power nothing of it reaches the disk
  if (isOn) history.flushedAt = history.states.length - 1;
};

/** One life after another on the same disk; how many of them lost something, as all may that was not flushed. */
export const livesWithPowerLosses = async (lives: number, options: PowerLossOptions): Promise<number> => {
  const { random, maxBytes, evicts } = options;
  let files = new MemoryFiles(random);
  let lossyCount = 0;
  const history: History = { states: [new Map()], flushedAt: 0 };
  for (let life = 0; life < lives; life += 1) {
    await live(files, history, options);
    assert.ok(files.usedBytesMax <= maxBytes, `${files.usedBytesMax} bytes used of ${maxBytes}`);
    files = files.afterPowerLoss({ forgets: random.int(2) === 0 ? "all" : "some" });

    const store = await openStore({ folder: "/disk", files, maxBytes, objectBytesMax: maxBytes });
    const seen = await observe(store);
    const at = history.states.findLastIndex((state) => agrees(seen, state, evicts));
    assert.ok(at >= history.flushedAt, `life ${life}: no state since the last flush is ${JSON.stringify([...seen])}`);
    if (at < history.states.length - 1) lossyCount += 1;
    await store.close();
    files = files.afterPowerLoss({ forgets: "some" });
    history.states.splice(0, history.states.length, seen);
    history.flushedAt = 0;
  }
  return lossyCount;
};
