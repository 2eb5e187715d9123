/** The addresses of a session: its token, and the URLs that carry it. */
import { createPrivateKey, type KeyObject, sign } from "node:crypto";
import { addressTag } from "../../domain/signed-url/policy.ts";
import { type SessionClaims, sessionSignedText, sessionTokenBody } from "../../domain/signed-url/session-token.ts";

export interface TokenSigner {
  readonly keyId: string;
  readonly key: KeyObject;
}

/** `privateKey`: PKCS #8 in DER, base64. */
export const tokenSigner = (keyId: string, privateKey: string): TokenSigner => ({
  keyId,
  key: createPrivateKey({ key: Buffer.from(privateKey, "base64"), format: "der", type: "pkcs8" }),
});

export interface TokenWish extends Omit<SessionClaims, "keyId" | "address" | "expiresSeconds" | "fromSeconds"> {
  /** Null: from anywhere. */
  readonly address: string | null;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

export const sessionToken = ({ keyId, key }: TokenSigner, wish: TokenWish): string => {
  const body = sessionTokenBody({
    ...wish,
    keyId,
    maxHeight: wish.maxHeight,
    address: wish.address === null ? null : addressTag(wish.address),
    fromSeconds: Math.floor(wish.createdAt.getTime() / 1_000),
    expiresSeconds: Math.ceil(wish.expiresAt.getTime() / 1_000),
  });
  return `${body}.${sign(null, Buffer.from(sessionSignedText(body)), key).toString("base64url")}`;
};

/** `base`: of the edges as viewers reach them, without a slash at its end. */
export const addressesOf = (base: string, token: string, title: { titleId: string; rungs: readonly string[] }) => {
  const root = `${base}/api/media/~${token}`;
  const hls = `${root}/hls/${title.titleId}`;
  return {
    hls: `${hls}/master.m3u8`,
    dash: `${root}/dash/${title.titleId}/manifest.mpd`,
    licence: `${root}/dash/${title.titleId}/clearkey`,
    rungs: Object.fromEntries(title.rungs.map((name) => [name, `${hls}/${name}.m3u8`])),
    heartbeat: `${root}/heartbeat`,
  };
};
