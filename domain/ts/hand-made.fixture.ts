/** Segments whose samples are said one by one, for tests of what real files seldom have. */
import type { AudioTrack, RangeReader, Samples, SampleTable, VideoTrack } from "../mp4/movie.ts";
import { audioTrack, handMadeTable, videoTrack } from "../vod/tables.fixture.ts";
import type { SegmentInput } from "./segment.ts";
import { programOf } from "./segments.fixture.ts";

export interface HandMadeSample {
  /** Seconds. */
  readonly time: number;
  readonly bytes: Buffer;
  /** Of the presentation time; 0 where absent. */
  readonly reorderSeconds?: number;
  readonly isSync?: boolean;
}

export const TIMESCALE = 90_000;
const ticks = (seconds: number): number => Math.round(seconds * TIMESCALE);

/** A NAL unit behind its length. */
export const lengthPrefixed = (unit: Buffer, lengthBytes = 4): Buffer => {
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(unit.length, 0, lengthBytes);
  return Buffer.concat([length, unit]);
};
/** An H.264 slice of that many bytes; no decoder would take it. */
export const slice = (byteLength: number, isKey = false): Buffer => {
  const unit = Buffer.alloc(byteLength, 0xaa);
  unit[0] = isKey ? 0x65 : 0x41;
  return lengthPrefixed(unit);
};

class FileMaker {
  readonly pieces: Buffer[] = [];
  length = 0;

  samples(list: readonly HandMadeSample[], endSeconds: number): Samples {
    const offset = list.map(({ bytes }) => {
      this.pieces.push(bytes);
      this.length += bytes.length;
      return this.length - bytes.length;
    });
    return {
      first: 0,
      count: list.length,
      size: Uint32Array.from(list, ({ bytes }) => bytes.length),
      offset: Float64Array.from(offset),
      dts: Float64Array.from([...list.map(({ time }) => time), endSeconds], ticks),
      compositionOffset: Int32Array.from(list, ({ reorderSeconds = 0 }) => ticks(reorderSeconds)),
      sync: Uint8Array.from(list, ({ isSync }, index) => ((isSync ?? index === 0) ? 1 : 0)),
    };
  }
  reader(): RangeReader {
    const bytes = Buffer.concat(this.pieces);
    return { sizeBytes: bytes.length, read: async (at, length) => Buffer.from(bytes.subarray(at, at + length)) };
  }
}

export interface HandMade {
  readonly video?: readonly HandMadeSample[];
  readonly audio?: readonly HandMadeSample[];
  readonly endSeconds: number;
  readonly videoCodec?: Partial<VideoTrack["codec"]>;
  readonly audioCodec?: Partial<AudioTrack["codec"]>;
  readonly segmentIndex?: number;
}
export interface MadeByHand {
  readonly reader: RangeReader;
  readonly input: SegmentInput;
}

const SPS = Buffer.from("6764000bacd941419fa1000003000100000300320f14299600", "hex");
const PPS = Buffer.from("68ebe3cb22c0", "hex");
/** AAC LC, 48 kHz, stereo. */
const STEREO = Buffer.from("1190", "hex");

const table = (samples: Samples | null): SampleTable => ({
  ...handMadeTable({ durationTicks: 1, sampleCount: samples?.count ?? 0, keys: null }),
  samples: () => samples as Samples, // only asked of tracks that are there
});

/** H.264 and AAC at a timescale of 90,000 unless the codecs say otherwise. */
export const handMade = (made: HandMade): MadeByHand => {
  const file = new FileMaker();
  const video = made.video ? file.samples(made.video, made.endSeconds) : null;
  const audio = made.audio ? file.samples(made.audio, made.endSeconds) : null;
  const picture = videoTrack(TIMESCALE, table(video));
  const sound = audioTrack(TIMESCALE, table(audio));
  const program = programOf({
    video: video && { ...picture, codec: { ...picture.codec, parameterSets: [SPS, PPS], ...made.videoCodec } },
    audio: audio && {
      ...sound,
      codec: { ...sound.codec, sampleRate: 48_000, audioSpecificConfig: STEREO, ...made.audioCodec },
    },
  });
  return { reader: file.reader(), input: { program, video, audio, segmentIndex: made.segmentIndex ?? 0 } };
};
