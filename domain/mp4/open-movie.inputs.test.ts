/** All inputs, read as ffprobe and mediabunny read them. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { ALL_FORMATS, EncodedPacketSink, FilePathSource, Input, type InputTrack } from "mediabunny";
import { type Probed, type ProbedStream, probe } from "../../test/media/ffprobe.ts";
import { type Expected, INPUTS } from "../../test/media/inputs.ts";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { fileReader } from "../../test/media/reader.ts";
import { type Movie, MovieError, type Track } from "./movie.ts";
import { openMovie } from "./open-movie.ts";

let dir = "";
before(async () => {
  dir = await sharedMediaDir();
});

const tracksOf = ({ video, audio, text }: Movie): Track[] => [...video, ...audio, ...text];
const firstPtsMs = ({ table, shift, timescale }: Track): number => {
  const times = Array.from({ length: Math.min(4, table.sampleCount) }, (_, sample) => table.ptsOf(sample));
  return ((Math.min(...times) + shift) / timescale) * 1000;
};

const assertExpected = (movie: Movie, expected: Expected): void => {
  const [video] = movie.video;
  const [audio] = movie.audio;
  const found: Expected = {
    video: movie.video.map(({ codec }) => codec.codecs),
    audio: movie.audio.map(({ codec }) => codec.codecs),
    text: movie.text.map(({ codec }) => codec.codecs),
    ignored: movie.ignored,
    ...(video && {
      frames: video.table.sampleCount,
      keyFrames: video.table.syncSamples?.length ?? video.table.sampleCount,
      rotation: video.rotation,
      sampleAspectRatio: video.codec.sampleAspectRatio,
    }),
    languages: movie.audio.map(({ language }) => language),
    names: movie.audio.map(({ name }) => name),
    channels: movie.audio.map(({ codec }) => codec.channelCount),
    ...(video && audio && { videoLateMs: Math.round(firstPtsMs(video) - firstPtsMs(audio)) }),
  };
  const { seconds, probe: _, ...asked } = { text: [], ignored: [], ...expected };
  const told = Object.fromEntries(Object.keys(asked).map((key) => [key, found[key as keyof Expected]]));
  assert.deepEqual(told, asked);
  if (seconds !== undefined) assert.ok(Math.abs(movie.durationSeconds - seconds) < 0.1, String(movie.durationSeconds));
};

/** Times of a track as whole numbers in its own timescale, one line a sample. */
const samplesOf = ({ table, shift }: Track, withPts: boolean): string[] => {
  const { count, dts, compositionOffset, size, offset, sync } = table.samples(0, table.sampleCount);
  return Array.from({ length: count }, (_, index) => {
    const decode = (dts[index] ?? 0) + shift;
    const pts = withPts ? decode + (compositionOffset[index] ?? 0) : "-";
    return `${decode} ${pts} ${size[index]} ${offset[index]} ${sync[index] === 1 ? "K" : "_"}`;
  });
};
const packetsOf = (probed: Probed, stream: ProbedStream, track: Track, late: number, withPts: boolean): string[] => {
  const [num = 1, den = 1] = stream.time_base.split("/").map(Number);
  const ticks = (time: number): number => time * ((track.timescale * num) / den) - late * track.timescale;
  return probed.packets
    .filter((packet) => packet.stream_index === stream.index && packet.size !== undefined)
    .map(({ dts = 0, pts = dts, size, pos, flags }) =>
      [ticks(dts), withPts ? ticks(pts) : "-", size, pos, flags.startsWith("K") ? "K" : "_"].join(" "),
    );
};

/** One difference says as much as all of them. */
const assertSame = (ours: readonly string[], theirs: readonly string[]): void => {
  const at = ours.findIndex((line, index) => line !== theirs[index]);
  assert.deepEqual([at, ours[at], ours.length], [at, theirs[at], theirs.length]);
};

