import assert from "node:assert/strict";
import { test } from "node:test";
import { type EncodeSettings, type LiveOptions, liveArguments, slateVideoArguments, videoEncoder } from "./encode.ts";

const settings: EncodeSettings = {
  frameRate: { num: 25, den: 1 },
  gopFrames: 25,
  rungs: [
    { name: "v0", width: 1280, height: 720, videoKbps: 3000 },
    { name: "v1", width: 640, height: 360, videoKbps: 900 },
  ],
  preset: "veryfast",
  audioKbps: 96,
};
const live: LiveOptions = { input: ["-i", "in"], settings, phaseTicks: 0, hasAudio: true, interlaced: false };

test("the whole command: one decode, a pipe per rung, then the audio", () => {
  const text = liveArguments(live)
    .map((argument) => (/[ '();]/.test(argument) ? `"${argument}"` : argument))
    .join(" ");
  const rule = `"expr:if(isnan(prev_forced_t),1,gt(floor((t*25/1+0.5)/25),floor((prev_forced_t*25/1+0.5)/25)))"`;
  const encoder = (kbps: number, pipe: number): string =>
    "-fps_mode passthrough -enc_time_base 1:90000 -c:v libx264 -preset veryfast -tune zerolatency -bf 0 " +
    `-profile:v high -pix_fmt yuv420p -b:v ${kbps}k -maxrate ${kbps}k -bufsize ${kbps}k ` +
    `-g 9999 -keyint_min 1 -sc_threshold 0 -force_key_frames ${rule} -video_track_timescale 90000 ${mux(pipe)}`;
  const mux = (pipe: number): string =>
    "-f mp4 -movflags +cmaf+frag_every_frame+frag_discont+skip_trailer -use_editlist 0 -flush_packets 1 " +
    `pipe:${pipe}`;
  assert.equal(
    text,
    "-hide_banner -nostats -nostdin -loglevel level+info -copyts -i in -filter_complex " +
      `"[0:v:0]fps=25/1,select='gt(selected_n,0)+lt(mod(t*25/1+0.5,25),1)',split=2[s0][s1];` +
      `[s0]scale=1280:720:flags=bicubic,setsar=1[o0];[s1]scale=640:360:flags=bicubic,setsar=1[o1]" ` +
      `-map [o0] ${encoder(3000, 3)} -map [o1] ${encoder(900, 4)} ` +
      `-map 0:a:0 -af aresample=async=1000 -c:a aac -b:a 96k -ar 48000 -ac 2 ${mux(5)}`,
  );
});

const graphOf = (options: Partial<LiveOptions>): string => {
  const args = liveArguments({ ...live, ...options });
  return args[args.indexOf("-filter_complex") + 1] ?? "";
};

test("what differs between sources is visible in the filter graph alone", () => {
  const ntsc = { ...settings, frameRate: { num: 30_000, den: 1001 }, gopFrames: 30 };
  const cases: readonly [Partial<LiveOptions>, RegExp][] = [
    [
      { settings: ntsc },
      /^\[0:v:0\]fps=30000\/1001,select='gt\(selected_n,0\)\+lt\(mod\(t\*30000\/1001\+0\.5,30\),1\)'/,
    ],
    [{ phaseTicks: 3600 }, /mod\(\(t\+3600\/90000\)\*25\/1\+0\.5,25\)/],
    [{ interlaced: true }, /^\[0:v:0\]yadif=deint=interlaced,fps=/],
    [{ settings: { ...settings, rungs: settings.rungs.slice(1) } }, /split=1\[s0\];\[s0\]scale=640:360/],
  ];
  for (const [options, pattern] of cases) assert.match(graphOf(options), pattern);
});

test("without audio in the source there is no audio output", () => {
  const args = liveArguments({ ...live, hasAudio: false });
  assert.equal(args.includes("0:a:0"), false);
  assert.equal(args.at(-1), "pipe:4");
});

test("the slate of a rung has the encoder arguments of its live picture", () => {
  for (const rung of settings.rungs) {
    const encoder = videoEncoder(settings, rung).join(" ");
    assert.ok(liveArguments(live).join(" ").includes(encoder));
    assert.ok(slateVideoArguments(settings, rung).join(" ").includes(encoder));
  }
});
