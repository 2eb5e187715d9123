/**
 * Request traces of a CDN edge by a model of its viewers, the same for the same seed: sessions that watch a film's
 * segments one after the other, live channels in parts and segments, and things that are asked for once.
 */
import { type Random, seeded } from "../test/support/seeded.ts";

const MB = 1e6;
const TITLES = 3_000;
const SEGMENTS = 400;
const RENDITIONS = 4;
const SESSIONS = 4_000;
const SESSION_SEGMENTS_MEAN = 60;
const START_AT_ZERO = 0.8;
const SWITCHES = 0.05;
const ZIPF = 0.9;
const LIVE_PERIODS = 200;
const PARTS = 4;
const PART_SHARE = 0.75;
const DVR_PERIODS = 30;
const SEGMENT_PERIODS = 32;
const ZIPF_OBJECTS = 200_000;
/** No live object, no next segment. */
export const NONE = -1;

/** Objects are numbers from 0; time is counted in requests. */
export interface Trace {
  readonly name: string;
  /** The object of each request. */
  readonly requests: Uint32Array;
  /** Of each object. */
  readonly keys: readonly string[];
  readonly sizesBytes: Float64Array;
  /** The request from which on nobody can ask for a live object; `NONE` for all others. */
  readonly expiresAt: Float64Array;
  /** The next segment of the same rendition, or `NONE`. */
  readonly following: Int32Array;
  /** Sum of the sizes of the objects that are asked for. */
  readonly footprintBytes: number;
}

/** What share of the requests is what. */
interface Mix {
  readonly name: string;
  readonly requestCount: number;
  readonly seed: number;
  readonly liveShare: number;
  readonly liveChannels: number;
  readonly dvrShare: number;
  readonly scanShare: number;
  /** Independent requests by popularity in place of sessions. */
  readonly isZipf?: boolean;
}

