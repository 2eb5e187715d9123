import { LRUCache } from "lru-cache";
import type { Database } from "../db/database.ts";

/** Where a key's owner runs; `nodeId` is null while it has none. */
export interface Location {
  readonly nodeId: string | null;
  readonly leaseEpoch: number;
}

const CACHE_MAX = 10_000; // ~100 B each; a node asks about the channels of its own requests

/** Finds the owners of keyed actors. What it remembers may be stale: a node that is not the owner says ACTOR_MOVED. */
export class Directory {
  readonly #db: Database;
  readonly #nodes = new LRUCache<string, string>({ max: CACHE_MAX });

  constructor(db: Database) {
    this.#db = db;
  }

  /** The owner as the database has it; undefined where nobody wants such a key. */
  async where(kind: string, key: string): Promise<Location | undefined> {
    const { rows } = await this.#db.query<Location>(
      `select n.node_id as "nodeId", p.lease_epoch as "leaseEpoch"
       from actor_placement p left join actor_node n using (incarnation) where p.kind = $1 and p.key = $2`,
      [kind, key],
    );
    return rows[0];
  }

  /** The owner's node, remembered or looked up; null while there is none, undefined where nobody wants such a key. */
  async locate(kind: string, key: string): Promise<string | null | undefined> {
    const name = `${kind}/${key}`;
    const known = this.#nodes.get(name);
    if (known !== undefined) return known;
    const location = await this.where(kind, key);
    if (location?.nodeId) this.#nodes.set(name, location.nodeId);
    return location?.nodeId;
  }

  forget(kind: string, key: string): void {
    this.#nodes.delete(`${kind}/${key}`);
  }
}
