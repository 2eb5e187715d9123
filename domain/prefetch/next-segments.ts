/** What will be asked for next: the segments of the playlists that were seen lately. Bounded in bytes. */
import { type Playlist, playlistSegments } from "./playlist-segments.ts";
import type { Rendition } from "./targets.ts";

const MiB = 1024 * 1024;
/** About 300,000 segments: 100 films of 3 h in 4 s segments. */
const BYTES_MAX = 64 * MiB;
/** A string twice (the map's key is host and target), an entry of the map and its value: measured 130 to 160 bytes. */
const SEGMENT_OVERHEAD_BYTES = 160;

interface Place {
  readonly playlist: string;
  readonly rendition: Rendition;
  readonly index: number;
}

interface Learned {
  readonly text: string;
  readonly renditions: readonly Rendition[];
  readonly sizeBytes: number;
}

const NOTHING: readonly string[] = Object.freeze([]);

const bytesOf = (renditions: readonly Rendition[], host: string): number =>
  renditions.flat().reduce((sum, { length }) => sum + 2 * length + host.length + SEGMENT_OVERHEAD_BYTES, 0);

export class NextSegments {
  readonly #bytesMax: number;
  /** The one that was used longest ago first. */
  readonly #playlists = new Map<string, Learned>();
  readonly #places = new Map<string, Place>();
  #sizeBytes = 0;

  constructor({ bytesMax = BYTES_MAX }: { readonly bytesMax?: number } = {}) {
    this.#bytesMax = bytesMax;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }
  get segmentCount(): number {
    return this.#places.size;
  }

  /**
   * Reads a playlist, in place of what was known by its host and target. False when it tells nothing: it is live, lists
   * playlists, can't be read, or has more segments than may be kept. The same text again costs a comparison.
   */
  learn(playlist: Playlist): boolean {
    const key = playlist.host + playlist.target;
    if (this.#playlists.get(key)?.text === playlist.text) {
      this.#use(key);
      return true;
    }
    this.forget(playlist.host, playlist.target);
    const renditions = playlistSegments(playlist);
    const sizeBytes = 2 * playlist.text.length + bytesOf(renditions, playlist.host);
    if (renditions.length === 0 || sizeBytes > this.#bytesMax) return false;
    this.#playlists.set(key, { text: playlist.text, renditions, sizeBytes });
    this.#sizeBytes += sizeBytes;
    for (const rendition of renditions) {
      for (const [index, target] of rendition.entries()) {
        this.#places.set(playlist.host + target, { playlist: key, rendition, index });
      }
    }
    this.#shrink();
    return true;
  }

  /** The next `count` targets at most of the same rendition, in order; none of what no playlist lists. */
  after(host: string, target: string, count = 1): readonly string[] {
    const place = this.#places.get(host + target);
    if (place === undefined) return NOTHING;
    this.#use(place.playlist);
    return place.rendition.slice(place.index + 1, place.index + 1 + count);
  }

  /** A playlist that was purged, or has become live. */
  forget(host: string, target: string): void {
    const key = host + target;
    const learned = this.#playlists.get(key);
    if (learned === undefined) return;
    this.#playlists.delete(key);
    this.#sizeBytes -= learned.sizeBytes;
    for (const segment of learned.renditions.flat()) {
      if (this.#places.get(host + segment)?.playlist === key) this.#places.delete(host + segment);
    }
  }

  #use(key: string): void {
    const learned = this.#playlists.get(key)!;
    this.#playlists.delete(key);
    this.#playlists.set(key, learned);
  }

  #shrink(): void {
    for (const key of this.#playlists.keys()) {
      if (this.#sizeBytes <= this.#bytesMax) return;
      const slash = key.indexOf("/");
      this.forget(key.slice(0, slash), key.slice(slash));
    }
  }
}
