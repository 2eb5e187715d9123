/** A title as one request sees it: its rungs, how they are cut, encrypted and named. */
import { createHash } from "node:crypto";
import type { ContentSet, SetRung } from "../../../contracts/content-set.ts";
import type { SubtitleTrack } from "../../../domain/hls/vod-groups.ts";
import type { ContentForm } from "../../../domain/vod/content-path.ts";
import type { Rendition, RenditionTrack } from "../../../domain/vod/rendition.ts";
import { VERSION_DIGITS } from "../library.ts";
import { type FileCipher, FileProtection } from "../protection.ts";
import type { Member } from "../sets.ts";
import type { TitleKey } from "./content-keys.ts";

/** Changes when segments of the same rungs become others. */
const FORMAT_EPOCH = 1;

/** DASH knows no encryption of whole segments: there the same key encrypts samples. */
export const methodOf = (set: ContentSet, form: ContentForm): FileCipher["method"] | null => {
  if (set.encryption === "none") return null;
  return set.encryption === "aes-128" && form === "dash" ? "cenc" : set.encryption;
};

/** One way in which a title is sent: whatever its bytes depend on besides the rung. */
export interface Edition {
  readonly set: ContentSet;
  readonly form: ContentForm;
  /** Null: in the clear. */
  readonly key: TitleKey | null;
  readonly method: FileCipher["method"] | null;
  /** For `?v=`: the same while the title grows and when it is complete. */
  readonly version: string;
}

export const editionOf = (set: ContentSet, form: ContentForm, key: TitleKey | null): Edition => {
  const method = methodOf(set, form);
  const parts = [FORMAT_EPOCH, set.contentId, set.revision, method ?? "none", key?.generation ?? 0];
  const hash = createHash("sha256").update(parts.join("\n"));
  if (key) hash.update(key.key.key).update(key.key.keyId);
  return { set, form, key, method, version: hash.digest("hex").slice(0, VERSION_DIGITS) };
};

/** Null: it is sent in the clear. Vectors come from title, revision and rung. */
export const protectionIn = ({ set, key, method, version }: Edition, rung: string): FileProtection | null => {
  if (key === null || method === null) return null;
  const cipher = { method, key: key.key, keyUrl: null, constantIv: key.constantIv };
  return new FileProtection(cipher, { path: `${set.contentId}/r${set.revision}/${rung}`, version });
};

/** One rung, as it is cut. */
export interface OpenRung {
  readonly rung: SetRung;
  readonly member: Member;
  readonly protection: FileProtection | null;
}

/** What the set says of sound counts more than what its files do: names are written by people. */
const named = (track: RenditionTrack, index: number, { audio }: ContentSet): RenditionTrack => {
  const told = audio[index];
  if (!told) return track;
  const isTwin = audio.some((other, n) => n !== index && other.language === told.language && other.name === told.name);
  const layout = told.channels > 2 ? "5.1" : "2.0";
  return { ...track, language: told.language, name: isTwin ? `${told.name} ${layout}`.trim() : told.name };
};

/** What manifests say of a rung. A pass over its sizes. */
export const renditionOf = ({ rung, member }: OpenRung, set: ContentSet): Rendition => {
  const { rendition } = member;
  const video = rendition.video && { ...rendition.video, name: "" };
  const audio = rendition.audio.map((track, index) => named(track, index, set));
  return { ...rendition, uri: rung.name, video, audio, closedCaptions: false };
};

export const subtitlesOf = ({ subtitles }: ContentSet): readonly SubtitleTrack[] =>
  subtitles.map(({ id, language, name, isDefault, isForced, isSdh }) => ({
    id,
    language,
    name,
    isDefault,
    autoselect: isDefault || isForced,
    forced: isForced,
    isSdh,
  }));
