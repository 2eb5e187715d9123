/** What edges and gateways must know to let viewers in: the keys of tokens, and what was revoked. */
import type { z } from "zod";
import type { tokenSigningKey } from "../../contracts/keyserver.ts";
import { type mediaAdmission, REVOCATIONS_TOLD_MAX, type RevocationNews } from "../../contracts/playback.ts";
import type { Clock } from "../../lib/clock.ts";
import { revocationBytes } from "../../lib/crypto/revocations.ts";
import type { Database } from "../../lib/db/database.ts";
import type { Log } from "../../lib/log/log.ts";
import { type TokenSigner, tokenSigner } from "./addresses.ts";
import * as store from "./playback.store.ts";
import { RememberedAnswers } from "./remembered.ts";

type TokenKeys = z.output<typeof tokenSigningKey.result>;

export interface AdmissionDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  /** Asks the key server. */
  readonly tokenKeys: () => Promise<TokenKeys>;
}

/** A new key signs a minute after it was made (the key server's part): by then all have asked for it. */
const KEYS_MS = 10_000;
/** What a statement made before it was seen may come as late as that; so much is told again. */
const LATE_MS = 10_000;
const FIRST: store.RevocationPlace = { madeMs: 0, id: "00000000-0000-0000-0000-000000000000" };
const CURSOR = /^(\d{1,15})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(\d{1,15})$/;

const urlSafe = (base64: string): string => Buffer.from(base64, "base64").toString("base64url");

export class Admission {
  readonly #deps: AdmissionDeps;
  readonly #keys = new RememberedAnswers<TokenKeys>(KEYS_MS);
  #signer: TokenSigner | undefined;
  #last: TokenKeys | undefined;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  /** What new sessions' tokens are signed with. */
  async signer(): Promise<TokenSigner> {
    const { keyId, privateKey } = await this.#tokenKeys();
    if (this.#signer?.keyId !== keyId) this.#signer = tokenSigner(keyId, privateKey);
    return this.#signer;
  }

  /** `after`: a cursor that was told, or none. */
  async get(after: string): Promise<z.input<typeof mediaAdmission.result>> {
    const [{ publicKeys, viewerSecrets }, revoked] = await Promise.all([this.#tokenKeys(), this.#revokedAfter(after)]);
    const tokenKeys = publicKeys.map(({ keyId, publicKey }) => ({ keyId, publicKey: urlSafe(publicKey) }));
    return { admission: { tokenKeys, viewerSecrets: viewerSecrets.map(urlSafe) }, revoked };
  }

  /** A cursor that is none of ours, or from after now, counts as none: all is told. */
  async #revokedAfter(after: string): Promise<RevocationNews> {
    const { db, clock } = this.#deps;
    const known = placeIn(after);
    const { rows, nowMs } = await db.tenantTx(null, async (tx) => {
      const nowMs = await store.databaseNowMs(tx);
      const place = known && known.sinceMs <= nowMs ? known : FIRST;
      const page = { now: new Date(clock.nowMs()), rowCount: REVOCATIONS_TOLD_MAX + 1 };
      return { rows: await store.revocationsAfter(tx, place, page), nowMs };
    });
    const told = rows.slice(0, REVOCATIONS_TOLD_MAX);
    const last = told.at(-1);
    const entries = revocationBytes(told.map(store.entryOf)).toString("base64");
    // A reading of many pages goes on from when it began.
    const sinceMs = known?.isWithin ? Math.min(known.sinceMs, nowMs) : nowMs;
    if (last && rows.length > told.length) {
      return { entries, cursor: `${last.madeAt.getTime()}.${last.id}.${sinceMs}`, hasMore: true };
    }
    return { entries, cursor: `${Math.max(0, sinceMs - LATE_MS)}.${FIRST.id}.${sinceMs}`, hasMore: false };
  }

  /** A key server that is away for a moment keeps nobody from playing. */
  async #tokenKeys(): Promise<TokenKeys> {
    try {
      this.#last = await this.#keys.get("", this.#deps.tokenKeys);
      return this.#last;
    } catch (error) {
      if (!this.#last) throw error;
      this.#deps.log.debug({ err: error }, "going on with the token keys that are known");
      return this.#last;
    }
  }
}

interface Place extends store.RevocationPlace {
  /** When the reading began that it is of. */
  readonly sinceMs: number;
  /** More of that reading follows. */
  readonly isWithin: boolean;
}

const placeIn = (cursor: string): Place | undefined => {
  const [, madeMs, id, sinceMs] = CURSOR.exec(cursor) ?? [];
  if (madeMs === undefined || id === undefined || sinceMs === undefined) return undefined;
  return { madeMs: Number(madeMs), id, sinceMs: Number(sinceMs), isWithin: id !== FIRST.id };
};
