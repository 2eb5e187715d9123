/** Names of what is served below a file or a set: masters, playlists, segments, keys (C-02…C-09). */

/** Which tracks of a rendition: its video, and one audio track by its 0-based number. */
export interface TrackChoice {
  readonly video: boolean;
  readonly audio: number | null;
}
/** MPEG-TS, or fragmented MP4 as CMAF has it (ISO/IEC 23000-19). */
export type Container = "ts" | "fmp4";

/** What a name below a file or a set stands for. */
export type Leaf =
  | { readonly kind: "master"; readonly container: Container }
  | { readonly kind: "mpd" }
  | { readonly kind: "media"; readonly container: Container; readonly rendition: number; readonly tracks: TrackChoice }
  | { readonly kind: "iframes"; readonly container: Container; readonly rendition: number }
  | {
      readonly kind: "segment";
      readonly container: Container;
      readonly rendition: number;
      readonly tracks: TrackChoice;
      /** 1-based. */
      readonly number: number;
    }
  /** One key frame, by its 1-based number among those that are served. */
  | { readonly kind: "iframe"; readonly container: Container; readonly rendition: number; readonly number: number }
  | { readonly kind: "init"; readonly rendition: number; readonly tracks: TrackChoice }
  | { readonly kind: "subtitles"; readonly id: number; readonly language: string }
  | { readonly kind: "subtitle"; readonly id: number; readonly language: string; readonly number: number }
  /** The whole subtitle as one file, for the MPD. */
  | { readonly kind: "subtitleFile"; readonly id: number; readonly language: string }
  | { readonly kind: "key"; readonly rendition: number }
  | { readonly kind: "clearkey" };

/** Video with the first audio track. */
export const AV: TrackChoice = { video: true, audio: 0 };
/** Video without sound. */
export const VIDEO_ONLY: TrackChoice = { video: true, audio: null };
/** The first audio track. */
export const AUDIO_ONLY: TrackChoice = { video: false, audio: 0 };

/** `av`, `v`, `a`, and `a2` for the second audio track. */
export const tracksText = ({ video, audio }: TrackChoice): string => {
  if (video) return audio === null ? "v" : "av";
  return audio === null || audio === 0 ? "a" : `a${audio + 1}`;
};
const tracksOf = (text: string): TrackChoice => {
  if (text === "av") return AV;
  if (text === "v") return VIDEO_ONLY;
  return text === "a" ? AUDIO_ONLY : { video: false, audio: Number(text.slice(1)) - 1 };
};

// Numbers have one spelling each: a cache holds nothing twice.
const N = "([1-9]\\d{0,8})";
const R = "(0|[1-9]\\d{0,2})";
const TRACKS = "(av|v|a|a[2-9]|a[1-9]\\d)";
const SUBTITLE = `${R}_([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,8})`;
const containerOf = (extension: string | undefined): Container => (extension === "ts" ? "ts" : "fmp4");

