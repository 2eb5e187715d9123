/** What the key server answers, from its parts: contents' keys, the platform's, and deliveries. */
import type { z } from "zod";
import { fail } from "../../contracts/errors.ts";
import {
  FORMER_KEYS_MAX,
  type KEY_OUTCOMES,
  type KeyDelivery,
  type listKeyDeliveries,
} from "../../contracts/keyserver.ts";
import type { Clock } from "../../lib/clock.ts";
import type { MasterKeys } from "../../lib/crypto/master-keys.ts";
import type { Database } from "../../lib/db/database.ts";
import type { Log } from "../../lib/log/log.ts";
import { gauge } from "../../lib/metrics/metrics.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import { pageOf, uuidAfter } from "../../lib/page.ts";
import { ContentKeys, type PlainKey } from "./content-keys.ts";
import { Delivery } from "./delivery.ts";
import * as store from "./keyserver.store.ts";
import { missingMasterKeys } from "./rotation.ts";
import { TokenKeys } from "./token-keys.ts";

export interface KeyserverOptions {
  readonly db: Database;
  readonly objects: ObjectStore;
  readonly masterKeys: MasterKeys;
  readonly clock: Clock;
  readonly log: Log;
}

/** Deliveries are kept so long. */
const KEPT_MS = 90 * 86_400_000;
const TRIM_ROWS_MAX = 5_000;
const FOREIGN_KEY_VIOLATION = "23503";

const closedKeys = gauge({
  name: "castellan_keyserver_closed_keys",
  help: "Keys in the database that none of this node's master keys opens.",
});

const toldOf = ({ generation, key, keyId }: PlainKey) => ({
  generation,
  key: key.toString("base64"),
  keyId: keyId.toString("base64"),
});

const deliveryOf = (row: store.DeliveryRow): z.input<typeof KeyDelivery> => ({
  id: row.id,
  titleId: row.contentId,
  generation: row.generation,
  sessionId: row.sessionId,
  viewer: row.viewer,
  address: row.address,
  outcome: row.outcome as (typeof KEY_OUTCOMES)[number], // written by Delivery alone
  at: row.at.toISOString(),
});

export class Keyserver {
  readonly #options: KeyserverOptions;
  readonly #keys: ContentKeys;
  readonly #tokenKeys: TokenKeys;
  readonly #delivery: Delivery;

  constructor(options: KeyserverOptions) {
    this.#options = options;
    this.#keys = new ContentKeys(options);
    this.#tokenKeys = new TokenKeys(options);
    this.#delivery = new Delivery({ ...options, keys: this.#keys });
  }

  async contentKey(tenantId: string, contentId: string) {
    try {
      const [newest, ...former] = await this.#keys.latest(tenantId, contentId, 1 + FORMER_KEYS_MAX);
      return { ...toldOf(newest), ...(former.length > 0 ? { former: former.map(toldOf) } : {}) };
    } catch (error) {
      if ((error as { code?: unknown }).code === FOREIGN_KEY_VIOLATION) return fail("TENANT_NOT_FOUND", { tenantId });
      throw error;
    }
  }

  async renewContentKey(tenantId: string, titleId: string) {
    const renewed = await this.#keys.renew(tenantId, titleId);
    if (!renewed) return fail("TITLE_NOT_FOUND", { titleId });
    return { data: { titleId, generation: renewed.generation, createdAt: renewed.createdAt.toISOString() } };
  }

  async deliverKey(wanted: Parameters<Delivery["deliver"]>[0]) {
    return toldOf(await this.#delivery.deliver(wanted));
  }

  tokenSigningKey() {
    return this.#tokenKeys.get();
  }

  async deliveries(tenantId: string, { titleId, cursor, limit }: z.output<typeof listKeyDeliveries.input>) {
    const afterId = uuidAfter("key-deliveries", cursor);
    const wanted = { contentId: titleId, afterId, rowCount: limit + 1 };
    const rows = await this.#options.db.tenantTx(tenantId, (tx) => store.deliveryPage(tx, wanted));
    const page = pageOf("key-deliveries", rows, limit);
    return { data: page.rows.map(deliveryOf), nextCursor: page.nextCursor };
  }

  /** Nothing is left of it: its keys go, and what was said of them. */
  purged(tenantId: string, titleId: string): Promise<void> {
    return this.#keys.forget(tenantId, titleId);
  }

  /** Deliveries of long ago. */
  async trim(): Promise<void> {
    const { db, clock } = this.#options;
    const before = new Date(clock.nowMs() - KEPT_MS);
    for (const tenantId of await db.tenantTx(null, (tx) => store.allTenantIds(tx))) {
      let count = TRIM_ROWS_MAX;
      while (count === TRIM_ROWS_MAX) {
        count = await db.tenantTx(tenantId, (tx) => store.trimDeliveries(tx, before, TRIM_ROWS_MAX));
      }
    }
  }

  /** Says which master keys are wanting: what they wrapped can't be used here, and all else can. */
  async check(): Promise<void> {
    const missing = await missingMasterKeys(this.#options);
    const keyCount = [...missing.values()].reduce((sum, count) => sum + count, 0);
    closedKeys.set(keyCount);
    if (keyCount === 0) return;
    this.#options.log.error(
      { masterKeyIds: [...missing.keys()], keyCount },
      "keys are wrapped under master keys that this node does not have: give it the MASTER_KEY_FILE of the others",
    );
  }
}
