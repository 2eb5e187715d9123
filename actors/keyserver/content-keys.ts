/** Keys of contents: made, renewed, and unwrapped for those who may have them. */
import { randomBytes } from "node:crypto";
import type { MasterKeys } from "../../lib/crypto/master-keys.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import * as store from "./keyserver.store.ts";

const KEY_BYTES = 16;

/** What is wrapped is good for nothing else. */
export const contentKeyLabel = (tenantId: string, contentId: string, generation: number): string =>
  `content key ${tenantId} ${contentId} ${generation}`;

export interface PlainKey {
  readonly generation: number;
  readonly key: Buffer;
  readonly keyId: Buffer;
  readonly createdAt: Date;
}

export interface ContentKeysDeps {
  readonly db: Database;
  readonly masterKeys: MasterKeys;
}

export class ContentKeys {
  readonly #deps: ContentKeysDeps;

  constructor(deps: ContentKeysDeps) {
    this.#deps = deps;
  }

  /** The newest key; of first calls that come together, all get the one that was first in the database. */
  async newest(tenantId: string, contentId: string): Promise<PlainKey> {
    const [newest] = await this.latest(tenantId, contentId, 1);
    return newest;
  }

  /** The newest key, and those before it, the latest first, as far as this node can open them. */
  async latest(tenantId: string, contentId: string, countMax: number): Promise<readonly [PlainKey, ...PlainKey[]]> {
    const { db, masterKeys } = this.#deps;
    return db.tenantTx(tenantId, async (tx) => {
      const [row, ...former] = await store.newestKeys(tx, contentId, countMax);
      const newest = row ?? (await this.#make(tx, { tenantId, contentId, generation: 1 }));
      const open = former.filter(({ masterKeyId }) => masterKeys.has(masterKeyId));
      return [this.#plain(tenantId, contentId, newest), ...open.map((one) => this.#plain(tenantId, contentId, one))];
    });
  }

  /** Another one from now on. Undefined: the tenant has no key of this content, so that there is nothing to renew. */
  async renew(tenantId: string, contentId: string): Promise<PlainKey | undefined> {
    return this.#deps.db.tenantTx(tenantId, async (tx) => {
      const former = await store.newestKey(tx, contentId);
      if (!former) return undefined;
      // Of two renewals at once the second finds the first one's key: one of them is enough.
      const row = await this.#make(tx, { tenantId, contentId, generation: former.generation + 1 });
      return this.#plain(tenantId, contentId, row);
    });
  }

  async find(
    tenantId: string,
    contentId: string,
    wanted: { readonly generation: number | undefined; readonly keyId: Buffer | undefined },
  ): Promise<PlainKey | undefined> {
    const row = await this.#deps.db.tenantTx(tenantId, (tx) => store.keyOf(tx, contentId, wanted));
    return row && this.#plain(tenantId, contentId, row);
  }

  async forget(tenantId: string, contentId: string): Promise<void> {
    await this.#deps.db.tenantTx(tenantId, (tx) => store.deleteContent(tx, contentId));
  }

  async #make(
    tx: Tx,
    place: { readonly tenantId: string; readonly contentId: string; readonly generation: number },
  ): Promise<store.ContentKeyRow> {
    const { tenantId, contentId, generation } = place;
    const label = contentKeyLabel(tenantId, contentId, generation);
    const { bytes: wrapped, masterKeyId } = this.#deps.masterKeys.wrap(randomBytes(KEY_BYTES), label);
    await store.insertKey(tx, { ...place, keyId: randomBytes(KEY_BYTES), wrapped, masterKeyId });
    return (await store.newestKey(tx, contentId))!; // this one, or that of who was faster
  }

  #plain(tenantId: string, contentId: string, row: store.ContentKeyRow): PlainKey {
    const { generation, keyId, wrapped, masterKeyId, createdAt } = row;
    const label = contentKeyLabel(tenantId, contentId, generation);
    const key = this.#deps.masterKeys.unwrap({ bytes: wrapped, masterKeyId }, label);
    return { generation, keyId, key, createdAt };
  }
}
