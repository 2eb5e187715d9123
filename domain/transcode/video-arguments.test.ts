import assert from "node:assert/strict";
import { test } from "node:test";
import { captionArguments, rewrapArguments, soundArguments, soundTracks, textArguments } from "./other-arguments.ts";
import { titleRungs } from "./rungs.ts";
import type { SourceAudio, SourceVideo } from "./source.ts";
import { type ChunkOptions, chunkArguments, chunkGraph } from "./video-arguments.ts";

const video: SourceVideo = {
  streamIndex: 0,
  codec: "h264",
  width: 1280,
  height: 720,
  sampleAspectRatio: { num: 1, den: 1 },
  orientation: { turn: 0, isMirrored: false },
  isInterlaced: false,
  colour: { dynamicRange: "sdr", bitDepth: 8, masterDisplay: null, contentLight: null },
  averageRate: 25,
  nominalRate: 25,
  startSeconds: 0,
  endSeconds: 60,
  hasCaptions: false,
};
const input = { url: "film.mp4", protocols: ["file"] };
const options: ChunkOptions = {
  ...{ input, video, originSeconds: 0.5, rate: { num: 25, den: 1 }, from: 150, until: 300 },
  ...{ seekSeconds: 5.5, pictureFrames: 1500, preset: "veryfast" },
};
/** What every source goes through; one that is known to have captions is not looked through for them. */
const HEAD = "sidedata=mode=delete:type=SEI_UNREGISTERED,showinfo=checksum=0,sidedata=mode=delete:type=A53_CC,";
const lined = (args: readonly string[]): string =>
  args
    .map((word) => (/[ ;'()]/.test(word) ? `"${word}"` : word))
    .join(" ")
    .replace(/-format_whitelist \S+/, "-format_whitelist LIST");

test("the whole command of a chunk: one decode, a file for each rung", () => {
  const rungs = titleRungs(video, "h264").map((rung) => ({ rung, file: `${rung.name}.mp4`, rateShare: 1 }));
  const rung = (i: number, level: string, rates: string, file: string): string =>
    `-map [o${i}] -fps_mode passthrough -c:v libx264 -preset veryfast -profile:v high -level:v ${level} ` +
    `-x264-params keyint=50:min-keyint=1:scenecut=0:open-gop=0:stitchable=1 -crf 23 ${rates} ` +
    "-force_key_frames 0.000000,1.980000,3.980000 -forced-idr 1 -bsf:v setts=pts=PTS:dts=DTS:duration=1 " +
    `-map_metadata -1 -map_chapters -1 -fflags +bitexact -video_track_timescale 25000 -f mp4 ${file}`;
  assert.equal(
    lined(chunkArguments(options, rungs)),
    "-hide_banner -nostats -nostdin -loglevel level+info -y -progress pipe:3 -stats_period 0.5 -copyts -noautorotate " +
      "-protocol_whitelist file -format_whitelist LIST -seek_timestamp 1 -noaccurate_seek -ss 5.500000 " +
      "-itsoffset -0.500000 -i film.mp4 -filter_complex " +
      `"[0:0]${HEAD}settb=1/25,fps=25/1:start_time=6.000000000,trim=start_frame=0:end_frame=150,setpts=PTS-STARTPTS,` +
      "split=2[s0][s1];" +
      "[s0]scale=1280:720:flags=bicubic,scale=out_range=tv,format=yuv420p,setsar=1[o0];" +
      `[s1]scale=852:480:flags=bicubic,scale=out_range=tv,format=yuv420p,setsar=1[o1]" ` +
      `${rung(0, "3.1", "-maxrate 3520k -bufsize 2400k", "720p.mp4")} ` +
      rung(1, "3.0", "-maxrate 880k -bufsize 600k", "480p.mp4"),
  );
});

const graphOf = (
  change: Partial<SourceVideo>,
  more: Partial<ChunkOptions> = {},
  codec: "h264" | "all" = "h264",
): string => {
  const changed = { ...video, ...change };
  return chunkGraph({ ...options, ...more, video: changed }, titleRungs(changed, codec)).replace(HEAD, "HEAD");
};

test("what differs between sources is visible in the filter graph alone", () => {
  const small = { width: 320, height: 180 };
  const hdr = { dynamicRange: "hdr10", bitDepth: 10, masterDisplay: null, contentLight: null } as const;
  const cases: readonly [string, RegExp][] = [
    [graphOf({ isInterlaced: true }), /^\[0:0\]HEADbwdif=mode=send_frame:parity=auto:deint=interlaced,settb=/],
    [graphOf({ orientation: { turn: 90, isMirrored: false } }), /^\[0:0\]HEADtranspose=clock,settb=/],
    [graphOf({ orientation: { turn: 270, isMirrored: true } }), /^\[0:0\]HEADhflip,transpose=cclock,settb=/],
    [graphOf({ hasCaptions: true }), /^\[0:0\]sidedata=mode=delete:type=A53_CC,settb=/],
    [graphOf({ streamIndex: 3 }), /^\[0:3\]HEADsettb/],
    [graphOf({ ...small, sampleAspectRatio: { num: 4, den: 3 } }), /scale=426:180:/],
    [graphOf({}, { rate: { num: 24_000, den: 1001 } }), /settb=1001\/24000,fps=24000\/1001:start_time=6\.256250000,/],
    // The last picture stays from frame 200 on: 100 frames, and two seconds of grace.
    [
      graphOf({}, { pictureFrames: 200 }),
      /start_time=6\.0+,tpad=stop=150:stop_mode=clone,trim=start_frame=0:end_frame=150,/,
    ],
    // All of the chunk is behind it.
    [
      graphOf({}, { pictureFrames: 100 }),
      /start_time=3\.0+,tpad=stop=250:stop_mode=clone,trim=start_frame=75:end_frame=225,/,
    ],
    [
      graphOf({ colour: hdr }),
      /split=1\[s0\];\[s0\]scale=1280:720:flags=bicubic,zscale=tin=smpte2084.*split=2\[t0\]\[t1\]/,
    ],
    [
      graphOf({ colour: hdr }, {}, "all"),
      /split=2\[s0\]\[s1\];\[s0\].*format=yuv420p10le,setsar=1\[o1\];\[s1\].*\[t1\]/,
    ],
  ];
  for (const [graph, pattern] of cases) assert.match(graph, pattern);
});

const sound = (streamIndex: number, language: string, channels: number, isDefault = false): SourceAudio => ({
  ...{ streamIndex, codec: "aac", language, title: "", channels, isDefault, startSeconds: 0, endSeconds: 60 },
});

test("each language in stereo, and 5.1 besides where there is more; the default comes first", () => {
  const tracks = soundTracks([sound(1, "eng", 2), sound(2, "deu", 6, true), sound(3, "fra", 1)]);
  assert.deepEqual(
    tracks.map(({ streamIndex, name, channels, isDefault }) => [streamIndex, name, channels, isDefault]),
    [
      [2, "deu", 2, true],
      [2, "deu 5.1", 6, false],
      [1, "eng", 2, false],
      [3, "fra", 2, false],
    ],
  );
  assert.deepEqual(soundTracks([]), []);
});

test("the sound of a title is encoded whole, filled where it has holes and cut to the title's length", () => {
  const tracks = soundTracks([sound(1, "eng", 6)]);
  const text = lined(soundArguments({ input, originSeconds: 0, durationSeconds: 10, tracks, file: "a.mp4" }));
  const chain = "aresample=48000:async=1000:first_pts=0,apad=whole_len=480000,atrim=end_sample=480000";
  assert.match(text, /-map 0:1 -map 0:1 -map_metadata -1/);
  assert.ok(
    text.includes(`-filter:a:0 ${chain} -ac:a:0 2 -b:a:0 128k -metadata:s:a:0 language=eng -disposition:a:0 default`),
  );
  assert.ok(
    text.includes(`-filter:a:1 ${chain} -ac:a:1 6 -b:a:1 384k -metadata:s:a:1 language=eng -disposition:a:1 0`),
  );
});

test("names are escaped for the filter that reads captions, and every input is confined", () => {
  const awkward = { url: "https://host:9/it's [1],a?b=c;d", protocols: ["https", "tls"] };
  const text = captionArguments({ input: awkward, originSeconds: 0, file: "c.vtt" });
  const [name, list] = (text[text.indexOf("lavfi") + 2] ?? "").split("format_whitelist=");
  assert.equal(
    name,
    "movie=https\\\\://host\\\\:9/it\\\\\\'s \\[1\\]\\,a?b=c\\;d:format_opts=protocol_whitelist=https\\,tls\\\\:",
  );
  assert.match(list ?? "", /^mov\\,matroska\\,[a-z0-9_,\\]+\[out\+subcc\]$/);
  const confined = [
    rewrapArguments({ input: awkward, file: "x", sound: "copy", audio: null, texts: [] }),
    textArguments({ input: awkward, originSeconds: 0, outputs: [] }),
    soundArguments({ input: awkward, originSeconds: 0, durationSeconds: 1, tracks: [], file: "x" }),
    chunkArguments({ ...options, input: awkward }, []),
  ];
  for (const args of confined) {
    assert.equal(args[args.indexOf("-protocol_whitelist") + 1], "https,tls");
    assert.doesNotMatch(args[args.indexOf("-format_whitelist") + 1] ?? "hls", /hls|concat|dash|image2|lavfi/);
    assert.ok(args.indexOf("-protocol_whitelist") < args.indexOf("-i"));
  }
});