const assertProbed = async (file: string, movie: Movie, { probe: how }: Expected): Promise<void> => {
  if (how?.skipped) return;
  const probed = await probe(file, how?.ignoreEdits ? ["-ignore_editlist", "1"] : []);
  const withPts = how?.withoutPts !== true;
  for (const track of tracksOf(movie)) {
    const stream = probed.streams.find(({ id }) => Number(id) === track.id) ?? assert.fail(`no stream ${track.id}`);
    const asProbed = how?.ignoreEdits ? { ...track, shift: 0 } : track;
    const packets = packetsOf(probed, stream, track, how?.laterSeconds ?? 0, withPts);
    const samples = samplesOf(asProbed, withPts);
    // ffprobe does not show what follows the last text that is not empty.
    assertSame(track.codec.kind === "text" ? samples.slice(0, packets.length) : samples, packets);
    const { codec } = track;
    if (codec.kind === "video") assert.deepEqual([codec.width, codec.height], [stream.width, stream.height]);
  }
};

for (const [name, { expected }] of Object.entries(INPUTS)) {
  test(`${name} is ${expected.refused ?? "read as expected and as ffprobe reads it"}`, async () => {
    const file = await makeInput(name, dir);
    const opening = openMovie(fileReader(file));
    if (expected.refused) {
      await assert.rejects(opening, (error) => error instanceof MovieError && error.problem === expected.refused);
      return;
    }
    const movie = await opening;
    assertExpected(movie, expected);
    await assertProbed(file, movie, expected);
  });
}

/** What mediabunny tells less exactly, or reads otherwise. */
const SPELLED: Readonly<Record<string, string>> = { "mp4a.6b": "mp3", Opus: "opus", fLaC: "flac" };
const NOT_BY_MEDIABUNNY = new Set([
  "fragmented-after-moov-samples", // it stops behind the samples of moov
  "fragmented-late-start",
  "he-aac-implicit", // it reads the AudioSpecificConfig alone,
  "he-aac-backward", // and its beginning
]);

const assertJudged = async (judged: InputTrack, track: Track, name: string): Promise<void> => {
  const codecs = await judged.getCodecParameterString();
  const ours = SPELLED[track.codec.codecs] ?? track.codec.codecs;
  assert.equal(codecs?.replace("hev1", "hvc1"), ours.replace("hev1", "hvc1"), name); // it calls all HEVC hev1
  const { count, dts, compositionOffset, size, sync } = track.table.samples(0, track.table.sampleCount);
  let index = 0;
  for await (const packet of new EncodedPacketSink(judged).packets(undefined, undefined, { metadataOnly: true })) {
    const seconds = ((dts[index] ?? 0) + (compositionOffset[index] ?? 0) + track.shift) / track.timescale;
    assert.ok(Math.abs(seconds - packet.timestamp) < 1e-6, `${name}: ${index} at ${seconds}, not ${packet.timestamp}`);
    assert.deepEqual([size[index], sync[index] === 1], [packet.byteLength, packet.type === "key"]);
    index += 1;
  }
  assert.equal(index, count, name);
};

test("mediabunny, which shares no code with ffmpeg, reads the same codecs, times, sizes and key frames", async (t) => {
  t.mock.method(console, "warn", () => {}); // it says what it leaves out
  let compared = 0;
  for (const [name, { expected }] of Object.entries(INPUTS)) {
    if (expected.refused || NOT_BY_MEDIABUNNY.has(name)) continue;
    const file = await makeInput(name, dir);
    const movie = await openMovie(fileReader(file));
    const input = new Input({ source: new FilePathSource(file), formats: ALL_FORMATS });
    for (const judged of await input.getTracks()) {
      const track = tracksOf(movie).find(({ id }) => id === judged.id);
      if (!track || track.codec.kind === "text") continue;
      await assertJudged(judged, track, name);
      compared += 1;
    }
    input.dispose();
  }
  assert.ok(compared > 100, `${compared} tracks`);
});
