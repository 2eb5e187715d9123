/**
 * Encryption of what is served: which rule a path falls under, its keys, and what playlists and manifests say of them.
 * Keys are derived or configured, never stored: each node gives the same ones.
 */
import { createCipheriv } from "node:crypto";
import { posix } from "node:path";
import { fail } from "../../contracts/errors.ts";
import { type ManifestProtection, manifestProtection, type Protection } from "../../domain/cenc/protection.ts";
import { type Container, type TrackChoice, tracksText } from "../../domain/csmil/leaf.ts";
import type { PlaylistKey } from "../../domain/hls/vod-media.ts";
import { globMatches } from "../../domain/token/token.ts";
import type { SampleCipher } from "../../domain/ts/sample-aes.ts";
import type { EncryptionRule } from "../../lib/config/packager-config.ts";
import { type ContentKey, constantIv, contentKey, type KeySource, segmentIvs } from "../../lib/crypto/content-keys.ts";
import { type SampleKey, sampleKey } from "../../lib/crypto/sample-cipher.ts";

/** How the media of one container are encrypted; null: they are not offered in it under this rule. */
export type Scheme = "aes-128" | "sample-aes" | "cenc" | "cbcs";

/**
 * `sample-aes` and `cbcs` are one thing in two containers (RFC 8216 §4.3.2.4, Apple's MPEG-2 Stream Encryption Format;
 * ISO/IEC 23001-7 §10.4). Counter mode has no form for MPEG-2 TS.
 */
const SCHEMES: Readonly<Record<Exclude<EncryptionRule["method"], "none">, Record<Container, Scheme | null>>> = {
  "aes-128": { ts: "aes-128", fmp4: "aes-128" },
  "sample-aes": { ts: "sample-aes", fmp4: "cbcs" },
  cbcs: { ts: "sample-aes", fmp4: "cbcs" },
  cenc: { ts: null, fmp4: "cenc" },
};

const HLS_METHODS: Readonly<Record<Scheme, PlaylistKey["method"]>> = {
  "aes-128": "AES-128",
  "sample-aes": "SAMPLE-AES",
  cbcs: "SAMPLE-AES",
  cenc: "SAMPLE-AES-CTR",
};

/** One stream of a file: whatever has initialization vectors of its own. */
export interface StreamChoice {
  readonly container: Container;
  readonly rendition: number;
  readonly tracks: TrackChoice;
  /** Key frames alone, which are numbered by themselves. */
  readonly keyFrames?: boolean;
}

/** Addresses at the packager. */
export interface KeyPlaces {
  /** Of the key itself. */
  readonly key: string;
  /** Of Clear Key licences. */
  readonly licence: string;
}

export interface FileCipher {
  readonly method: Exclude<EncryptionRule["method"], "none">;
  readonly key: ContentKey;
  /** Null: the key has the places that are told with each playlist. */
  readonly keyUrl: string | null;
  /** For `cbcs`. */
  readonly constantIv: Buffer;
}

/** What vectors come from, besides the key and the stream. */
export interface ProtectedFile {
  readonly path: string;
  readonly version: string;
}

/** Encryption of one file in one version. */
export class FileProtection {
  readonly key: ContentKey;
  readonly keyUrl: string | null;
  readonly #method: Exclude<EncryptionRule["method"], "none">;
  readonly #path: string;
  readonly #version: string;
  readonly #constantIv: Buffer;
  #sampleKey: SampleKey | undefined;

  constructor({ method, key, keyUrl, constantIv: iv }: FileCipher, file: ProtectedFile) {
    this.key = key;
    this.keyUrl = keyUrl;
    this.#method = method;
    this.#path = file.path;
    this.#version = file.version;
    this.#constantIv = iv;
  }

