/** `transcode.chunk`: all rungs of one chunk out of one decode. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { fail } from "../../contracts/errors.ts";
import type { VideoTrack } from "../../domain/mp4/movie.ts";
import { openMovie } from "../../domain/mp4/open-movie.ts";
import { frameFrom, hertz, type Rate, SEGMENT_SECONDS, secondsAt } from "../../domain/transcode/timing.ts";
import {
  CAPTIONS_SEEN,
  type ChunkOptions,
  chunkArguments,
  type RungOutput,
} from "../../domain/transcode/video-arguments.ts";
import { keyFrameBefore } from "../../lib/ffmpeg/probe.ts";
import { runTranscode } from "../../lib/ffmpeg/transcode.ts";
import type { JobOutcome, JobRun } from "../../lib/jobs/jobs.ts";
import type { ObjectInput } from "../../lib/objects/port.ts";
import { type ChunkPayload, keyOf } from "./kinds.ts";
import { chunksOf, type Plan } from "./plan.ts";
import { holdState, settleParts, wantCaptions } from "./settle.ts";
import { setChunk } from "./transcoder.store.ts";
import { folderKey, inputOf, loadPlanned, type Work, withFolder } from "./work.ts";

/** A rung whose segment came out too large is encoded again with so much of its rate, at most so often. */
const RATE_STEP = 0.8;
const RATE_TRIES = 4;
/** A deinterlacer looks at fields before the first frame. */
const FIELDS_SECONDS = 0.25;

export const makeChunk = async (work: Work, run: JobRun<ChunkPayload>): Promise<JobOutcome> => {
  const key = keyOf(run);
  const { index } = run.payload;
  const transcode = await loadPlanned(work, key);
  const { plan } = transcode;
  // Replayed, of a plan that had more of them.
  if (chunksOf(plan)[index] === undefined) return { result: { isOver: true } };
  const input = await inputOf(work, transcode);
  const options = await chunkOptions(work, run, { plan, input });
  return withFolder(work, run, async (folder) => {
    const outputs = plan.rungs.map((rung) => ({ rung, file: join(folder, `${rung.name}.mp4`), rateShare: 1 }));
    const { hasCaptions } = await encode(work, run, { options, outputs });
    const paths: Record<string, string> = {};
    for (const { rung, file } of outputs) {
      const path = `${folderKey(key)}/chunks/${rung.name}/${index}-${run.epoch}.mp4`;
      await work.objects.putFile({ bucket: "segments", key: path }, file, {
        contentType: "video/mp4",
        signal: run.signal,
      });
      paths[rung.name] = path;
    }
    return {
      result: { index, frames: options.until - options.from },
      write: async (tx) => {
        await holdState(tx, key, "encoding");
        await setChunk(tx, key, index, paths);
        if (hasCaptions) await wantCaptions(tx, key);
        await settleParts(tx, key);
      },
    };
  });
};

const chunkOptions = async (
  work: Work,
  run: JobRun<ChunkPayload>,
  { plan, input }: { readonly plan: Plan; readonly input: ObjectInput },
): Promise<ChunkOptions> => {
  const { source, rate, pictureFrames } = plan;
  const chunk = chunksOf(plan)[run.payload.index] ?? fail("JOB_STATE", { state: "unknown", reason: "no such chunk" });
  const { video, originSeconds } = source;
  // A chunk behind the last picture decodes the last second.
  const first = Math.min(chunk.from, Math.max(0, pictureFrames - Math.ceil(hertz(rate))));
  const seconds = originSeconds + secondsAt(first, rate) - (video.isInterlaced ? FIELDS_SECONDS : 0);
  const asked = { streamIndex: video.streamIndex, seconds, signal: run.signal };
  const seekSeconds = chunk.from === 0 ? null : await keyFrameBefore(work.probe, input, asked);
  const { from, until } = chunk;
  return { input, video, originSeconds, rate, from, until, seekSeconds, pictureFrames, preset: work.preset };
};