type Read = (groups: readonly string[]) => Leaf;
const GRAMMAR: readonly (readonly [RegExp, Read])[] = (
  [
    [
      `segment${N}_${R}_${TRACKS}\\.(ts|m4s)`,
      ([n, r, tracks = "", extension]) => ({
        kind: "segment",
        container: containerOf(extension),
        rendition: Number(r),
        tracks: tracksOf(tracks),
        number: Number(n),
      }),
    ],
    [
      `(index|cmaf)_${R}_${TRACKS}\\.m3u8`,
      ([name, r, tracks = ""]) => ({
        kind: "media",
        container: name === "index" ? "ts" : "fmp4",
        rendition: Number(r),
        tracks: tracksOf(tracks),
      }),
    ],
    [
      `init_${R}_${TRACKS}\\.mp4`,
      ([r, tracks = ""]) => ({ kind: "init", rendition: Number(r), tracks: tracksOf(tracks) }),
    ],
    [
      `(cmaf_)?iframes_${R}_v\\.m3u8`,
      ([cmaf, r]) => ({ kind: "iframes", container: cmaf ? "fmp4" : "ts", rendition: Number(r) }),
    ],
    [
      `iframe${N}_${R}_v\\.(ts|m4s)`,
      ([n, r, extension]) => ({
        kind: "iframe",
        container: containerOf(extension),
        rendition: Number(r),
        number: Number(n),
      }),
    ],
    [`subtitle_${SUBTITLE}\\.m3u8`, ([id, language = ""]) => ({ kind: "subtitles", id: Number(id), language })],
    [
      `subtitle${N}_${SUBTITLE}\\.vtt`,
      ([n, id, language = ""]) => ({ kind: "subtitle", id: Number(id), language, number: Number(n) }),
    ],
    [`subtitle_${SUBTITLE}\\.vtt`, ([id, language = ""]) => ({ kind: "subtitleFile", id: Number(id), language })],
    [`key_${R}\\.bin`, ([r]) => ({ kind: "key", rendition: Number(r) })],
    // The seed's segments, 0-based (C-09).
    [
      "segment-(0|[1-9]\\d{0,8})\\.ts",
      ([n]) => ({ kind: "segment", container: "ts", rendition: 0, tracks: AV, number: Number(n) + 1 }),
    ],
  ] as const satisfies readonly (readonly [string, Read])[]
).map(([text, read]) => [new RegExp(`^${text}$`), read] as const);

const FIRST_MEDIA: Leaf = { kind: "media", container: "ts", rendition: 0, tracks: AV };
const FIXED: ReadonlyMap<string, Leaf> = new Map<string, Leaf>([
  ["master.m3u8", { kind: "master", container: "ts" }],
  ["cmaf.m3u8", { kind: "master", container: "fmp4" }],
  ["manifest.mpd", { kind: "mpd" }],
  ["index.m3u8", FIRST_MEDIA],
  ["clearkey", { kind: "clearkey" }],
]);

/** What a name stands for; null: nothing that is served. `childManifestFilename` names the first media playlist too. */
export const leafOf = (name: string, childManifestFilename: string): Leaf | null => {
  const fixed = FIXED.get(name) ?? (name === childManifestFilename ? FIRST_MEDIA : undefined);
  if (fixed) return fixed;
  for (const [pattern, read] of GRAMMAR) {
    const match = pattern.exec(name);
    if (match) return read(match.slice(1));
  }
  return null;
};

const nameOfStream = (leaf: Extract<Leaf, { readonly kind: "media" | "segment" | "init" }>): string => {
  const tail = `${leaf.rendition}_${tracksText(leaf.tracks)}`;
  if (leaf.kind === "init") return `init_${tail}.mp4`;
  if (leaf.kind === "media") return `${leaf.container === "ts" ? "index" : "cmaf"}_${tail}.m3u8`;
  return `segment${leaf.number}_${tail}.${leaf.container === "ts" ? "ts" : "m4s"}`;
};

/** The one canonical name of a leaf: aliases lead to the same. It needs no percent-encoding. */
export const leafName = (leaf: Leaf): string => {
  switch (leaf.kind) {
    case "master":
      return leaf.container === "ts" ? "master.m3u8" : "cmaf.m3u8";
    case "mpd":
      return "manifest.mpd";
    case "iframes":
      return `${leaf.container === "ts" ? "" : "cmaf_"}iframes_${leaf.rendition}_v.m3u8`;
    case "iframe":
      return `iframe${leaf.number}_${leaf.rendition}_v.${leaf.container === "ts" ? "ts" : "m4s"}`;
    case "subtitles":
      return `subtitle_${leaf.id}_${leaf.language}.m3u8`;
    case "subtitle":
      return `subtitle${leaf.number}_${leaf.id}_${leaf.language}.vtt`;
    case "subtitleFile":
      return `subtitle_${leaf.id}_${leaf.language}.vtt`;
    case "key":
      return `key_${leaf.rendition}.bin`;
    case "clearkey":
      return "clearkey";
    default:
      return nameOfStream(leaf);
  }
};
