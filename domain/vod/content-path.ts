/**
 * Addresses of titles at the packager: `/hls/{contentId}/…`, `/dash/{contentId}/…`, the same behind `/public`, or
 * behind `/upto/{lines}`, where there are the rungs alone that have no more lines than that; and `/images/…`,
 * `/previews/…`. Whether anything is there is for others to find out. Pure.
 */
import { type Leaf, leafName, leafOf } from "../csmil/leaf.ts";
import { decodedParts, isRefusal, notFound, type PathRefusal } from "../csmil/path.ts";

/** Which player it is for. The same media may be encrypted in another way in each. */
export type ContentForm = "hls" | "dash";

type SubtitleLeaf = Extract<Leaf, { readonly kind: "subtitles" | "subtitle" | "subtitleFile" }>;

/** What a name below a title stands for. */
export type ContentLeaf =
  /** `ts`: each rung in the container that its codec has in HLS; `fmp4`: CMAF. */
  | { readonly kind: "master"; readonly container: "ts" | "fmp4" }
  | { readonly kind: "mpd" }
  /** `1080p.m3u8`: a rung by itself, with its first sound. */
  | { readonly kind: "rung"; readonly rung: string }
  /** What lies below a rung, named as below a file (`domain/csmil/leaf.ts`). */
  | { readonly kind: "part"; readonly rung: string; readonly leaf: Leaf }
  | { readonly kind: "text"; readonly leaf: SubtitleLeaf }
  | { readonly kind: "storyboard" }
  /** A picture that the storyboard names. */
  | { readonly kind: "sprite"; readonly name: string };

export type ContentRequest =
  | {
      readonly kind: "content";
      readonly form: ContentForm;
      readonly contentId: string;
      readonly leaf: ContentLeaf;
      /** Asked for without a session. */
      readonly isPublic: boolean;
      /** Lines of the picture; null: no limit. */
      readonly maxHeight: number | null;
    }
  | {
      readonly kind: "object";
      readonly bucket: "thumbnails" | "trailers";
      readonly key: string;
      readonly extension: string;
      /** Nothing else will ever have this name. */
      readonly isFinal: boolean;
    };

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const RUNG = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;
const RUNG_LENGTH_MAX = 40;
const PICTURE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.(jpg|jpeg|png|webp|avif)$/;
const FILM = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.(mp4|jpg)$/;
const LINES = /^[1-9]\d{1,4}$/;
const REVISION = /^r[1-9]\d{0,8}$/;
const FIRST_MEDIA = "index_0_av.m3u8";

const isRung = (text: string): boolean => text.length <= RUNG_LENGTH_MAX && RUNG.test(text);

const nothing = (): PathRefusal => notFound("no playlist, manifest or segment has this name");

/** A leaf of one file under its one name: aliases are for files alone. */
const ownLeaf = (name: string): Leaf | null => {
  const leaf = leafOf(name, FIRST_MEDIA);
  return leaf !== null && leafName(leaf) === name ? leaf : null;
};

const MEDIA_KINDS: readonly Leaf["kind"][] = ["media", "iframes", "segment", "iframe", "init"];

const partOf = (form: ContentForm, rung: string, name: string): ContentLeaf | null => {
  const leaf = ownLeaf(name);
  if (leaf === null || !isRung(rung) || !MEDIA_KINDS.includes(leaf.kind)) return null;
  if (!("rendition" in leaf) || leaf.rendition !== 0) return null;
  // DASH has segments alone, and of fragmented MP4.
  const isOfDash = leaf.kind === "init" || (leaf.kind === "segment" && leaf.container === "fmp4");
  return form === "hls" || isOfDash ? { kind: "part", rung, leaf } : null;
};

const topOf = (form: ContentForm, name: string): ContentLeaf | null => {
  if (name === "storyboard.vtt") return { kind: "storyboard" };
  if (PICTURE.test(name)) return { kind: "sprite", name };
  const leaf = ownLeaf(name);
  if (leaf?.kind === "subtitleFile") return { kind: "text", leaf };
  if (form === "dash") return leaf?.kind === "mpd" ? leaf : null;
  if (leaf?.kind === "master") return leaf;
  if (leaf?.kind === "subtitles" || leaf?.kind === "subtitle") return { kind: "text", leaf };
  const [, rung] = /^(.+)\.m3u8$/.exec(name) ?? [];
  return rung !== undefined && isRung(rung) ? { kind: "rung", rung } : null;
};

const objectOf = (place: string, contentId: string, rest: readonly string[]): ContentRequest | null => {
  const [folder = "", name = ""] = rest;
  if (rest.length !== 2) return null;
  const isFinal = REVISION.test(folder);
  const [, extension] = (place === "images" ? PICTURE : FILM).exec(name) ?? [];
  if (extension === undefined || !(isFinal || (place === "images" && folder === "artwork"))) return null;
  const bucket = place === "images" ? "thumbnails" : "trailers";
  return { kind: "object", bucket, key: `${contentId}/${folder}/${name}`, extension, isFinal };
};

const PLACES =
  /^\/(?:(?:public\/|upto\/[1-9]\d{1,4}\/)?(?:hls|dash)|images|previews)\/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\//;

/** Whether an address is one of titles, and no file's. */
export const isContentPath = (path: string): boolean => PLACES.test(path);

/** Reads the path of a request target as sent (no query). */
export const parseContentPath = (path: string): ContentRequest | PathRefusal => {
  const parts = decodedParts(path.slice(1));
  if (isRefusal(parts)) return parts;
  const isPublic = parts[0] === "public";
  const maxHeight = parts[0] === "upto" && LINES.test(parts[1] ?? "") ? Number(parts[1]) : null;
  const [place = "", contentId = "", ...rest] = parts.slice(isPublic ? 1 : maxHeight !== null ? 2 : 0);
  if (!UUID.test(contentId)) return notFound("no title has this id");
  if (place === "images" || place === "previews") {
    return (isPublic || maxHeight !== null ? null : objectOf(place, contentId, rest)) ?? nothing();
  }
  if (place !== "hls" && place !== "dash") return nothing();
  const [first = "", second] = rest;
  if (rest.length > 2) return nothing();
  const leaf = second === undefined ? topOf(place, first) : partOf(place, first, second);
  return leaf === null ? nothing() : { kind: "content", form: place, contentId, leaf, isPublic, maxHeight };
};