interface Encoding {
  readonly options: ChunkOptions;
  readonly outputs: readonly RungOutput[];
}

/** Until every segment of every rung is within its rate. Gives whether there are captions in the picture. */
const encode = async (
  work: Work,
  run: JobRun<ChunkPayload>,
  { options, outputs }: Encoding,
): Promise<{ readonly hasCaptions: boolean }> => {
  let hasCaptions = false;
  const frames = options.until - options.from;
  let left = outputs;
  for (let attempt = 1; left.length > 0; attempt += 1) {
    await runTranscode(work.tools, {
      args: chunkArguments(options, left),
      signal: run.signal,
      onLine: (line) => {
        hasCaptions ||= CAPTIONS_SEEN.test(line);
      },
      onProgress: ({ frame, fps }) => {
        const percent = Math.min(100, Math.round((100 * (frame ?? 0)) / frames));
        const etaSeconds = fps !== null && fps > 0 ? Math.ceil((frames - (frame ?? 0)) / fps) : null;
        run.progress({
          percent,
          note: "encoding",
          ...(fps === null ? {} : { fps }),
          ...(etaSeconds === null ? {} : { etaSeconds }),
        });
      },
    });
    const large: RungOutput[] = [];
    for (const output of left) {
      const track = checked(await pictureTrack(output.file), options);
      const most = Math.max(...segmentRates(track, options.from, options.rate));
      const isLarge = most > output.rung.kbps * 1000;
      if (isLarge) large.push({ ...output, rateShare: output.rateShare * RATE_STEP });
    }
    if (large.length > 0 && attempt >= RATE_TRIES) {
      fail("TRANSCODE_FAILED", { reason: `${large[0]?.rung.name} can't be kept within its rate` });
    }
    left = large;
  }
  return { hasCaptions };
};

const pictureTrack = async (file: string): Promise<VideoTrack | null> => {
  const handle = await open(file);
  try {
    const { size: sizeBytes } = await handle.stat();
    const read = async (offset: number, lengthBytes: number): Promise<Buffer> => {
      const bytes = Buffer.alloc(lengthBytes);
      await handle.read(bytes, 0, lengthBytes, offset);
      return bytes;
    };
    return (await openMovie({ sizeBytes, read })).video[0] ?? null;
  } catch (error) {
    if (error instanceof Error && error.name === "MovieError") return null; // without any frame there is no track
    throw error;
  } finally {
    await handle.close();
  }
};

const checked = (track: VideoTrack | null, { from, until, rate }: ChunkOptions): VideoTrack => {
  const count = track?.table.sampleCount ?? 0;
  if (track !== null && count === until - from) return track;
  const seconds = secondsAt(from + count, rate).toFixed(1);
  return fail("SOURCE_UNREADABLE", { reason: `its picture breaks off after ${seconds} s, and says to go on` });
};

/** Shorter ones are not looked at alone: RFC 8216 §4.3.4.2 takes half a target duration at least for its peak. */
const RATED_SECONDS_MIN = SEGMENT_SECONDS / 2;

/** Bits per second of each segment of the grid that has frames in this chunk. GOPs are closed: decode order will do. */
export const segmentRates = ({ table }: VideoTrack, from: number, rate: Rate): number[] => {
  const until = from + table.sampleCount;
  const rates: number[] = [];
  for (let at = from, segment = Math.floor(secondsAt(from, rate) / SEGMENT_SECONDS + 1e-6); at < until; ) {
    segment += 1;
    const next = Math.min(until, frameFrom(segment * SEGMENT_SECONDS, rate));
    const seconds = Math.max(RATED_SECONDS_MIN, secondsAt(next - at, rate));
    if (next > at) rates.push((8 * table.sizeBytes(at - from, next - from)) / seconds);
    at = Math.max(at, next);
  }
  return rates;
};
