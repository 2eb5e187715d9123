/** Common encryption (ISO/IEC 23001-7): which scheme a track is protected by, and what its init segment says of it. */
import { box, fullBox, uint32s } from "../mp4/box-writer.ts";
import type { InitProtection } from "../mp4/init-segment.ts";
import { type Codec, MovieError } from "../mp4/movie.ts";
import { isSliced } from "./slice.ts";

/** `cenc`: AES-CTR of all slice data (§10.1). `cbcs`: AES-CBC of each tenth block of video, of all of audio (§10.4). */
export type ProtectionScheme = "cenc" | "cbcs";

/** How the tracks of a content are protected. */
export interface Protection {
  readonly scheme: ProtectionScheme;
  /** 16 bytes. */
  readonly keyId: Buffer;
  /** 16 bytes, the same for each sample of the content; only `cbcs` uses it. */
  readonly constantIv: Buffer;
}

/** 1:9 for video (§9.6); no pattern, so all whole blocks, for audio. */
export const CBCS_PATTERN = { cryptBlocks: 1, skipBlocks: 9 } as const;
/** Per_Sample_IV_Size of `cenc` (§9.1); the block counter has the other eight bytes. */
export const SAMPLE_IV_BYTES = 8;
const SCHEME_VERSION = 0x10000;
const PROTECTED = 1;
const FOURCC_AT = 4;

/** Text stays clear; video needs NAL units, whose headers stay clear. Throws MovieError for other video. */
export const isProtected = (codec: Codec): boolean => {
  if (codec.kind === "video" && !isSliced(codec)) throw new MovieError("unsupported", `encryption of ${codec.fourcc}`);
  return codec.kind !== "text";
};

/** Default of all samples, §8.2. */
const trackEncryption = ({ scheme, keyId, constantIv }: Protection, { kind }: Codec): Buffer => {
  if (scheme === "cenc") return fullBox({ type: "tenc" }, Buffer.of(0, 0, PROTECTED, SAMPLE_IV_BYTES), keyId);
  const { cryptBlocks, skipBlocks } = CBCS_PATTERN;
  const pattern = kind === "video" ? (cryptBlocks << 4) | skipBlocks : 0;
  return fullBox(
    { type: "tenc", version: 1 },
    Buffer.of(0, pattern, PROTECTED, 0),
    keyId,
    Buffer.of(constantIv.length),
    constantIv,
  );
};

/** The clear entry as `encv` or `enca`, with what it was in `sinf` (14496-12 §8.12.1). */
const protectedEntry = (clear: Buffer, codec: Codec, protection: Protection): Buffer => {
  if (!isProtected(codec)) return clear;
  const scheme = Buffer.from(protection.scheme, "latin1");
  return box(
    codec.kind === "video" ? "encv" : "enca",
    clear.subarray(8),
    box(
      "sinf",
      box("frma", clear.subarray(FOURCC_AT, FOURCC_AT + 4)),
      fullBox({ type: "schm" }, scheme, uint32s(SCHEME_VERSION)),
      box("schi", trackEncryption(protection, codec)),
    ),
  );
};

/** System of the W3C's common format of `pssh` ("cenc" initialization data, Clear Key). */
export const COMMON_SYSTEM_ID = "1077efec-c0b2-4d02-ace3-3c1e52e2fb4b";

/** `pssh` of the common system: the key ids and nothing else (§8.1). */
export const systemHeader = (keyIds: readonly Buffer[]): Buffer =>
  fullBox(
    { type: "pssh", version: 1 },
    Buffer.from(COMMON_SYSTEM_ID.replaceAll("-", ""), "hex"),
    uint32s(keyIds.length),
    ...keyIds,
    uint32s(0),
  );

/** For `initSegment`. */
export const initProtection = (protection: Protection): InitProtection => ({
  sampleEntry: (clear, codec) => protectedEntry(clear, codec, protection),
  systems: [systemHeader([protection.keyId])],
});

/** A key id as manifests write it: `9eb4050d-e44b-4802-932e-27d75083e266`. */
export const keyIdText = (keyId: Buffer): string =>
  keyId.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

/** What the ContentProtection elements of an MPD say (ISO/IEC 23001-7 §11.2, DASH-IF IOP part 6). */
export interface ManifestProtection {
  /** `value` of `urn:mpeg:dash:mp4protection:2011`. */
  readonly scheme: ProtectionScheme;
  /** `cenc:default_KID`. */
  readonly defaultKeyId: string;
  /** `cenc:pssh` under the common system's element. */
  readonly psshBase64: string;
}
/** Scheme of the ContentProtection element that tells scheme and key id (§11.2). */
export const MP4_PROTECTION_URI = "urn:mpeg:dash:mp4protection:2011";
/** Scheme of the ContentProtection element that holds `pssh`. */
export const COMMON_SYSTEM_URI = `urn:uuid:${COMMON_SYSTEM_ID}`;
/** Element of Clear Key, which holds the address of the licence (DASH-IF). */
export const CLEAR_KEY_SYSTEM_URI = "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e";

/** Texts for an MPD. */
export const manifestProtection = ({ scheme, keyId }: Protection): ManifestProtection => ({
  scheme,
  defaultKeyId: keyIdText(keyId),
  psshBase64: systemHeader([keyId]).toString("base64"),
});
