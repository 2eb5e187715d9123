/**
 * The platform's keys for playback tokens (Ed25519). Made when the first one is asked for; another one signs a minute
 * after it was made, so that edges know it by then, and former ones are taken for as long as a token may live.
 *
 * A key whose master key is not on this node can't sign here and is taken all the same: its public half is not wrapped.
 * The newest that can be opened signs instead of it; where that is none, or one of long ago, another one is made.
 */
import { createHmac, createPrivateKey, generateKeyPairSync, randomBytes } from "node:crypto";
import type { z } from "zod";
import type { tokenSigningKey } from "../../contracts/keyserver.ts";
import type { Clock } from "../../lib/clock.ts";
import type { MasterKeys } from "../../lib/crypto/master-keys.ts";
import type { Database } from "../../lib/db/database.ts";
import type { Log } from "../../lib/log/log.ts";
import * as store from "./keyserver.store.ts";

/** PLAYBACK_SESSION_TTL is at most that. */
const TOKEN_MS_MAX = 7 * 86_400_000;
/** Edges hear of a new key within seconds. */
export const SIGNS_AFTER_MS = 60_000;
/** For so long a node that can't open the next key may go on with the one before. */
const STAND_IN_MS = 86_400_000;

export const signingKeyLabel = (keyId: string): string => `token signing key ${keyId}`;

export interface TokenKeysDeps {
  readonly db: Database;
  readonly masterKeys: MasterKeys;
  readonly clock: Clock;
  readonly log: Log;
}

/** One that has its turn, or is about to. */
interface TokenKey extends store.SigningKeyRow {
  /** When the next one began to sign; undefined: it is the newest. */
  readonly nextMs: number | undefined;
  /** PKCS #8 in DER; null: its master key is not on this node. */
  readonly privateKey: Buffer | null;
}
type Opened = TokenKey & { readonly privateKey: Buffer };

const isOpened = (key: TokenKey): key is Opened => key.privateKey !== null;

export class TokenKeys {
  readonly #deps: TokenKeysDeps;
  /** Of keys that were said to be closed. */
  readonly #said = new Set<string>();

  constructor(deps: TokenKeysDeps) {
    this.#deps = deps;
  }

  /** Fails with DATABASE_DOWN. */
  async get(): Promise<z.input<typeof tokenSigningKey.result>> {
    const { db, clock } = this.#deps;
    const nowMs = clock.nowMs();
    const known = this.#taken(await db.tenantTx(null, (tx) => store.signingKeys(tx)), nowMs);
    const taken = signerOf(known, nowMs) ? known : await this.#another(nowMs);
    const signer = signerOf(taken, nowMs)!; // `#another` has made one
    const secrets = [signer, ...taken.filter(isOpened).filter((key) => key !== signer)];
    return {
      keyId: signer.keyId,
      privateKey: signer.privateKey.toString("base64"),
      publicKeys: taken.map(({ keyId, publicKey, nextMs }) => ({
        keyId,
        publicKey: Buffer.from(publicKey, "base64url").toString("base64"),
        until: nextMs === undefined ? null : new Date(takenUntil(nextMs)).toISOString(),
      })),
      viewerSecrets: secrets.map(({ privateKey }) =>
        createHmac("sha256", privateKey).update("viewers' addresses").digest("base64"),
      ),
    };
  }

  /** Makes another one, which signs a minute from now on. */
  async renew(): Promise<string> {
    const signsFrom = new Date(this.#deps.clock.nowMs() + SIGNS_AFTER_MS);
    const row = this.#made(signsFrom);
    await this.#deps.db.tenantTx(null, (tx) => store.insertSigningKey(tx, row));
    return row.keyId;
  }

  /** Where none can sign: one that does so at once. Of those who find that out together one makes it. */
  async #another(nowMs: number): Promise<readonly TokenKey[]> {
    const rows = await this.#deps.db.tenantTx(null, async (tx) => {
      await store.lockSigningKeys(tx);
      const present = await store.signingKeys(tx);
      if (signerOf(this.#taken(present, nowMs), nowMs)) return present;
      const row = this.#made(new Date(nowMs));
      await store.insertSigningKey(tx, row);
      if (present.length > 0) {
        const { keyId } = row;
        this.#deps.log.warn({ keyId }, "no token key can be opened here: another one was made, and signs from now on");
      }
      return store.signingKeys(tx);
    });
    return this.#taken(rows, nowMs);
  }

  /** Those whose tokens are taken, the newest last. */
  #taken(rows: readonly store.SigningKeyRow[], nowMs: number): readonly TokenKey[] {
    return rows.flatMap((row, index) => {
      const nextMs = rows[index + 1]?.signsFrom.getTime();
      if (nextMs !== undefined && takenUntil(nextMs) <= nowMs) return [];
      return [{ ...row, nextMs, privateKey: this.#opened(row) }];
    });
  }

  #opened({ keyId, wrapped: bytes, masterKeyId }: store.SigningKeyRow): Buffer | null {
    const { masterKeys, log } = this.#deps;
    if (masterKeys.has(masterKeyId)) {
      this.#said.delete(keyId);
      return masterKeys.unwrap({ bytes, masterKeyId }, signingKeyLabel(keyId));
    }
    if (!this.#said.has(keyId)) {
      log.error({ keyId, masterKeyId }, "a token key can't sign here: this node does not have the master key of it");
    }
    this.#said.add(keyId);
    return null;
  }

  #made(signsFrom: Date): store.SigningKeyRow {
    const keyId = randomBytes(6).toString("base64url");
    const { privateKey } = generateKeyPairSync("ed25519");
    const der = privateKey.export({ format: "der", type: "pkcs8" });
    const { bytes: wrapped, masterKeyId } = this.#deps.masterKeys.wrap(der, signingKeyLabel(keyId));
    const publicKey = createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({ format: "jwk" }).x ?? "";
    return { keyId, publicKey, wrapped, masterKeyId, signsFrom };
  }
}

/** A stand-in may have signed for a while after the next one's turn had come. */
const takenUntil = (nextMs: number): number => nextMs + STAND_IN_MS + TOKEN_MS_MAX;

/**
 * The newest that has its turn and can be opened, unless it is of long ago; else the next one in turn, which edges have
 * heard of. Undefined: another one has to be made.
 */
const signerOf = (taken: readonly TokenKey[], nowMs: number): Opened | undefined => {
  const opened = taken.filter(isOpened);
  const isNext = ({ signsFrom }: Opened): boolean => signsFrom.getTime() > nowMs;
  const isOld = ({ nextMs }: Opened): boolean => nextMs !== undefined && nextMs + STAND_IN_MS <= nowMs;
  return opened.findLast((key) => !isNext(key) && !isOld(key)) ?? opened.find(isNext);
};
