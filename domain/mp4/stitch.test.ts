/** Judges: ffprobe, ffmpeg's framecrc and framemd5, mediabunny. The measure is an encode of the whole in one go. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { probe } from "../../test/media/ffprobe.ts";
import { tracksIn } from "../../test/packager/truth.ts";
import { frameLines, mediaFile, openBytes } from "../../test/support/media-file.ts";
import { type Stitched, type StitchOptions, stitch } from "./stitch.ts";

const SEGMENT_SECONDS = 6;

interface Pictures {
  readonly source: string;
  readonly rate: string;
  readonly encoder: string;
}

const X264 = "-c:v libx264 -preset ultrafast -bf 3 -b_strategy 0 -sc_threshold 0 -flags +cgop -bitexact";
const PLAIN: Pictures = { source: "testsrc2=s=160x90:r=25", rate: "25", encoder: `${X264} -g 50 -keyint_min 50` };
/** Of film: key frames don't lie on whole seconds. */
const FILM: Pictures = {
  source: "testsrc2=s=160x90:r=24000/1001",
  rate: "24000/1001",
  encoder: `${X264} -g 48 -keyint_min 48`,
};

/** Pictures from `first` up to `end`; exactly those, wherever seconds are. */
const piece = ({ source, rate, encoder }: Pictures, first: number, end: number): Promise<Buffer> => {
  const trim = `trim=start_frame=${first}:end_frame=${end},setpts=PTS-STARTPTS`;
  return mediaFile(`-f lavfi -i ${source} -vf ${trim} -r ${rate} ${encoder} -f mp4`);
};

const pieces = (pictures: Pictures, counts: readonly number[]): Promise<Buffer[]> => {
  let first = 0;
  return Promise.all(
    counts.map((count) => {
      first += count;
      return piece(pictures, first - count, first);
    }),
  );
};

const sumOf = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

const SOUND =
  "-f lavfi -i sine=440:r=48000:d=21 -f lavfi -i sine=880:r=44100:d=21 -map 0 -map 1 -c:a aac -b:a 48k " +
  "-metadata:s:a:0 language=eng -metadata:s:a:1 language=deu -bitexact -f mp4";

interface Whole {
  readonly bytes: Buffer;
  readonly stitched: Stitched;
}

const whole = async (
  chunks: readonly Buffer[],
  audio: Buffer | null,
  options: Partial<StitchOptions> = {},
): Promise<Whole> => {
  const movies = await Promise.all(chunks.map(openBytes));
  const parts = { chunks: movies, audio: audio && (await openBytes(audio)) };
  const stitched = stitch(parts, { layout: "final", segmentSeconds: SEGMENT_SECONDS, ...options });
  const files = audio ? [...chunks, audio] : chunks;
  const ranges = [...stitched.extents].map(({ part, offset, lengthBytes }) => {
    const range = files[part]!.subarray(offset, offset + lengthBytes);
    assert.equal(range.length, lengthBytes);
    return range;
  });
  const bytes = Buffer.concat([stitched.head, ...ranges]);
  assert.equal(bytes.length, stitched.sizeBytes);
  return { bytes, stitched };
};

/** `dts, pts, duration` of a stream's packets as ffmpeg's demuxer gives them. */
const packetTimes = async (file: Buffer, stream = "0:v"): Promise<string[]> =>
  (await frameLines(`-copyts -i in -map ${stream} -c copy -f framecrc -`, file)).map((line) =>
    line.split(",").slice(1, 4).join(),
  );
const packets = (file: Buffer, stream: string): Promise<string[]> =>
  frameLines(`-copyts -i in -map ${stream} -c copy -f framecrc -`, file);
/** MD5 of each decoded picture. */
const pictures = async (file: Buffer): Promise<string[]> =>
  (await frameLines("-i in -map 0:v -fps_mode passthrough -f framemd5 -", file)).map(
    (line) => line.split(",").at(-1)?.trim() ?? "",
  );

const fileOf = async (t: TestContext, bytes: Buffer): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), "castellan-stitch-"));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "whole.mp4"), bytes);
  return join(folder, "whole.mp4");
};

const CASES: readonly (readonly [name: string, pictures: Pictures, counts: readonly number[]])[] = [
  ["one chunk", PLAIN, [100]],
  ["two chunks", PLAIN, [150, 150]],
  ["a last chunk of one picture", PLAIN, [150, 150, 1]],
  ["24000/1001 pictures a second", FILM, [144, 144, 100]],
];

