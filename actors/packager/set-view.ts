/** A set as one request sees it: which files, how they are cut, and where their parts are from here. */
import { fail } from "../../contracts/errors.ts";
import { relativeReference } from "../../domain/csmil/path.ts";
import type { MediaSet } from "../../domain/csmil/request.ts";
import { targetDurationOf } from "../../domain/hls/vod-media.ts";
import type { Rendition } from "../../domain/vod/rendition.ts";
import type { Member, OpenSet } from "./sets.ts";

export interface SetView {
  readonly media: MediaSet;
  readonly open: OpenSet;
  /** Absolute URL of the prefix, `https://host/i/`; empty: playlists have relative addresses. */
  readonly base: string;
  /** At which its files were encoded, by path, where a SMIL file says so. */
  readonly bitratesBps: ReadonlyMap<string, number>;
  /** Where playlists name children: below each file, or below the set. */
  readonly children: "file" | "set";
}

/**
 * A file's own playlists know its own segments alone, and all of a set must tell one target duration (RFC 8216 §6.2.4).
 */
const haveOneTarget = ({ members }: OpenSet): boolean =>
  new Set(members.map(({ rendition }) => targetDurationOf([rendition]))).size === 1;

type SetPlace = Pick<SetView, "base" | "bitratesBps">;

export const setView = (media: MediaSet, open: OpenSet, { base, bitratesBps }: SetPlace): SetView => ({
  media,
  open,
  base,
  bitratesBps,
  get children() {
    return media.kind !== "file" && open.selfAligned && haveOneTarget(open) ? "file" : "set";
  },
});

/** What URIs below the set begin with. */
export const belowSet = ({ media, base }: Pick<SetView, "media" | "base">): string =>
  base === "" ? "" : `${base}${relativeReference("", media.path)}/`;

/** The set's files as manifests name them, in ascending order. */
export const renditionsOf = ({ media, open, base, bitratesBps }: SetView): readonly Rendition[] =>
  open.members.map(({ rendition, title }) => {
    const uri = base === "" ? relativeReference(media.path, title.path) : `${base}${relativeReference("", title.path)}`;
    const mediaBps = bitratesBps.get(title.path) ?? rendition.mediaBps;
    return { ...rendition, uri, mediaBps, closedCaptions: title.closedCaptions };
  });

/** The r-th file of a set. */
export const memberAt = ({ media, open }: SetView, rendition: number): Member =>
  open.members[rendition] ?? fail("SOURCE_NOT_FOUND", { path: `${media.path}, rendition ${rendition}` });
