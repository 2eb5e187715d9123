import assert from "node:assert/strict";
import { test } from "node:test";
import { orientationOf, turningFilters } from "./orientation.ts";
import type { Probed, ProbedStream } from "./probed.ts";
import { readSource } from "./source.ts";

const picture: ProbedStream = {
  index: 0,
  codec_type: "video",
  codec_name: "h264",
  width: 1920,
  height: 1080,
  sample_aspect_ratio: "1:1",
  pix_fmt: "yuv420p",
  r_frame_rate: "24000/1001",
  avg_frame_rate: "24000/1001",
  start_time: "0.000000",
  duration: "60.000000",
};
const sound: ProbedStream = {
  index: 1,
  codec_type: "audio",
  codec_name: "aac",
  channels: 2,
  start_time: "0.000000",
  duration: "60.000000",
  tags: { language: "deu", title: "Ton" },
  disposition: { default: 1 },
};
const probed = (...streams: readonly ProbedStream[]): Probed => ({
  format: { format_name: "mov,mp4,m4a,3gp,3g2,mj2", duration: "60.0" },
  streams,
});
const sourceOf = (...streams: readonly ProbedStream[]) => {
  const reading = readSource(probed(...streams), []);
  return "source" in reading ? reading.source : assert.fail(reading.refused);
};
const refusalOf = (...streams: readonly ProbedStream[]): string => {
  const reading = readSource(probed(...streams), []);
  return "refused" in reading ? reading.refused : assert.fail("it was taken");
};

test("a plain film", () => {
  const { video, audio, originSeconds, durationSeconds, notes } = sourceOf(picture, sound);
  assert.deepEqual(
    [video.streamIndex, video.width, video.height, video.averageRate, originSeconds, durationSeconds, notes.length],
    [0, 1920, 1080, 24_000 / 1001, 0, 60, 0],
  );
  assert.deepEqual(
    audio.map(({ language, title, channels, isDefault }) => [language, title, channels, isDefault]),
    [["deu", "Ton", 2, true]],
  );
});

test("what can't be transcoded is refused in words for people", () => {
  const cover = { ...picture, disposition: { attached_pic: 1 } };
  assert.equal(refusalOf(), "nothing in it is a picture or a sound");
  assert.equal(
    refusalOf(sound),
    "it has sound alone, and a title needs a picture: music and radio plays are not taken",
  );
  assert.match(String(refusalOf(cover, sound)), /sound alone/);
  assert.equal(refusalOf(cover), "it has no video");
  assert.equal(refusalOf({ ...picture, width: 8193 }), "a picture of 8193x1080 is over 8192x4320");
  assert.equal(refusalOf({ ...picture, width: 1 }), "a picture of 1x1080 is too small");
  assert.equal(refusalOf({ ...picture, duration: "90000" }), "it is 25 hours long, at most 24 are taken");
  const many = Array.from({ length: 201 }, (_, index) => ({ ...sound, index }));
  assert.equal(refusalOf(...many), "it has 201 streams, at most 200 are read");
});

test("a title begins where the first of picture and sound does; what encoders put before a sound is not heard", () => {
  const begins = (video: string, audio: string) =>
    sourceOf({ ...picture, start_time: video }, { ...sound, start_time: audio }).originSeconds;
  assert.deepEqual(
    [begins("0.0", "-0.023"), begins("1.4", "1.4"), begins("1.5", "1.0"), begins("0.5", "2.0"), begins("100.0", "0.0")],
    [0, 1.4, 1, 0.5, 70],
  );
});

test("what is left out is noted: pictures of text, sound without a codec, a second picture", () => {
  const bitmap: ProbedStream = { index: 2, codec_type: "subtitle", codec_name: "hdmv_pgs_subtitle" };
  const text: ProbedStream = {
    index: 3,
    codec_type: "subtitle",
    codec_name: "ass",
    tags: { language: "not a language" },
  };
  const mute: ProbedStream = { index: 4, codec_type: "audio" };
  const teletext: ProbedStream = { index: 6, codec_type: "subtitle", codec_name: "dvb_teletext" };
  const strange: ProbedStream = { index: 7, codec_type: "subtitle" };
  const { texts, notes } = sourceOf(picture, bitmap, text, mute, { ...picture, index: 5 }, teletext, strange);
  assert.deepEqual(
    texts.map(({ streamIndex, language }) => [streamIndex, language]),
    [[3, "und"]],
  );
  assert.deepEqual(notes, [
    "left out: subtitles that are pictures of text, which WebVTT can't show, hdmv_pgs_subtitle (stream 2)",
    "left out: teletext, which doesn't say which of its pages are subtitles, dvb_teletext (stream 6)",
    "left out: subtitles that can't be read as text, unknown (stream 7)",
    "left out: sound that can't be decoded, unknown (stream 4)",
    "left out: a second picture, h264 (stream 5)",
  ]);
});

const matrix = (a: number, b: number, c: number, d: number) => {
  const row = (n: number, x: number, y: number) => `0000000${n}: ${x * 65536} ${y * 65536} 0`;
  return [{ displaymatrix: `\n${row(0, a, b)}\n${row(1, c, d)}\n00000002: 0 0 1073741824\n` }];
};

test("the eight ways in which a picture can lie", () => {
  const cases: readonly [readonly [number, number, number, number], readonly string[]][] = [
    [[1, 0, 0, 1], []],
    [[0, 1, -1, 0], ["transpose=clock"]],
    [
      [-1, 0, 0, -1],
      ["hflip", "vflip"],
    ],
    [[0, -1, 1, 0], ["transpose=cclock"]],
    [[-1, 0, 0, 1], ["hflip"]],
    [
      [1, 0, 0, -1],
      ["hflip", "hflip", "vflip"],
    ],
    [
      [0, 1, 1, 0],
      ["hflip", "transpose=cclock"],
    ],
    [
      [0, -1, -1, 0],
      ["hflip", "transpose=clock"],
    ],
  ];
  for (const [values, filters] of cases) {
    assert.deepEqual(turningFilters(orientationOf(matrix(...values))), filters, values.join(" "));
  }
  assert.deepEqual(turningFilters(orientationOf([])), []);
});

test("colour: HDR by its transfer, depth by its format, metadata in x265's units", () => {
  const frame = {
    side_data_list: [
      {
        side_data_type: "Mastering display metadata",
        ...{ red_x: "34000/50000", red_y: "16000/50000", green_x: "13250/50000", green_y: "34500/50000" },
        ...{ blue_x: "7500/50000", blue_y: "3000/50000", white_point_x: "15635/50000", white_point_y: "16450/50000" },
        ...{ min_luminance: "1/10000", max_luminance: "10000000/10000" },
      },
      { side_data_type: "Content light level metadata", max_content: 1000, max_average: 400 },
    ],
  };
  const hdr = { ...picture, pix_fmt: "yuv420p10le", color_transfer: "smpte2084" };
  const reading = readSource(probed(hdr), [frame]);
  assert.deepEqual("source" in reading && reading.source.video.colour, {
    dynamicRange: "hdr10",
    bitDepth: 10,
    masterDisplay: "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)",
    contentLight: { max: 1000, average: 400 },
  });
  const hlg = sourceOf({ ...picture, pix_fmt: "p010le", color_transfer: "arib-std-b67" }).video.colour;
  assert.deepEqual([hlg.dynamicRange, hlg.bitDepth, hlg.masterDisplay], ["hlg", 10, null]);
});
