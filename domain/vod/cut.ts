import { type Movie, MovieError, type Track } from "../mp4/movie.ts";
import type { CutMovie, SegmentPlan, TrackCuts } from "./plan.ts";

/**
 * Two key frames that are nearer than this are at one place: no frame rate comes near it, rounding of ticks does not.
 */
const SAME_PLACE_SECONDS = 0.004;
const SEGMENTS_MAX = 100_000; // a week of 6 s; each is a line in playlists, and a number in memory
const LEADING_MAX = 32; // pictures between a key frame and the last one that is shown before it

const keyCountOf = ({ table }: Track): number => table.syncSamples?.length ?? table.sampleCount;
const keyAt = ({ table }: Track, index: number): number => table.syncSamples?.[index] ?? index;

/** Presentation time of a sample in seconds. */
export const presentedAt = (track: Track, sample: number): number =>
  (track.table.ptsOf(sample) + track.shift) / track.timescale;

/**
 * Of the first key frame from `from` on that is shown at or after a time: its index among the key frames. Looked for
 * from `guess` on, in steps that double: each look at a long table costs a microsecond.
 */
const keyFrom = (track: Track, seconds: number, from: number, guess = from): number => {
  const count = keyCountOf(track);
  const isBefore = (index: number): boolean => presentedAt(track, keyAt(track, index)) < seconds;
  let low = from; // whatever is before it is shown before the time
  let high = count;
  for (let step = 1, at = Math.min(Math.max(guess, from), count - 1); at >= low && at < high; step *= 2) {
    if (isBefore(at)) {
      low = at + 1;
      at += step;
    } else {
      high = at;
      at -= step;
    }
  }
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** When a segment that begins with this sample is first shown: pictures of an open GOP precede its key frame. */
const shownFrom = (track: Track, sample: number): number => {
  const key = presentedAt(track, sample);
  let earliest = key;
  const end = Math.min(sample + 1 + LEADING_MAX, track.table.sampleCount);
  for (let next = sample + 1; next < end; next += 1) {
    const at = presentedAt(track, next);
    if (at >= key) break;
    earliest = Math.min(earliest, at);
  }
  return earliest;
};

/** Less than this before zero is what encoders put there (priming of AAC, pre-roll of Opus) and is sent. */
const CUT_OFF_SECONDS = 1;

/**
 * The first sample that is served: the first one, or where an edit list cuts off more than a GOP, the last key frame
 * before what is shown.
 */
const firstServed = (track: Track): number => {
  if (presentedAt(track, 0) > -CUT_OFF_SECONDS) return 0;
  const index = keyFrom(track, SAME_PLACE_SECONDS, 0) - 1;
  return index <= 0 ? 0 : keyAt(track, index);
};

const startOf = (track: Track, first = 0): number => shownFrom(track, first);
const endOf = ({ table, shift, timescale }: Track): number => (table.endDts + shift) / timescale;

/** End of what is shown, in seconds: reordered pictures end after the decode time does. */
export const shownUntil = (track: Track): number => {
  const { table, timescale } = track;
  const last = table.sampleCount - 1;
  let until = endOf(track);
  for (let sample = last; sample >= 0 && sample > last - LEADING_MAX; sample -= 1) {
    const durationTicks = table.dtsOf(sample + 1) - table.dtsOf(sample);
    until = Math.max(until, presentedAt(track, sample) + durationTicks / timescale);
  }
  return until;
};

/** How many key frames come before a sample. */
const keysBefore = (track: Track, sample: number): number => {
  let low = 0;
  for (let high = keyCountOf(track); low < high; ) {
    const middle = (low + high) >>> 1;
    if (keyAt(track, middle) < sample) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** The first key frame that is served, by its index among all of them: those before it are cut off. */
export const firstServedKey = ({ track, firsts }: TrackCuts): number =>
  firsts[0] === undefined || firsts[0] === 0 ? 0 : keysBefore(track, firsts[0]);

/** The one behind the last that is served: of what grows, more may be there. */
export const endOfServedKeys = ({ track, firsts }: TrackCuts): number => {
  const end = firsts.at(-1) ?? 0;
  return end >= track.table.sampleCount ? keyCountOf(track) : keysBefore(track, end);
};

const servedTracks = ({ video, audio }: Movie): readonly Track[] => [...video.slice(0, 1), ...audio];

/** Samples of the track that decides where segments begin, and when those are shown. */
interface Boundaries {
  readonly firsts: readonly number[];
  readonly starts: readonly number[];
}

interface Grid {
  readonly segmentSeconds: number;
  /** Key frames so much before it are on it. */
  readonly nearSeconds?: number;
}

/**
 * Key frames on the grid: the first one at or after each multiple of the segment's duration, counted from the first
 * key frame. Never "the last cut plus a duration", which drifts where that is no multiple of the GOP.
 */
const onGrid = (
  track: Track,
  { segmentSeconds, nearSeconds = SAME_PLACE_SECONDS }: Grid,
  isAllowed: (seconds: number) => boolean,
): Boundaries => {
  const first = firstServed(track);
  const firsts = [first];
  const starts = [startOf(track, first)];
  const firstKey = keyFrom(track, presentedAt(track, first), 0);
  const zero = presentedAt(track, keyAt(track, firstKey));
  const keyCount = keyCountOf(track);
  let lastSeconds = zero;
  let stride = 1; // key frames of a segment: most have as many as the one before
  for (let grid = 1, from = firstKey + 1; from < keyCount; ) {
    const index = keyFrom(track, zero + grid * segmentSeconds - nearSeconds, from, from + stride - 1);
    if (index >= keyCount) break;
    stride = index + 1 - from;
    const sample = keyAt(track, index);
    const seconds = presentedAt(track, sample);
    from = index + 1;
    // Times that go back are a damaged file's: what is shown goes forward.
    if (seconds <= lastSeconds || !isAllowed(seconds)) continue;
    lastSeconds = seconds;
    if (firsts.length === SEGMENTS_MAX) throw new MovieError("unsupported", `more than ${SEGMENTS_MAX} segments`);
    firsts.push(sample);
    starts.push(shownFrom(track, sample));
    grid = Math.floor((seconds - zero + nearSeconds) / segmentSeconds) + 1;
  }
  return { firsts, starts };
};

/** The first frame that begins at a time or after it. */
const firstFrom = ({ table, timescale, shift }: Track, seconds: number): number =>
  table.sampleAt(Math.ceil(seconds * timescale - shift - SAME_TICK));
const SAME_TICK = 0.01; // rounding of seconds, far below one tick of any track

/**
 * Frames of a track that follows: one belongs to the segment in which it starts; none is lost after all, nor before,
 * unless the leader is cut off there too.
 */
const followed = (
  track: Track,
  plan: SegmentPlan,
  { firsts: [led = 0], starts: [from = 0] }: Boundaries,
): TrackCuts => {
  const firsts = new Uint32Array(plan.count + 1);
  if (led > 0) firsts[0] = firstFrom(track, from);
  for (let segment = 1; segment < plan.count; segment += 1) {
    firsts[segment] = firstFrom(track, plan.starts[segment] ?? 0);
  }
  firsts[plan.count] = track.table.sampleCount;
  return { track, firsts };
};

const planOf = (movie: Movie, { starts }: Boundaries): SegmentPlan => {
  const tracks = servedTracks(movie);
  const times = Float64Array.from([...starts, Math.max(...tracks.map(shownUntil))]);
  // What precedes zero (priming of AAC, what an edit list cuts off) is sent and not shown.
  times[0] = Math.max(0, Math.min(...tracks.map((track) => startOf(track))));
  for (let at = 1; at < times.length; at += 1) times[at] = Math.max(times[at] ?? 0, times[at - 1] ?? 0);
  return { count: starts.length, starts: times };
};

const cutAt = (movie: Movie, leader: Track, boundaries: Boundaries): CutMovie => {
  const plan = planOf(movie, boundaries);
  const [video] = movie.video;
  const led: TrackCuts = {
    track: leader,
    firsts: Uint32Array.from([...boundaries.firsts, leader.table.sampleCount]),
  };
  const cutsOf = (track: Track): TrackCuts => (track === leader ? led : followed(track, plan, boundaries));
  return { movie, plan, video: video ? cutsOf(video) : null, audio: movie.audio.map(cutsOf) };
};

const leaderOf = ({ video, audio }: Movie): Track | undefined =>
  video.find(({ table }) => table.sampleCount > 0) ?? audio.find(({ table }) => table.sampleCount > 0);

/** Tracks without a sample say nothing of time and have nothing to serve. */
const withoutEmpty = (movie: Movie): Movie => ({
  ...movie,
  video: movie.video.filter(({ table }) => table.sampleCount > 0),
  audio: movie.audio.filter(({ table }) => table.sampleCount > 0),
});

const cutOnGrid = (given: Movie, gridOf: (leader: Track) => Grid): CutMovie | null => {
  const movie = withoutEmpty(given);
  const leader = leaderOf(movie);
  return leader
    ? cutAt(
        movie,
        leader,
        onGrid(leader, gridOf(leader), () => true),
      )
    : null;
};

/** Cuts a file by itself; null when no track of it has a sample. */
export const cutMovie = (movie: Movie, segmentSeconds: number): CutMovie | null =>
  cutOnGrid(movie, () => ({ segmentSeconds }));

/** Half a picture: encoders of rates like 24000/1001 have key frames on the picture that is nearest to the grid. */
const nearSecondsOf = ({ table, timescale }: Track): number =>
  Math.max(SAME_PLACE_SECONDS, (table.endDts - table.dtsOf(0)) / table.sampleCount / timescale / 2 + TICK_SECONDS);
const TICK_SECONDS = 0.001;

/** The same for what our own transcoder makes. */
export const cutRung = (movie: Movie, segmentSeconds: number): CutMovie | null =>
  cutOnGrid(movie, (leader) => ({ segmentSeconds, nearSeconds: nearSecondsOf(leader) }));

/**
 * Cuts what there is of a rung that grows at its end: whole segments alone, each of the samples that it has when more
 * has followed. Null while there is none. The last one of a title that has all its pictures waits for the end of its
 * sound.
 */
export const cutGrowingRung = (
  movie: Movie,
  segmentSeconds: number,
  { hasAllPictures }: { readonly hasAllPictures: boolean },
): CutMovie | null => {
  const cut = cutRung(movie, segmentSeconds);
  if (!cut?.video) return null;
  const { video, plan } = cut;
  const { track } = video;
  const until = shownUntil(track);
  const zero = presentedAt(track, video.firsts[0] ?? 0);
  const near = nearSecondsOf(track);
  const begun = Math.floor(((plan.starts[plan.count - 1] ?? 0) - zero + near) / segmentSeconds);
  const isWhole = !hasAllPictures && until - zero >= (begun + 1) * segmentSeconds - near;
  const count = isWhole ? plan.count : plan.count - 1;
  if (count === 0) return null;
  const starts = plan.starts.slice(0, count + 1);
  if (isWhole) starts[count] = until; // sound may last a little longer, and goes on in the next one
  const clipped = (cuts: TrackCuts): TrackCuts => {
    const kept = cuts.firsts.slice(0, count + 1);
    if (cuts.track !== track) kept[count] = firstFrom(cuts.track, starts[count] ?? 0);
    return { track: cuts.track, firsts: kept };
  };
  return { movie: cut.movie, plan: { count, starts }, video: clipped(video), audio: cut.audio.map(clipped) };
};

/** Whether two files are cut at the same places, so that a player may switch between them at any segment. */
export const areAligned = (a: SegmentPlan, b: SegmentPlan): boolean => {
  if (a.count !== b.count) return false;
  for (let segment = 1; segment < a.count; segment += 1) {
    if (Math.abs((a.starts[segment] ?? 0) - (b.starts[segment] ?? 0)) > SAME_PLACE_SECONDS) return false;
  }
  return true;
};

const hasKeyAt = (track: Track, seconds: number): boolean => {
  const index = keyFrom(track, seconds - SAME_PLACE_SECONDS, 0);
  return index < keyCountOf(track) && Math.abs(presentedAt(track, keyAt(track, index)) - seconds) <= SAME_PLACE_SECONDS;
};

/**
 * Cuts files of one set at places that all of their videos have a key frame at. Files without video follow the plan of
 * the first that has one.
 */
export const cutTogether = (given: readonly Movie[], segmentSeconds: number): readonly CutMovie[] => {
  const movies = given.map(withoutEmpty);
  const videos = movies.flatMap(({ video }) => video.slice(0, 1));
  const [first] = videos;
  if (!first) return movies.flatMap((movie) => cutMovie(movie, segmentSeconds) ?? []);
  const inAll = (seconds: number): boolean => videos.every((track) => hasKeyAt(track, seconds));
  const common = onGrid(first, { segmentSeconds }, inAll);
  return movies.map((movie) => {
    const [video] = movie.video;
    const places = common.firsts.map((sample) => presentedAt(first, sample));
    if (!video) return followAll(movie, common);
    const firsts = places.map((seconds, index) =>
      index === 0 ? firstServed(video) : keyAt(video, keyFrom(video, seconds - SAME_PLACE_SECONDS, 0)),
    );
    const starts = firsts.map((sample) => shownFrom(video, sample));
    return cutAt(movie, video, { firsts, starts });
  });
};

const followAll = (movie: Movie, boundaries: Boundaries): CutMovie => {
  const plan = planOf(movie, boundaries);
  return { movie, plan, video: null, audio: movie.audio.map((track) => followed(track, plan, boundaries)) };
};
