/**
 * People who were found with a title and are in no other one once it is purged: they go, with their portraits. Whom
 * somebody added, or changed, stays.
 */
import type { Database } from "../../lib/db/database.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import { deleteForgotten } from "./people.store.ts";

export interface ForgottenDeps {
  readonly db: Database;
  readonly objects: Pick<ObjectStore, "delete">;
}

/** Of as many at a time: a film has some hundred. */
const BATCH = 500;

/**
 * Hears that a title was purged; may be told so again. Gives how many people went. Rows go first: somebody who is found
 * again at that moment keeps the portrait, or is another row with its own. Portraits that are left behind by a crash
 * are nobody's, and the sweep removes them.
 */
export const forgetPeople = async ({ db, objects }: ForgottenDeps, tenantId: string): Promise<number> => {
  for (let count = 0; ; ) {
    const gone = await db.tenantTx(tenantId, (tx) => deleteForgotten(tx, BATCH));
    if (gone.length === 0) return count;
    count += gone.length;
    const keys = gone.flatMap(({ id, picture }) => (picture === null ? [] : [`${id}/artwork/${picture}`]));
    if (keys.length > 0) await objects.delete("thumbnails", keys);
  }
};
