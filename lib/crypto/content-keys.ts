/** Keys of contents, and what else is derived for their encryption: the same on each node, without any store. */
import { createHmac } from "node:crypto";

/** Where keys come from: one key for all contents, or a secret from which each content's key is derived. */
export type KeySource = { readonly fixedKey: Buffer } | { readonly secret: Buffer };

/** The key of one content, and the id under which licences give it. */
export interface ContentKey {
  /** 16 bytes each. */
  readonly key: Buffer;
  readonly keyId: Buffer;
}

const KEY_BYTES = 16;
const SEGMENT_NUMBER_BYTES = 4;

const derived = (secret: Buffer, text: string): Buffer => createHmac("sha256", secret).update(text).digest();

/** A NUL stands in no content id, so no two of these texts are the same. */
const labelled = (contentId: string, label: string): string => `${contentId}\0${label}`;

/** 32 hex digits as the 16 bytes of a key; null for any other text. */
export const parseKey = (text: string): Buffer | null =>
  /^[0-9a-f]{32}$/i.test(text) ? Buffer.from(text, "hex") : null;

/**
 * The key of a content: HMAC-SHA256(secret, content id), its first 16 bytes, unless one is fixed. The key id, which is
 * public, comes from the same source under another label.
 */
export const contentKey = (source: KeySource, contentId: string): ContentKey => {
  const secret = "secret" in source ? source.secret : source.fixedKey;
  return {
    key: "secret" in source ? derived(secret, contentId).subarray(0, KEY_BYTES) : source.fixedKey,
    keyId: derived(secret, labelled(contentId, "key id")).subarray(0, KEY_BYTES),
  };
};

/** 16 bytes for `cbcs`: one for all tracks of a content. */
export const constantIv = ({ key }: ContentKey, contentId: string): Buffer =>
  derived(key, labelled(contentId, "constant iv")).subarray(0, KEY_BYTES);

/**
 * `cenc`: IV of sample 0 of a track; that of sample n is n more. `trackLabel` tells apart whatever is encrypted with
 * one key: content, version, rendition and track. In 64 bits, tracks that share a key don't meet: even 100,000 of them
 * with a million samples each do so in one of two thousand such archives.
 */
export const firstSampleIv = ({ key }: ContentKey, trackLabel: string): bigint =>
  derived(key, labelled(trackLabel, "sample iv")).readBigUInt64BE(0);

/**
 * IVs of whole segments: twelve bytes of the stream (content, version, rendition, tracks, container), then the
 * segment's number. Renditions share the key, so the number alone would encrypt different segments with the same IV.
 */
export const segmentIvs = ({ key }: ContentKey, streamLabel: string): ((segmentNumber: number) => Buffer) => {
  const prefix = derived(key, labelled(streamLabel, "segment iv")).subarray(0, KEY_BYTES - SEGMENT_NUMBER_BYTES);
  return (segmentNumber) => {
    const iv = Buffer.alloc(KEY_BYTES);
    prefix.copy(iv);
    iv.writeUInt32BE(segmentNumber >>> 0, prefix.length);
    return iv;
  };
};
