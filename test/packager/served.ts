/** What a packager serves, fetched segment by segment and taken apart: each segment by itself. */
import assert from "node:assert/strict";
import { createDecipheriv } from "node:crypto";
import { type Pes, pesOf } from "../../domain/ts/walk.fixture.ts";
import { got } from "./client.ts";
import type { ListedSegment, MediaList } from "./lists.ts";
import { type KeyServer, type Sample, tracksIn } from "./truth.ts";

/** Added to all times that are sent. */
export const OFFSET_SECONDS = 10;

export interface Fetched {
  readonly init: Buffer | null;
  /** Decrypted where they are encrypted as a whole. */
  readonly segments: readonly Buffer[];
}

/** RFC 8216 §4.3.2.4: AES-128 in CBC mode with PKCS7 padding. */
const decrypted = async (bytes: Buffer, key: NonNullable<ListedSegment["key"]>): Promise<Buffer> => {
  const { bytes: secret } = await got(key.url);
  const decipher = createDecipheriv("aes-128-cbc", secret, key.iv ?? assert.fail("no IV"));
  return Buffer.concat([decipher.update(bytes), decipher.final()]);
};

export const fetchAll = async ({ init, segments }: MediaList): Promise<Fetched> => {
  const bodies: Buffer[] = [];
  for (const { url, key } of segments) {
    const { bytes } = await got(url);
    bodies.push(key?.method === "AES-128" ? await decrypted(bytes, key) : bytes);
  }
  return { init: init === null ? null : (await got(init)).bytes, segments: bodies };
};

/** One unit of a stream in transport: a picture, or several frames of audio. */
export interface Unit {
  readonly bytes: Buffer;
  readonly ptsSeconds: number;
}
/** What one segment has, its times without what is added to them. */
export interface ServedSegment<T> {
  readonly video: readonly T[];
  readonly audio: readonly T[];
}

const TICKS = 90_000;
const unitOf = ({ payload, pts }: Pes): Unit => ({ bytes: payload, ptsSeconds: pts / TICKS - OFFSET_SECONDS });

/** PES packets of each segment, by ISO/IEC 13818-1 alone. */
export const tsSegments = ({ segments }: Fetched): ServedSegment<Unit>[] =>
  segments.map((segment) => {
    const pes = pesOf(segment);
    const isVideo = ({ streamId }: Pes): boolean => (streamId & 0xf0) === 0xe0;
    return {
      video: pes.filter(isVideo).map(unitOf),
      audio: pes.filter((one) => !isVideo(one)).map(unitOf),
    };
  });

const shifted = (samples: readonly Sample[]): Sample[] =>
  samples.map(({ bytes, ptsSeconds, endSeconds, isKey }) => ({
    bytes,
    isKey,
    ptsSeconds: ptsSeconds - OFFSET_SECONDS,
    endSeconds: endSeconds - OFFSET_SECONDS,
  }));

export interface Fmp4Options {
  readonly hasVideo: boolean;
  /** Absent: nothing may be encrypted. */
  readonly keyServer?: KeyServer | undefined;
}

/** Samples of each segment behind its init segment, as mediabunny reads them; video is in front of audio. */
export const fmp4Segments = async (
  { init, segments }: Fetched,
  { hasVideo, keyServer }: Fmp4Options,
): Promise<ServedSegment<Sample>[]> => {
  const served: ServedSegment<Sample>[] = [];
  for (const segment of segments) {
    const tracks = await tracksIn(Buffer.concat([init ?? assert.fail("no init segment"), segment]), keyServer);
    const [first = [], second = []] = [...tracks.keys()]
      .sort((a, b) => a - b)
      .map((id) => shifted(tracks.get(id) ?? []));
    served.push(hasVideo ? { video: first, audio: second } : { video: [], audio: first });
  }
  return served;
};
