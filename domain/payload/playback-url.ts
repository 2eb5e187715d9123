/** Where one origin of a channel is played from (P-12). */

export interface PlaybackPlaces {
  /** The streamer's base URL, without a trailing slash. */
  readonly base: string;
  readonly tenant: string;
  readonly streamId: string;
}

/** The streamer's template with `{base}`, `{tenant}` and `{streamId}` filled in. */
export const playbackUrlOf = (template: string, places: PlaybackPlaces): string =>
  template.replace(/\{(base|tenant|streamId)\}/g, (_, place: keyof PlaybackPlaces) => places[place]);

const MASTER = "/master.m3u8";
/** The DASH manifest beside an HLS master of ours; null where the name is not one of ours. */
export const dashUrlOf = (hlsUrl: string): string | null =>
  hlsUrl.endsWith(MASTER) ? `${hlsUrl.slice(0, -MASTER.length)}/manifest.mpd` : null;
