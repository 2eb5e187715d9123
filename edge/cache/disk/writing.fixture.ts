/**
 * A process that writes objects into a store until it is killed: `writing.fixture.ts <folder> <first version>`. Says
 * `flushed <version>` for each version up to which all was flushed.
 */
import { openStore, putVersion } from "./disk.fixture.ts";

/** Object `version` has this key and size. */
export const keyOf = (version: number): string => `k${version % 300}`;
export const sizeOf = (version: number): number => (version * 7_919) % 90_000;
/** 36 slabs of 256 KiB: slabs are begun and dropped all the time. */
export const MAX_BYTES = 36 * 256 * 1024;

if (import.meta.main) {
  const [folder = "", first = "0"] = process.argv.slice(2);
  const store = await openStore({ folder, maxBytes: MAX_BYTES });
  for (let version = Number(first); ; version += 1) {
    if (version % 5 === 0) store.noteHit(keyOf(version - 100));
    if (version % 7 === 0) store.remove(keyOf(version + 50));
    await putVersion(store, keyOf(version), { version, sizeBytes: sizeOf(version) });
    if (version % 8 === 0 && (await store.flush())) process.stdout.write(`flushed ${version}\n`);
  }
}