for (const [name, source, counts] of CASES) {
  for (const layout of ["final", "virtual"] as const) {
    test(`ffmpeg finds the times of one encode, and the chunks' pictures: ${name}, ${layout}`, async () => {
      const chunks = await pieces(source, counts);
      const { bytes, stitched } = await whole(chunks, await mediaFile(SOUND), { layout });
      assert.equal(stitched.frameCount, sumOf(counts));
      const reference = await piece(source, 0, sumOf(counts));
      assert.deepEqual(await packetTimes(bytes), await packetTimes(reference));
      assert.deepEqual(await pictures(bytes), (await Promise.all(chunks.map(pictures))).flat());
    });
  }
}

test("ffmpeg finds the very packets of each sound track, priming and ends too", async () => {
  const sound = await mediaFile(SOUND);
  for (const layout of ["final", "virtual"] as const) {
    const { bytes } = await whole(await pieces(PLAIN, [150, 150]), sound, { layout });
    for (const track of [0, 1]) {
      assert.deepEqual(
        await packets(bytes, `0:a:${track}`),
        await packets(sound, `0:a:${track}`),
        `${layout}, track ${track}`,
      );
      const samples = (file: Buffer) => frameLines(`-i in -map 0:a:${track} -f md5 -`, file);
      assert.deepEqual(await samples(bytes), await samples(sound));
    }
  }
});

test("ffprobe reads lengths, languages and the first of each kind as the one that plays", async (t) => {
  const { bytes } = await whole(await pieces(PLAIN, [150, 150]), await mediaFile(SOUND));
  const { streams } = await probe(await fileOf(t, bytes));
  const told = streams.map((stream) => {
    const { codec_name, start_time, duration, nb_frames, tags, disposition } = stream as unknown as {
      codec_name: string;
      start_time: string;
      duration: string;
      nb_frames: string;
      tags: { language: string };
      disposition: { default: number };
    };
    return [codec_name, Number(start_time), Number(duration).toFixed(2), nb_frames, tags.language, disposition.default];
  });
  assert.deepEqual(told, [
    ["h264", 0, "12.00", "300", "und", 1],
    ["aac", 0, "21.00", "986", "eng", 1],
    ["aac", 0, "21.00", "906", "deu", 0],
  ]);
});

test("mediabunny reads the same pictures and sound at the same times as in the parts", async () => {
  const [source, counts] = [PLAIN, [150, 150, 1]];
  const sound = await mediaFile(SOUND);
  const { bytes } = await whole(await pieces(source, counts), sound);
  const [video, ...audio] = [...(await tracksIn(bytes)).values()];
  const reference = [...(await tracksIn(await piece(source, 0, sumOf(counts)))).values()][0];
  const times = (samples: typeof video) =>
    samples?.map(({ ptsSeconds, endSeconds, isKey }) => [ptsSeconds.toFixed(6), endSeconds.toFixed(6), isKey]);
  assert.deepEqual(times(video), times(reference));
  assert.deepEqual(audio, [...(await tracksIn(sound)).values()]);
});

test("without sound there is one track", async () => {
  const { bytes } = await whole(await pieces(PLAIN, [150, 150]), null);
  assert.deepEqual((await openBytes(bytes)).audio, []);
  assert.deepEqual(await packetTimes(bytes), await packetTimes(await piece(PLAIN, 0, 300)));
});

test("of fifty chunks none leaves a gap", async () => {
  const tiny: Pictures = { ...PLAIN, source: "testsrc2=s=64x36:r=25" };
  const one = await piece(tiny, 0, 50);
  const { bytes } = await whole(
    Array.from({ length: 50 }, () => one),
    await mediaFile(SOUND),
  );
  assert.deepEqual(await packetTimes(bytes), await packetTimes(await piece(tiny, 0, 2500)));
});

test("HDR in ten bits of HEVC keeps its colours and its light levels", async (t) => {
  const hdr: Pictures = {
    source: "testsrc2=s=160x90:r=25,format=yuv420p10",
    rate: "25",
    encoder:
      "-c:v libx265 -preset ultrafast -tag:v hvc1 -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc " +
      "-x265-params log-level=none:keyint=50:min-keyint=50:scenecut=0:open-gop=0:bframes=3:hdr10=1:pools=1:" +
      "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400",
  };
  const chunks = await pieces(hdr, [100, 50]);
  const { bytes } = await whole(chunks, await mediaFile(SOUND));
  assert.deepEqual(await packetTimes(bytes), await packetTimes(await piece(hdr, 0, 150)));
  assert.deepEqual(await pictures(bytes), (await Promise.all(chunks.map(pictures))).flat());
  const told = async (file: Buffer) => {
    const { streams } = await probe(await fileOf(t, file));
    const stream = streams[0] as unknown as Record<string, unknown>;
    return ["codec_tag_string", "profile", "color_transfer", "color_primaries", "color_space", "side_data_list"].map(
      (field) => stream[field],
    );
  };
  assert.deepEqual(await told(bytes), await told(chunks[0]!));
  assert.equal((await told(bytes))[2], "smpte2084");
});

