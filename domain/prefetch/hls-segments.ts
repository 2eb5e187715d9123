/** The segments of an HLS media playlist (draft-pantos-hls-rfc8216bis, named RFC 8216bis below). */
import { append, type Rendition, resolved, TARGETS_MAX, targetOf } from "./targets.ts";

const ATTRIBUTE = /([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]*)/g;
const VARIABLE = /\{\$([A-Za-z0-9_-]+)\}/g;
const VARIABLES_MAX = 64;

const attributesOf = (line: string): ReadonlyMap<string, string> => {
  const list = line.slice(line.indexOf(":") + 1);
  return new Map([...list.matchAll(ATTRIBUTE)].map(([, name, value]) => [name!, value!.replace(/^"|"$/g, "")]));
};

class MediaPlaylist {
  readonly #base: URL;
  readonly #rendition: string[] = [];
  readonly #variables = new Map<string, string>();
  #isSegmentNext = false;
  #isGap = false;

  constructor(base: URL) {
    this.#base = base;
  }

  get rendition(): Rendition {
    return this.#rendition;
  }

  get isFull(): boolean {
    return this.#rendition.length >= TARGETS_MAX;
  }

  line(line: string): void {
    if (line.startsWith("#EXTINF:")) this.#isSegmentNext = true;
    else if (line === "#EXT-X-GAP") this.#isGap = true;
    else if (line.startsWith("#EXT-X-MAP:")) this.#uri(attributesOf(line).get("URI"));
    else if (line.startsWith("#EXT-X-DEFINE:")) this.#define(attributesOf(line));
    else if (line !== "" && !line.startsWith("#")) this.#segment(line);
  }

  /** §4.4.2.3; a variable of another playlist or of the query is not known here, nor is what is made of it. */
  #define(attributes: ReadonlyMap<string, string>): void {
    const name = attributes.get("NAME");
    const value = attributes.get("VALUE");
    if (name !== undefined && value !== undefined && this.#variables.size < VARIABLES_MAX)
      this.#variables.set(name, value);
  }

  /** A URI without EXTINF is not a segment (§4.4.4.1), and one with EXT-X-GAP is not there (§4.4.4.7). */
  #segment(uri: string): void {
    if (this.#isSegmentNext && !this.#isGap) this.#uri(uri);
    this.#isSegmentNext = false;
    this.#isGap = false;
  }

  #uri(uri: string | undefined): void {
    if (uri === undefined || this.isFull) return;
    const plain = uri.replaceAll(VARIABLE, (whole, name: string) => this.#variables.get(name) ?? whole);
    const url = plain.includes("{$") ? undefined : resolved(plain, this.#base);
    if (url !== undefined) append(this.#rendition, targetOf(url));
  }
}

/**
 * One rendition: EXTINF URIs in order, the URI of each EXT-X-MAP before its segments; no parts, hints or keys. None
 * when it is no media playlist, may still grow (no EXT-X-ENDLIST: the newest segments are not there yet), or has
 * I-frames only.
 */
export const hlsSegments = (text: string, base: URL): readonly Rendition[] => {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  if (lines[0]?.trim() !== "#EXTM3U") return [];
  const playlist = new MediaPlaylist(base);
  let isWhole = false;
  for (const raw of lines) {
    const line = raw.trim();
    if (line.startsWith("#EXT-X-STREAM-INF:") || line === "#EXT-X-I-FRAMES-ONLY") return [];
    if (line === "#EXT-X-ENDLIST") isWhole = true;
    playlist.line(line);
  }
  return isWhole && playlist.rendition.length > 0 ? [playlist.rendition] : [];
};