const zipf = (count: number, random: Random): (() => number) => {
  const sums = new Float64Array(count);
  let sum = 0;
  for (let n = 0; n < count; n += 1) {
    sum += (n + 1) ** -ZIPF;
    sums[n] = sum;
  }
  return () => {
    const wanted = random.next() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
};

/** Objects as they are met: a key's number, its size and what follows it. */
class Objects {
  readonly keys: string[] = [];
  readonly sizesBytes: number[] = [];
  readonly expiresAt: number[] = [];
  readonly following: number[] = [];
  readonly #ids = new Map<string, number>();

  id(key: string, sizeBytes: number, expiresAt = NONE): number {
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.keys.length;
    this.#ids.set(key, id);
    this.keys.push(key);
    this.sizesBytes.push(sizeBytes);
    this.expiresAt.push(expiresAt);
    this.following.push(NONE);
    return id;
  }
}

interface Session {
  title: number;
  segment: number;
  rendition: number;
  end: number;
}

const anyRendition = (random: Random): number => Math.floor(RENDITIONS * random.next() * random.next());
const segmentBytes = (rendition: number): number => (0.7 + 0.6 * rendition) * MB;

/** 4,000 viewers, of whom a random one asks for the next segment of the film. */
const sessionsOf = (random: Random, objects: Objects): (() => number) => {
  const anyTitle = zipf(TITLES, random);
  const start = (): Session => {
    const segment = random.next() < START_AT_ZERO ? 0 : random.int(SEGMENTS);
    const length = Math.max(1, Math.round(-Math.log(1 - random.next()) * SESSION_SEGMENTS_MEAN));
    return { title: anyTitle(), segment, rendition: anyRendition(random), end: Math.min(SEGMENTS, segment + length) };
  };
  const sessions = Array.from({ length: SESSIONS }, start);
  const segment = ({ title, rendition }: Session, n: number): number =>
    objects.id(`acme/films/vod/${title}/${rendition}/${n}.m4s`, segmentBytes(rendition));
  return () => {
    const at = random.int(SESSIONS);
    const session = sessions[at]!;
    if (random.next() < SWITCHES) {
      const switched = session.rendition + (random.next() < 0.5 ? -1 : 1);
      session.rendition = Math.max(0, Math.min(RENDITIONS - 1, switched));
    }
    const id = segment(session, session.segment);
    if (session.segment + 1 < SEGMENTS) objects.following[id] = segment(session, session.segment + 1);
    session.segment += 1;
    if (session.segment >= session.end) sessions[at] = start();
    return id;
  };
};

/** Viewers at the live edge, a segment behind it, or anywhere in the window. */
const liveOf = (random: Random, objects: Objects, { requestCount, liveChannels, dvrShare }: Mix) => {
  const anyChannel = zipf(liveChannels, random);
  const periodRequests = requestCount / LIVE_PERIODS;
  return (at: number): number => {
    const period = Math.floor(at / periodRequests);
    const rendition = anyRendition(random);
    const channel = `acme/live/${anyChannel()}/${rendition}`;
    const kind = random.next();
    if (kind < PART_SHARE) {
      const part = Math.floor((at / periodRequests - period) * PARTS);
      const sizeBytes = (0.25 + 0.05 * rendition) * MB;
      return objects.id(`${channel}/${period}.${part}.m4s`, sizeBytes, (period + 2) * periodRequests);
    }
    const back = kind < 1 - dvrShare ? 1 : 2 + random.int(DVR_PERIODS - 1);
    const sizeBytes = PARTS * (0.25 + 0.05 * rendition) * MB;
    const expiresAt = (period - back + SEGMENT_PERIODS + 1) * periodRequests;
    return objects.id(`${channel}/${period - back}.m4s`, sizeBytes, expiresAt);
  };
};

/** Things that nobody asks for again. */
const scanOf =
  (random: Random, objects: Objects) =>
  (at: number): number => {
    const kind = random.next();
    const around = 0.6 + 0.8 * random.next();
    const sizeBytes = kind < 0.7 ? 1.5 * MB * around : kind < 0.9 ? 0.2 * MB * around : 4 * MB;
    return objects.id(`acme/files/once/${at}.bin`, sizeBytes);
  };

const popularOf = (random: Random, objects: Objects): (() => number) => {
  const any = zipf(ZIPF_OBJECTS, random);
  const renditions = Array.from({ length: ZIPF_OBJECTS }, () => anyRendition(random));
  return () => {
    const object = any();
    return objects.id(`acme/files/${object}.bin`, segmentBytes(renditions[object]!));
  };
};

const traceOf = (mix: Mix): Trace => {
  const random = seeded(mix.seed);
  const objects = new Objects();
  const ordinary = mix.isZipf ? popularOf(random, objects) : sessionsOf(random, objects);
  const live = liveOf(random, objects, mix);
  const scan = scanOf(random, objects);
  const requests = Uint32Array.from({ length: mix.requestCount }, (_, at) => {
    const kind = random.next();
    if (kind < mix.scanShare) return scan(at);
    return kind < mix.scanShare + mix.liveShare ? live(at) : ordinary();
  });
  const sizesBytes = Float64Array.from(objects.sizesBytes);
  const isAsked = new Uint8Array(sizesBytes.length);
  for (const id of requests) isAsked[id] = 1;
  return {
    name: mix.name,
    requests,
    keys: objects.keys,
    sizesBytes,
    expiresAt: Float64Array.from(objects.expiresAt),
    following: Int32Array.from(objects.following),
    footprintBytes: sizesBytes.reduce((sum, size, id) => sum + size * isAsked[id]!, 0),
  };
};

const COMMON = { seed: 5, liveShare: 0, liveChannels: 60, dvrShare: 0.03, scanShare: 0.05 };

/** Films, 5 % asked for once. */
export const vodTrace = (requestCount: number): Trace => traceOf({ ...COMMON, name: "VOD", requestCount });
/** Films, 40 % live on 60 channels, 5 % asked for once. */
export const mixedTrace = (requestCount: number): Trace =>
  traceOf({ ...COMMON, name: "mixed", requestCount, liveShare: 0.4 });
/** 80 % live on 40 channels. */
export const liveTrace = (requestCount: number): Trace =>
  traceOf({
    ...COMMON,
    name: "live heavy",
    requestCount,
    liveShare: 0.8,
    liveChannels: 40,
    dvrShare: 0.05,
    scanShare: 0.03,
  });
/** 200,000 objects by Zipf 0.9, 20 % asked for once. */
export const zipfTrace = (requestCount: number): Trace =>
  traceOf({ ...COMMON, name: "Zipf and scan", requestCount, scanShare: 0.2, isZipf: true });