test("odd pixels, a language and turned pictures stay as they are", async () => {
  const odd: Pictures = { ...PLAIN, source: "testsrc2=s=160x90:r=25,setsar=4/3" };
  const [chunk] = await pieces(odd, [50]);
  const { bytes } = await whole([chunk!, chunk!], null);
  const [track] = (await openBytes(bytes)).video;
  const [own] = (await openBytes(chunk!)).video;
  assert.deepEqual(track?.codec.sampleAspectRatio, [4, 3]);
  assert.deepEqual(track?.trackHeader.subarray(-60), own?.trackHeader.subarray(-60));
});

test("while more is to come, sound ends with the pictures, and each state begins like the one before", async () => {
  const sound = await mediaFile(SOUND);
  const chunks = await pieces(PLAIN, [150, 150]);
  const audioUntil = "pictures";
  const states = await Promise.all(
    [1, 2].map((count) => whole(chunks.slice(0, count), sound, { layout: "virtual", audioUntil })),
  );
  const full = await packets(sound, "0:a:0");
  let before: string[] = [];
  for (const [index, { bytes, stitched }] of states.entries()) {
    const seconds = (index + 1) * 6;
    assert.equal(stitched.pictureSeconds, seconds);
    const found = await packets(bytes, "0:a:0");
    const beginBefore = full.filter((line) => Number(line.split(",")[2]) < seconds * 48_000);
    assert.deepEqual(found, beginBefore);
    assert.deepEqual(found.slice(0, before.length), before);
    before = found;
  }
});

test("sound that begins late, is heard when it was", async () => {
  const late = await mediaFile(
    "-itsoffset 0.7 -f lavfi -i sine=440:r=48000:d=5 -c:a aac -b:a 48k -avoid_negative_ts disabled -bitexact -f mp4",
  );
  const { bytes } = await whole(await pieces(PLAIN, [150]), late);
  assert.deepEqual(await packetTimes(bytes, "0:a"), await packetTimes(late, "0:a"));
  assert.ok(Number((await packetTimes(bytes, "0:a"))[0]?.split(",")[0]) > 0.6 * 48_000);
});

test("a segment's pictures lie together, and so does each track's sound of it", async () => {
  const { bytes } = await whole(await pieces(PLAIN, [150, 300]), await mediaFile(SOUND));
  const movie = await openBytes(bytes);
  const places: [offset: number, what: string][] = [];
  for (const { table, timescale, shift, codec } of [...movie.video, ...movie.audio]) {
    const { count, offset, dts, compositionOffset } = table.samples(0, table.sampleCount);
    for (let index = 0; index < count; index += 1) {
      const seconds = (dts[index]! + compositionOffset[index]! + shift) / timescale;
      const segment = Math.max(0, Math.min(2, Math.floor(seconds / SEGMENT_SECONDS + 1e-9)));
      places.push([offset[index]!, `${segment} ${codec.kind === "audio" ? codec.sampleRate : "video"}`]);
    }
  }
  const inOrder = places.sort(([one], [other]) => one - other).map(([, what]) => what);
  const runs = inOrder.filter((what, index) => what !== inOrder[index - 1]);
  assert.deepEqual(
    runs,
    [0, 1, 2].flatMap((segment) => [`${segment} video`, `${segment} 48000`, `${segment} 44100`]),
  );
});

test("chunks that can't share a decoder are refused, and told apart", async () => {
  const [chunk] = await pieces(PLAIN, [50]);
  const others: [Pictures, RegExp][] = [
    [{ ...PLAIN, source: "testsrc2=s=320x180:r=25" }, /^chunk 1: it can't follow chunk 0: 320×180 against 160×90$/],
    [{ ...PLAIN, encoder: `${PLAIN.encoder} -level 5.1` }, /its SPS$/],
    [{ ...PLAIN, encoder: `${PLAIN.encoder} -x264-params cabac=1` }, /its PPS$/],
    [{ ...PLAIN, encoder: "-c:v libx265 -preset ultrafast -x265-params log-level=none" }, /codec hev1 against avc1$/],
  ];
  for (const [pictures, message] of others) {
    const other = await piece(pictures, 0, 50);
    await assert.rejects(whole([chunk!, other], null), { name: "MovieError", problem: "unsupported", message });
  }
  await assert.rejects(whole([chunk!, await mediaFile(SOUND)], null), /^MovieError: chunk 1: it has 0 tracks of pic/);
});
