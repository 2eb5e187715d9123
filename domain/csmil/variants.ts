/** Which renditions of a set a manifest lists, and in what order (C-05, C-61…C-64). */
import type { Rendition } from "../vod/rendition.ts";
import type { MasterQuery, RateFilter } from "./query.ts";

/** One entry of a manifest. */
export interface Variant {
  readonly rendition: Rendition;
  /** 0-based number in the whole set in ascending order: the `r` of names below the set. Filters don't change it. */
  readonly index: number;
  /** The rendition's first audio track, taken out of it (`__a__`). */
  readonly audioOnly: boolean;
  /** What BANDWIDTH is multiplied by (`bwcorrection`). */
  readonly correction: number;
}

/** A value of `b=` names the nearest rendition, if that is no farther away: what MSOD's successor documents. */
const TOLERANCE_KBPS = 100;

/**
 * What `b` and `__b__` are compared with: MSOD's are rates at which files were encoded, sound included. So the mean of
 * the media themselves, or what a SMIL file says; not BANDWIDTH, which has the peak and the containers in it.
 */
const mediaKbps = ({ mediaBps }: Rendition): number => Math.round(mediaBps / 1_000);
const peakKbps = ({ muxedPeakBps }: Rendition): number => Math.round(muxedPeakBps / 1_000);

/** How far a rate is from a rendition: nothing from its mean to its peak, since encoders are told something between. */
const distanceKbps = (rendition: Rendition, kbps: number): number =>
  Math.max(0, mediaKbps(rendition) - kbps, kbps - Math.max(mediaKbps(rendition), peakKbps(rendition)));

const nearest = <T extends { readonly rendition: Rendition }>(listed: readonly T[], kbps: number): T | undefined => {
  const rank = ({ rendition }: T) => [distanceKbps(rendition, kbps), Math.abs(mediaKbps(rendition) - kbps)] as const;
  return listed.toSorted((one, other) => {
    const [near, far] = [rank(one), rank(other)];
    return near[0] - far[0] || near[1] - far[1];
  })[0];
};

/** The set in ascending order of what it takes: by bandwidth, then by name, so that it is the same from any URL. */
export const ascending = (renditions: readonly Rendition[]): readonly Rendition[] =>
  renditions.toSorted(
    (one, other) =>
      one.muxedPeakBps - other.muxedPeakBps ||
      one.muxedAverageBps - other.muxedAverageBps ||
      (one.uri < other.uri ? -1 : Number(one.uri > other.uri)),
  );

const filtered = (listed: readonly Variant[], { values, ranges }: RateFilter): readonly Variant[] => {
  const kept = new Set<Variant>();
  for (const variant of listed) {
    const kbps = mediaKbps(variant.rendition);
    if (ranges.some(({ lowKbps, highKbps }) => kbps >= lowKbps && kbps <= highKbps)) kept.add(variant);
  }
  for (const value of values) {
    const variant = nearest(listed, value);
    if (variant && distanceKbps(variant.rendition, value) <= TOLERANCE_KBPS) kept.add(variant);
  }
  const isList = values.length > 0 || ranges.length > 1;
  const lowestAudio = listed.find(({ rendition }) => rendition.video === null);
  if (isList && lowestAudio) kept.add(lowestAudio);
  return listed.filter((variant) => kept.has(variant));
};

const withAudioOnly = (listed: readonly Variant[]): readonly Variant[] => {
  const lowest = listed.find(({ rendition }) => rendition.audio.length > 0);
  // A set that has audio by itself takes precedence over what would be extracted.
  const hasOwn = listed.some(({ rendition }) => rendition.video === null);
  return lowest === undefined || hasOwn ? listed : [...listed, { ...lowest, audioOnly: true }];
};

const preferredFirst = (listed: readonly Variant[], kbps: number): readonly Variant[] => {
  const preferred = nearest(
    listed.filter(({ audioOnly }) => !audioOnly),
    kbps,
  );
  return preferred === undefined ? listed : [preferred, ...listed.filter((variant) => variant !== preferred)];
};

const corrected = (listed: readonly Variant[], percents: readonly number[]): readonly Variant[] =>
  listed.map((variant, position) => ({
    ...variant,
    correction: 1 + (percents[Math.min(position, percents.length - 1)] ?? 0) / 100,
  }));

/**
 * The variants of a manifest, out of the whole set in ascending order. `b` comes first, then audio is extracted from
 * the lowest that is left, then bandwidths are corrected in ascending order, and last the preferred one moves to the
 * front: it is chosen by what it takes, not by what it was corrected to. Empty when the filters leave nothing.
 */
export const variantsOf = (
  set: readonly Rendition[],
  query: MasterQuery,
  { audioOnly = false }: { readonly audioOnly?: boolean } = {},
): readonly Variant[] => {
  const all = set.map((rendition, index): Variant => ({ rendition, index, audioOnly: false, correction: 1 }));
  const kept = query.rates === null ? all : filtered(all, query.rates);
  const withAudio = (query.audioOnly ?? audioOnly) ? withAudioOnly(kept) : kept;
  const adjusted = corrected(withAudio, query.corrections);
  return query.preferredKbps === null ? adjusted : preferredFirst(adjusted, query.preferredKbps);
};
