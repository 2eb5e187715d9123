/**
 * Content keys for players: given to a session that holds, or of a content that is public, and written down, as
 * refusals are. The session's row decides, whatever edges and gateways know by then.
 */
import { randomUUIDv7 } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { z } from "zod";
import { ContentSet, publicMarkPath, setPath } from "../../contracts/content-set.ts";
import { codeOf, fail } from "../../contracts/errors.ts";
import type { deliverKey, KEY_OUTCOMES } from "../../contracts/keyserver.ts";
import { addressTag } from "../../domain/signed-url/policy.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import { GroupCommit } from "../../lib/db/group-commit.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import type { ContentKeys, PlainKey } from "./content-keys.ts";
import * as store from "./keyserver.store.ts";

type Wanted = z.output<typeof deliverKey.input>;
type Outcome = (typeof KEY_OUTCOMES)[number];

export interface DeliveryDeps {
  readonly db: Database;
  readonly objects: ObjectStore;
  readonly keys: Pick<ContentKeys, "find">;
  readonly clock: Clock;
}

const SET_BYTES_MAX = 4 * 1024 * 1024;
/** Who asks again and again for what is refused fills no table. */
const REFUSALS_MAX = 10_000;
const REFUSAL_MS = 10_000;
const ROWS_MAX = 500;
const WAITING_MAX = 20_000;

const REASONS: Readonly<Record<Exclude<Outcome, "delivered" | "no-such-key">, string>> = {
  "no-session": "it needs a session",
  "session-ended": "its session has ended",
  "other-title": "its session is for another title",
  "other-address": "its session was given to another viewer",
};

/** Who asks, as far as it is known. */
interface Asker {
  /** Of the content; undefined: nobody's, so that there is nobody to tell. */
  readonly ownerTenantId: string | undefined;
  readonly viewer: string | null;
  /** Undefined: it may have the key. */
  readonly refusal: Exclude<Outcome, "delivered"> | undefined;
}

export class Delivery {
  readonly #deps: DeliveryDeps;
  readonly #log: GroupCommit<store.DeliveryRow>;
  readonly #refusals = new LRUCache<string, true>({ max: REFUSALS_MAX, ttl: REFUSAL_MS });

  constructor(deps: DeliveryDeps) {
    this.#deps = deps;
    this.#log = new GroupCommit({
      write: (tenantId, rows) => deps.db.tenantTx(tenantId, (tx) => store.insertDeliveries(tx, rows)),
      itemsMax: ROWS_MAX,
      waitingMax: WAITING_MAX,
      full: () => new Error("bug: more key deliveries wait than requests may"),
    });
  }

  /** Fails with KEY_REFUSED and KEY_NOT_FOUND; either way it is in the log by then. */
  async deliver(wanted: Wanted): Promise<PlainKey> {
    const { contentId, generation, keyId, sessionId } = wanted;
    const asker = sessionId === null ? await this.#nobody(contentId) : await this.#holder(wanted, sessionId);
    const { ownerTenantId, refusal } = asker;
    const found =
      refusal === undefined && ownerTenantId !== undefined
        ? await this.#deps.keys.find(ownerTenantId, contentId, {
            generation,
            keyId: keyId === undefined ? undefined : Buffer.from(keyId, "base64"),
          })
        : undefined;
    const outcome: Outcome = refusal ?? (found ? "delivered" : "no-such-key");
    await this.#note(wanted, asker, { outcome, generation: found?.generation ?? generation ?? null });
    if (found) return found;
    if (outcome === "no-such-key" || outcome === "delivered") return fail("KEY_NOT_FOUND", { contentId });
    return fail("KEY_REFUSED", { reason: REASONS[outcome] });
  }

  async #holder({ contentId, tenantId, address }: Wanted, sessionId: string): Promise<Asker> {
    if (tenantId === undefined) return { ownerTenantId: undefined, viewer: null, refusal: "no-session" };
    const session = await this.#deps.db.tenantTx(tenantId, (tx) => store.sessionOf(tx, sessionId));
    if (!session) return { ownerTenantId: await this.#ownerOf(contentId), viewer: null, refusal: "no-session" };
    const { ownerTenantId, viewer } = session;
    if (session.titleId !== contentId) {
      return { ownerTenantId: await this.#ownerOf(contentId), viewer, refusal: "other-title" };
    }
    return { ownerTenantId, viewer, refusal: this.#endOf(session, address) };
  }

  #endOf({ revokedAt, expiresAt, address: bound }: store.SessionRow, address: string): Asker["refusal"] {
    if (revokedAt !== null || expiresAt.getTime() <= this.#deps.clock.nowMs()) return "session-ended";
    return bound === null || addressTag(bound) === addressTag(address) ? undefined : "other-address";
  }

  /** Without a session: the content's mark in the object store says whether it is public. */
  async #nobody(contentId: string): Promise<Asker> {
    const ownerTenantId = await this.#ownerOf(contentId);
    if (ownerTenantId === undefined) return { ownerTenantId, viewer: null, refusal: "no-such-key" };
    const mark = await this.#deps.objects.head({ bucket: "segments", key: publicMarkPath(contentId) });
    return { ownerTenantId, viewer: null, refusal: mark === null ? "no-session" : undefined };
  }

  /** By what the transcoder wrote; undefined: there is nothing of it to play. */
  async #ownerOf(contentId: string): Promise<string | undefined> {
    try {
      const name = { bucket: "segments", key: setPath(contentId) } as const;
      const { bytes } = await this.#deps.objects.getBytes(name, { bytesMax: SET_BYTES_MAX });
      return ContentSet.parse(JSON.parse(bytes.toString("utf8"))).tenantId;
    } catch (error) {
      if (codeOf(error) === "OBJECT_NOT_FOUND") return undefined;
      throw error;
    }
  }

  async #note(
    { contentId, sessionId, address }: Wanted,
    { ownerTenantId: tenantId, viewer }: Asker,
    { outcome, generation }: { readonly outcome: Outcome; readonly generation: number | null },
  ): Promise<void> {
    if (tenantId === undefined) return;
    if (outcome !== "delivered") {
      const same = [contentId, generation, sessionId, address, outcome].join(" ");
      if (this.#refusals.has(same)) return;
      this.#refusals.set(same, true);
    }
    const at = new Date(this.#deps.clock.nowMs());
    const who = { tenantId, contentId, generation, sessionId, viewer, address };
    await this.#log.add(tenantId, { id: randomUUIDv7(), ...who, outcome, at });
  }
}
