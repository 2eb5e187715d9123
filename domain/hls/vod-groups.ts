/** Alternative renditions of a stored presentation: EXT-X-MEDIA (RFC 8216 §4.3.4.1). */
import type { Variant } from "../csmil/variants.ts";
import { isSameAudio } from "../vod/alike.ts";
import type { RenditionTrack } from "../vod/rendition.ts";

/** A subtitle below the set: at most 15 of them (C-68). */
export interface SubtitleTrack {
  /** In the names `subtitle_<id>_<language>.m3u8`. */
  readonly id: number;
  /** BCP 47. */
  readonly language: string;
  readonly name: string;
  readonly isDefault: boolean;
  readonly autoselect: boolean;
  readonly forced: boolean;
  /** For the deaf and hard of hearing. */
  readonly isSdh?: boolean;
}

/** One EXT-X-MEDIA of audio. */
export interface AudioEntry {
  readonly track: RenditionTrack;
  /** Whose track it is, and which of its audio tracks. */
  readonly source: Variant;
  readonly audio: number;
  /** Within the variant's own stream: it has no URI. */
  readonly muxed: boolean;
  /** Absent everywhere: the first one of the group is the default. */
  readonly isDefault?: boolean;
}
/** Audio of which a player takes one (RFC 8216 §4.3.4.1.1). */
export interface AudioGroup {
  readonly id: string;
  readonly entries: readonly AudioEntry[];
}

const areAlike = (one: readonly AudioEntry[], other: readonly AudioEntry[]): boolean =>
  one.length === other.length &&
  one.every(({ muxed, track }, n) => muxed === other[n]!.muxed && isSameAudio(track, other[n]!.track));

/** Whether an audio track can be had in the container: the n-th one of a variant. */
export type IsOffered = (source: Variant, audio: number) => boolean;

/** Audio files of the set, the best one of each language and name: for videos that have no sound. */
const separateAudio = (variants: readonly Variant[], isOffered: IsOffered): AudioEntry[] => {
  const best = new Map<string, AudioEntry>();
  for (const source of variants) {
    if (source.rendition.video !== null) continue;
    source.rendition.audio.forEach((track, audio) => {
      if (!isOffered(source, audio)) return;
      const key = `${track.language}\n${track.name}`;
      const known = best.get(key);
      if (!known || known.track.averageBps < track.averageBps) best.set(key, { track, source, audio, muxed: false });
    });
  }
  return [...best.values()];
};

const entriesOf = (source: Variant, demuxed: boolean): AudioEntry[] =>
  source.rendition.audio.map((track, audio) => ({ track, source, audio, muxed: !demuxed && audio === 0 }));

/**
 * The audio group of each variant that has one. Demuxed: every video's audio. Muxed: where a file has more audio tracks
 * than the one in its stream. Files whose audio is the same share the group of the first.
 */
export const audioGroupsOf = (
  variants: readonly Variant[],
  { demuxed, isOffered = () => true }: { readonly demuxed: boolean; readonly isOffered?: IsOffered | undefined },
): ReadonlyMap<Variant, AudioGroup> => {
  const groups: AudioGroup[] = [];
  const groupOf = new Map<Variant, AudioGroup>();
  const separate = separateAudio(variants, isOffered);
  for (const variant of variants) {
    if (variant.audioOnly || variant.rendition.video === null) continue;
    const own = entriesOf(variant, demuxed).filter(({ source, audio }) => isOffered(source, audio));
    const entries = own.length === 0 ? separate : own;
    if (entries.every(({ muxed }) => muxed)) continue;
    let group = groups.find((known) => areAlike(known.entries, entries));
    if (!group) {
      group = { id: `audio${groups.length}`, entries };
      groups.push(group);
    }
    groupOf.set(variant, group);
  }
  return groupOf;
};

/** A quoted-string (§4.2) has neither quotes nor line ends. */
export const quoted = (text: string): string => `"${text.replace(/["\r\n]/g, "'")}"`;

const yes = (value: boolean): string => (value ? "YES" : "NO");

/** Names of a group are different from each other (§4.3.4.1.1). */
const distinct = (names: readonly string[]): string[] => {
  const taken = new Set<string>();
  return names.map((name) => {
    let free = name;
    for (let n = 2; taken.has(free); n += 1) free = `${name} ${n}`;
    taken.add(free);
    return free;
  });
};

const audioName = ({ track, audio }: AudioEntry): string => {
  if (track.name !== "") return track.name;
  return track.language === "und" ? `Audio ${audio + 1}` : track.language;
};

/** EXT-X-MEDIA of a group's audio; `uriOf` names a playlist. The first one is the default. */
export const audioLines = (group: AudioGroup, uriOf: (entry: AudioEntry) => string): string[] => {
  const names = distinct(group.entries.map(audioName));
  return group.entries.map((entry, n) =>
    [
      `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="${group.id}",NAME=${quoted(names[n]!)}`,
      ...(entry.track.language === "und" ? [] : [`LANGUAGE=${quoted(entry.track.language)}`]),
      `DEFAULT=${yes(entry.isDefault ?? n === 0)},AUTOSELECT=YES,CHANNELS="${entry.track.channelCount}"`,
      ...(entry.muxed ? [] : [`URI=${quoted(uriOf(entry))}`]),
    ].join(","),
  );
};

/** What such subtitles are described by (Apple, "HLS Authoring Specification", 4.12). */
const SDH = "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound";

/** EXT-X-MEDIA of subtitles. A default or forced one is selected by itself too, as §4.3.4.1 has it. */
export const subtitleLines = (tracks: readonly SubtitleTrack[], uriOf: (track: SubtitleTrack) => string): string[] => {
  const names = distinct(tracks.map(({ name, language }) => name || language));
  return tracks.map((track, n) => {
    const autoselect = track.autoselect || track.isDefault || track.forced;
    return (
      `#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",NAME=${quoted(names[n]!)},LANGUAGE=${quoted(track.language)},` +
      `DEFAULT=${yes(track.isDefault)},AUTOSELECT=${yes(autoselect)},FORCED=${yes(track.forced)},` +
      `${track.isSdh ? `CHARACTERISTICS="${SDH}",` : ""}URI=${quoted(uriOf(track))}`
    );
  });
};