  /** MEDIA_UNSUPPORTED where the container has no such encryption. */
  schemeOf(container: Container): Scheme {
    const scheme = SCHEMES[this.#method][container];
    return (
      scheme ?? fail("MEDIA_UNSUPPORTED", { path: this.#path, reason: `${this.#method} has no form in MPEG-2 TS` })
    );
  }

  /** What initialization vectors of a stream come from. */
  labelOf({ container, tracks, keyFrames = false }: Omit<StreamChoice, "rendition">): string {
    const stream = keyFrames ? "key frames" : tracksText(tracks);
    return [this.#path, this.#version, container, stream].join("\n");
  }

  /** IV of each whole segment of a stream by its 1-based number. */
  segmentIvs(stream: Omit<StreamChoice, "rendition">): (segmentNumber: number) => Buffer {
    return segmentIvs(this.key, this.labelOf(stream));
  }

  /** Whether both files are encrypted in the same way with the same key. */
  isLike(other: FileProtection | null | undefined): boolean {
    if (!other) return false;
    return other.#method === this.#method && other.key.key.equals(this.key.key) && other.keyUrl === this.keyUrl;
  }

  /** What samples are encrypted with. */
  get sampleKey(): SampleKey {
    this.#sampleKey ??= sampleKey(this.key.key, this.#constantIv);
    return this.#sampleKey;
  }

  /** SAMPLE-AES in MPEG-2 TS: each run of blocks is chained by itself (Apple, "MPEG-2 Stream Encryption Format"). */
  get tsCipher(): SampleCipher {
    const { secret, constantIv: iv } = this.sampleKey;
    return (blocks) => createCipheriv("aes-128-cbc", secret, iv).setAutoPadding(false).update(blocks);
  }

  /** Whether Clear Key licences are given for it. */
  get isCommon(): boolean {
    return this.#method !== "aes-128";
  }

  /** For fMP4; null: samples are not encrypted by themselves. */
  get common(): Protection | null {
    const scheme = this.schemeOf("fmp4");
    if (scheme !== "cenc" && scheme !== "cbcs") return null;
    return { scheme, keyId: this.key.keyId, constantIv: this.#constantIv };
  }

  /** For the MPD. MEDIA_UNSUPPORTED for whole-segment encryption, which DASH does not know. */
  get manifest(): ManifestProtection {
    const reason = "aes-128 is encryption of HLS alone";
    return manifestProtection(this.common ?? fail("MEDIA_UNSUPPORTED", { path: this.#path, reason }));
  }

  /** EXT-X-KEY of a stream's segments: each names the same key, in a format that some players know. */
  playlistKeys(stream: Omit<StreamChoice, "rendition">, places: KeyPlaces): readonly PlaylistKey[] {
    const { container } = stream;
    const scheme = this.schemeOf(container);
    const method = HLS_METHODS[scheme];
    if (scheme === "aes-128") {
      const ivs = this.segmentIvs(stream);
      return [{ method, uri: this.keyUrl ?? places.key, iv: (segmentNumber) => ivs(segmentNumber).toString("hex") }];
    }
    const iv = scheme === "cenc" ? null : this.#constantIv.toString("hex");
    const inFormat = (keyFormat: string, uri: string) => ({ method, uri, iv, keyFormat, keyFormatVersions: "1" });
    if (this.keyUrl !== null) return [inFormat(formatOf(this.keyUrl), this.keyUrl)];
    const identity = inFormat(IDENTITY_FORMAT, places.key);
    return container === "ts" ? [identity] : [identity, inFormat(CLEAR_KEY_FORMAT, places.licence)];
  }
}

/** The key itself (§4.3.2.4). */
const IDENTITY_FORMAT = "identity";
/** hls.js takes licences and no keys for fMP4, and knows a key system by its name in EME. */
const CLEAR_KEY_FORMAT = "org.w3.clearkey";
const FAIRPLAY_FORMAT = "com.apple.streamingkeydelivery";
const formatOf = (keyUrl: string): string => (keyUrl.startsWith("skd:") ? FAIRPLAY_FORMAT : IDENTITY_FORMAT);

const keySource = ({ key, secret }: EncryptionRule): KeySource => {
  if (key !== null) return { fixedKey: Buffer.from(key, "hex") };
  if (secret !== null) return { secret: Buffer.from(secret) };
  throw new Error("bug: a rule of encryption without a key");
};

const cipherOf = (rule: EncryptionRule & { readonly method: FileCipher["method"] }, path: string): FileCipher => {
  // Files of one folder share a key: those of a set lie in one, and a file does not tell which sets it is in.
  const content = posix.dirname(path);
  const made = contentKey(keySource(rule), content);
  const key = rule.keyId === null ? made : { ...made, keyId: Buffer.from(rule.keyId, "hex") };
  return { method: rule.method, key, keyUrl: rule.keyUrl, constantIv: constantIv(made, content) };
};

const isEncrypting = (rule: EncryptionRule): rule is EncryptionRule & { readonly method: FileCipher["method"] } =>
  rule.method !== "none";

/** Encryption of a file; null: it is served in the clear. The first rule whose paths fit decides. */
export const protectionOf = (rules: readonly EncryptionRule[], file: ProtectedFile): FileProtection | null => {
  const rule = rules.find(({ paths }) => paths.some((pattern) => globMatches(pattern, `/${file.path}`)));
  return rule && isEncrypting(rule) ? new FileProtection(cipherOf(rule, file.path), file) : null;
};
