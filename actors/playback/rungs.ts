/** Which rungs of a title can be played now, by what the transcoder has written. */
import { setTimeout as pause } from "node:timers/promises";
import { ContentSet, type SetRung, setPath } from "../../contracts/content-set.ts";
import { codeOf, fail } from "../../contracts/errors.ts";
import { linesOf } from "../../domain/vod/lines.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";

const SET_BYTES_MAX = 4 * 1024 * 1024;
/** A store that hangs keeps nobody from a session, which has 5 s. */
const WAIT_MS = 2_000;

export type NamedRung = Pick<SetRung, "name" | "width" | "height">;

/** Of those that have no more lines than that; null: of all. */
export const namesWithin = (rungs: readonly NamedRung[], maxHeight: number | null): readonly string[] =>
  rungs.filter((rung) => maxHeight === null || linesOf(rung) <= maxHeight).map(({ name }) => name);

/**
 * In the order of the ladder; empty while there is nothing, or no object store answers within `waitMs`: the master has
 * them.
 */
export const rungsIn =
  (objects: Pick<ObjectStore, "getBytes">, waitMs = WAIT_MS) =>
  async (titleId: string): Promise<readonly NamedRung[]> => {
    const given = new AbortController();
    try {
      const name = { bucket: "segments", key: setPath(titleId) } as const;
      const reading = objects.getBytes(name, { bytesMax: SET_BYTES_MAX, signal: given.signal });
      const late = pause(waitMs, undefined, { signal: given.signal }).then(() => fail("OBJECT_STORE_DOWN"));
      const { bytes } = await Promise.race([reading, late]);
      const { rungs } = ContentSet.parse(JSON.parse(bytes.toString("utf8")));
      return rungs.filter(({ path, chunks }) => path !== null || chunks.length > 0);
    } catch (error) {
      if (codeOf(error) === undefined) throw error;
      return [];
    } finally {
      given.abort();
    }
  };
