/** Many damaged files behind one packager process, and what it may take of the machine. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { tempDir } from "../support/platform.ts";
import { type DamageFigures, DamageRun } from "./damaged.ts";
import { encryptedFolders } from "./judged.ts";
import { aloneOn, startWatched } from "./watched.ts";

const MiB = 2 ** 20;
/**
 * Slots and areas of segments 140, code and its garbage 150, indexes 48 and ready playlists 32 at most; the heap is let
 * grow by what is thrown away.
 */
const RESIDENT_BYTES_MAX = 640 * MiB;
/** Files of the index, caches, sockets of this client. */
const OPEN_FILES_MAX = 512 + 128;

export interface Damages {
  readonly caseCount: number;
  readonly firstSeed: number;
}

/** Asks all of each; nothing is thrown, nothing is late, and memory and open files have their bounds. */
export const surviveDamages = async (t: TestContext, { caseCount, firstSeed }: Damages): Promise<DamageFigures> => {
  const folder = await tempDir(t);
  const packager = await startWatched(t, { env: { ...aloneOn(folder), ...encryptedFolders() } });
  const resident: number[] = [];
  let mostFiles = 0;
  const onProgress = (done: number): void => {
    if (done % Math.ceil(caseCount / 20) > 0) return;
    resident.push(Math.round(packager.residentBytes().now / MiB));
    mostFiles = Math.max(mostFiles, packager.openFileCount());
  };
  const run = new DamageRun({ packager, folder, caseCount, firstSeed, onProgress });
  const from = performance.now();
  await run.run().finally(() => {
    const seconds = Math.round((performance.now() - from) / 1_000);
    t.diagnostic(`${JSON.stringify(run.figures)} in ${seconds} s`);
    t.diagnostic(`resident ${resident.join(", ")} MiB; ${mostFiles} files open at most`);
  });
  assert.deepEqual(packager.errors(), []);
  const { most } = packager.residentBytes();
  assert.ok(most <= RESIDENT_BYTES_MAX, `${Math.round(most / MiB)} MiB resident`);
  assert.ok(mostFiles <= OPEN_FILES_MAX, `${mostFiles} open files`);
  const { served } = run.figures;
  assert.ok(served > caseCount / 4 && served < caseCount, `${served} of ${caseCount} are served`);
  return run.figures;
};
