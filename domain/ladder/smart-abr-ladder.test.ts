import assert from "node:assert/strict";
import { test } from "node:test";
import { type AbrRung, type LadderCodec, shownSize, smartAbrLadder } from "./smart-abr-ladder.ts";

const CODECS: readonly LadderCodec[] = ["h264", "hevc", "all"];
const brief = (rungs: readonly AbrRung[]): string[] =>
  rungs.map(({ name, codec, width, height, kbps }) => `${name} ${codec} ${width}x${height} ${kbps}`);

test("a 4K source has the seven rungs, two at each height but the common 480p", () => {
  assert.deepEqual(brief(smartAbrLadder("all", 3840, 2160)), [
    "4k h264 3840x2160 20000",
    "4k-hevc hevc 3840x2160 12000",
    "1080p h264 1920x1080 8000",
    "1080p-hevc hevc 1920x1080 5000",
    "720p h264 1280x720 4000",
    "720p-hevc hevc 1280x720 2000",
    "480p h264 852x480 1000",
  ]);
});

test("one codec alone has the four plain names and its own rates", () => {
  const rates = (codec: LadderCodec) => smartAbrLadder(codec, 3840, 2160).map((rung) => rung.kbps);
  assert.deepEqual(rates("h264"), [20_000, 8_000, 4_000, 1_000]);
  assert.deepEqual(rates("hevc"), [12_000, 5_000, 2_000, 1_000]);
  for (const codec of ["h264", "hevc"] as const) {
    assert.deepEqual(
      smartAbrLadder(codec, 3840, 2160).map((rung) => `${rung.name} ${rung.codec}`),
      [`4k ${codec}`, `1080p ${codec}`, `720p ${codec}`, `480p ${codec}`],
    );
  }
});

test("what a source is fitted into, by cases", () => {
  const cases: readonly [width: number, height: number, rungs: readonly string[]][] = [
    [1080, 1920, ["1080p 1080x1920", "720p 720x1280", "480p 480x852"]],
    [1920, 800, ["1080p 1920x800", "720p 1280x532", "480p 854x354"]],
    [1440, 1080, ["1080p 1440x1080", "720p 960x720", "480p 640x480"]],
    [1600, 900, ["720p 1280x720", "480p 852x480"]],
    [7680, 4320, ["4k 3840x2160", "1080p 1920x1080", "720p 1280x720", "480p 852x480"]],
    [640, 360, ["source 640x360"]],
    [641, 359, ["source 640x358"]],
    [853, 479, ["source 852x478"]],
    [720, 480, ["480p 720x480"]],
    [16, 16, ["source 16x16"]],
    [1, 1, ["source 2x2"]],
  ];
  for (const [width, height, rungs] of cases) {
    const found = smartAbrLadder("h264", width, height).map((rung) => `${rung.name} ${rung.width}x${rung.height}`);
    assert.deepEqual(found, rungs, `${width}x${height}`);
  }
});

test("the rate of a small source is capped at that of 480p and follows its size", () => {
  const kbps = (width: number, height: number) => smartAbrLadder("h264", width, height)[0]?.kbps;
  assert.deepEqual([kbps(640, 360), kbps(320, 180), kbps(64, 36)], [649, 230, 100]);
  assert.equal(kbps(852, 478), 995);
});

const SIDES = [2, 15, 16, 17, 180, 239, 240, 359, 360, 479, 480, 481, 540, 575, 576, 640, 719, 720, 721, 853, 854, 960];
const LARGE = [
  1079, 1080, 1081, 1279, 1280, 1440, 1600, 1919, 1920, 1921, 2159, 2160, 2161, 2560, 3839, 3840, 4096, 8192,
];
const RATIOS = [
  [1, 1],
  [64, 45],
  [16, 11],
  [12, 11],
  [4, 3],
  [8, 9],
  [1, 2],
  [2, 1],
] as const;

test("for all codecs, sizes, rotations and aspect ratios: a rung, none larger than what is shown, even sides", () => {
  const sides = [...SIDES, ...LARGE];
  for (const width of sides)
    for (const height of sides)
      for (const rotation of [0, 90, 180, 270])
        for (const [num, den] of RATIOS) {
          const shown = shownSize({ width, height, rotation, sampleAspectRatio: { num, den } });
          for (const codec of CODECS) check(codec, shown);
        }
});

/** By V-08 and A2, written down apart: a height is there once a side of the source has it, at the codec's own rate. */
const HEIGHTS = [
  ["4k", 3840, 2160, 20_000, 12_000],
  ["1080p", 1920, 1080, 8_000, 5_000],
  ["720p", 1280, 720, 4_000, 2_000],
  ["480p", 854, 480, 1_000, 1_000],
] as const;
const namesAndRates = (codec: LadderCodec, sides: readonly [width: number, height: number]): string => {
  const [long, short] = [Math.max(...sides), Math.min(...sides)];
  const there = HEIGHTS.filter(([, across, down]) => long >= across || short >= down);
  const rungs = there.flatMap(([name, , , h264, hevc]) => {
    if (codec !== "all") return [`${name} ${codec === "h264" ? h264 : hevc}`];
    return name === "480p" ? [`${name} ${h264}`] : [`${name} ${h264}`, `${name}-hevc ${hevc}`];
  });
  return rungs.join();
};

/** Plain comparisons: assertions with messages would take a minute for a million rungs. */
const check = (codec: LadderCodec, shown: { readonly width: number; readonly height: number }): void => {
  const rungs = smartAbrLadder(codec, shown.width, shown.height);
  const isSound = ({ width, height, kbps }: AbrRung): boolean =>
    width % 2 === 0 &&
    height % 2 === 0 &&
    width <= Math.max(2, shown.width) &&
    height <= Math.max(2, shown.height) &&
    width >= 2 &&
    height >= 2 &&
    kbps > 0 &&
    kbps <= 20_000;
  const names = new Set(rungs.map((rung) => rung.name));
  const isOrdered = rungs.every(
    (rung, i) => i === 0 || rung.width * rung.height <= (rungs[i - 1]?.width ?? 0) * (rungs[i - 1]?.height ?? 0),
  );
  const isNamed = rungs.every((rung) => rung.name === "source" || /^(?:4k|1080p|720p|480p)(?:-hevc)?$/.test(rung.name));
  const told = rungs[0]?.name === "source" ? [] : rungs.map(({ name, kbps }) => `${name} ${kbps}`);
  const isAsked = told.join() === namesAndRates(codec, [shown.width, shown.height]);
  const isMinded = codec === "all" || rungs.every((rung) => rung.codec === codec);
  if (
    rungs.length > 0 &&
    rungs.length <= 7 &&
    rungs.every(isSound) &&
    names.size === rungs.length &&
    isOrdered &&
    isNamed &&
    isAsked &&
    isMinded
  )
    return;
  assert.fail(`${codec} ${shown.width}x${shown.height}: ${JSON.stringify(rungs)}`);
};

test("what is shown: the aspect ratio widens, a quarter turn swaps the sides", () => {
  assert.deepEqual(shownSize({ width: 720, height: 576, sampleAspectRatio: { num: 64, den: 45 } }), {
    width: 1024,
    height: 576,
  });
  assert.deepEqual(shownSize({ width: 1920, height: 1080, rotation: 90 }), { width: 1080, height: 1920 });
  assert.deepEqual(shownSize({ width: 720, height: 576, rotation: 270, sampleAspectRatio: { num: 64, den: 45 } }), {
    width: 576,
    height: 1024,
  });
  assert.deepEqual(shownSize({ width: 100, height: 50, rotation: 180 }), { width: 100, height: 50 });
});
