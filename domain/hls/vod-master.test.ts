import assert from "node:assert/strict";
import { test } from "node:test";
import HLS from "hls-parser";
import { attributesOf, playlistProblems } from "../../test/support/hls-grammar.ts";
import { renditionOf } from "../../test/support/rendition.ts";
import { parseQuery } from "../csmil/query.ts";
import { ascending, variantsOf } from "../csmil/variants.ts";
import type { Rendition } from "../vod/rendition.ts";
import type { SubtitleTrack } from "./vod-groups.ts";
import { type MasterOptions, vodMasterPlaylist } from "./vod-master.ts";

HLS.setOptions({ strictMode: true });

const OPTIONS: MasterOptions = {
  container: "ts",
  revision: 0,
  attributes: true,
  children: "file",
  base: "",
  childManifestFilename: "index_0_av.m3u8",
  query: "",
  subtitles: [],
  sessionKeys: [],
};
/** The playlist as a client gets it for a query; every one is judged by two parsers. */
const masterOf = (set: readonly Rendition[], query = "", options: Partial<MasterOptions> = {}): string => {
  const asked = parseQuery(query);
  if ("refusal" in asked) return assert.fail(asked.reason);
  const { attributes, revision } = asked;
  const text = vodMasterPlaylist(variantsOf(ascending(set), asked), { ...OPTIONS, attributes, revision, ...options });
  assert.deepEqual(playlistProblems(text), []);
  const parsed = HLS.parse(text);
  assert.ok(parsed.isMasterPlaylist);
  return text;
};
const crlf = (text: string): string => text.replaceAll("\n", "\r\n");

const README: readonly Rendition[] = (
  [
    ["highdef", 1_156_684, 1_280, 720],
    ["medium", 741_318, 960, 540],
    ["low", 622_044, 854, 480],
  ] as const
).map(([name, muxedPeakBps, width, height]) =>
  renditionOf({
    uri: `http://this_application/i/my_video_${name}.mp4`,
    muxedPeakBps,
    muxedAverageBps: muxedPeakBps - 100_000,
    video: { size: [width, height], peakBps: muxedPeakBps - 130_000, averageBps: muxedPeakBps - 230_000 },
  }),
);

test("the default playlist of the README's set is the README's, whole, with its CRLF line ends", () => {
  assert.equal(
    masterOf(README),
    crlf(`#EXTM3U
#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=622044,RESOLUTION=854x480
http://this_application/i/my_video_low.mp4/index_0_av.m3u8
#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=741318,RESOLUTION=960x540
http://this_application/i/my_video_medium.mp4/index_0_av.m3u8
#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=1156684,RESOLUTION=1280x720
http://this_application/i/my_video_highdef.mp4/index_0_av.m3u8
`),
  );
});

test("children are below the files under the configured name, or below the set by their number", () => {
  const set = [
    renditionOf({ uri: "../b.mp4", muxedPeakBps: 2e6 }),
    renditionOf({ uri: "../a.mp4", muxedPeakBps: 1e6 }),
  ];
  const urisOf = (options: Partial<MasterOptions>, query = "") =>
    masterOf(set, query, options)
      .split("\r\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
  assert.deepEqual(urisOf({}), ["../a.mp4/index_0_av.m3u8", "../b.mp4/index_0_av.m3u8"]);
  assert.deepEqual(urisOf({ childManifestFilename: "media.m3u8", query: "start=30" }), [
    "../a.mp4/media.m3u8?start=30",
    "../b.mp4/media.m3u8?start=30",
  ]);
  assert.deepEqual(urisOf({ children: "set" }), ["index_0_av.m3u8", "index_1_av.m3u8"]);
  assert.deepEqual(urisOf({ children: "set", base: "https://h/i/s.smil/" }, "__b__=2000"), [
    "https://h/i/s.smil/index_1_av.m3u8",
    "https://h/i/s.smil/index_0_av.m3u8",
  ]);
});

test("each query of C-61 to C-67 makes of the README's set what the guide says, whole", () => {
  const child = (name: string) => `http://this_application/i/my_video_${name}.mp4/`;
  const low = "#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=622044,RESOLUTION=854x480\n";
  const high = "#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=1156684,RESOLUTION=1280x720\n";
  const medium = "#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=741318,RESOLUTION=960x540\n";
  const av = "index_0_av.m3u8\n";
  const cases: Readonly<Record<string, string>> = {
    "b=622,1100": `#EXTM3U\n${low}${child("low")}${av}${high}${child("highdef")}${av}`,
    "b=700-": `#EXTM3U\n${medium}${child("medium")}${av}${high}${child("highdef")}${av}`,
    "b=0-741": `#EXTM3U\n${low}${child("low")}${av}${medium}${child("medium")}${av}`,
    "__b__=1200&b=0-622,1157-": `#EXTM3U\n${high}${child("highdef")}${av}${low}${child("low")}${av}`,
    "b=622&__a__=on": `#EXTM3U\n${low}${child("low")}${av}#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=130000,\
CODECS="mp4a.40.2"
${child("low")}index_0_a.m3u8\n`,
    "bwcorrection=10 -50 0": `#EXTM3U
#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=684248,RESOLUTION=854x480
${child("low")}${av}#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=370659,RESOLUTION=960x540
${child("medium")}${av}${high}${child("highdef")}${av}`,
    "b=622&bwcorrection=-100": `#EXTM3U
#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=1,RESOLUTION=854x480\n${child("low")}${av}`,
    "attributes=off&__a__=on": `#EXTM3U
#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=622044\n${child("low")}${av}#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=741318
${child("medium")}${av}#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=1156684
${child("highdef")}${av}#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=130000
${child("low")}index_0_a.m3u8\n`,
    "b=622&set-akamai-hls-revision=4": `#EXTM3U
#EXT-X-VERSION:3
#EXT-X-STREAM-INF:BANDWIDTH=622044,AVERAGE-BANDWIDTH=522044,RESOLUTION=854x480,CLOSED-CAPTIONS=NONE
${child("low")}${av}`,
    "b=622&set-akamai-hls-revision=5": `#EXTM3U
#EXT-X-VERSION:4
#EXT-X-STREAM-INF:BANDWIDTH=622044,AVERAGE-BANDWIDTH=522044,RESOLUTION=854x480,CODECS="avc1.64001f,mp4a.40.2",\
CLOSED-CAPTIONS=NONE
${child("low")}${av}#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=492044,AVERAGE-BANDWIDTH=392044,RESOLUTION=854x480,\
CODECS="avc1.64001f",URI="${child("low")}iframes_0_v.m3u8"
`,
    "b=622&set-akamai-hls-revision=5&attributes=off": `#EXTM3U
#EXT-X-VERSION:4\n#EXT-X-STREAM-INF:BANDWIDTH=622044\n${child("low")}${av}`,
  };
  for (const [query, text] of Object.entries(cases)) assert.equal(masterOf(README, query), crlf(text), query);
});

test("the CMAF playlist, whole: audio in a group that alike files share, key frames by themselves", () => {
  const set = [
    renditionOf({
      uri: "../a.mp4",
      video: { size: [640, 360], sampleAspectRatio: [4, 3], frameRate: [30_000, 1_001] },
    }),
    renditionOf({
      uri: "../b.mp4",
      video: { peakBps: 3_000_000, averageBps: 2_500_000, codecs: "hvc1.1.6.L93.B0" },
      audio: [{ averageBps: 125_000 }],
    }),
  ];
  assert.equal(
    masterOf(set, "", { container: "fmp4", children: "set", query: "start=30" }),
    crlf(`#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio0",NAME="Audio 1",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",\
URI="cmaf_0_a.m3u8?start=30"
#EXT-X-STREAM-INF:BANDWIDTH=1130000,AVERAGE-BANDWIDTH=928000,RESOLUTION=853x360,CODECS="avc1.64001f,mp4a.40.2",\
FRAME-RATE=29.970,AUDIO="audio0",CLOSED-CAPTIONS=NONE
cmaf_0_v.m3u8?start=30
#EXT-X-STREAM-INF:BANDWIDTH=3130000,AVERAGE-BANDWIDTH=2628000,RESOLUTION=1280x720,CODECS="hvc1.1.6.L93.B0,mp4a.40.2",\
FRAME-RATE=25.000,AUDIO="audio0",CLOSED-CAPTIONS=NONE
cmaf_1_v.m3u8?start=30
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1000000,AVERAGE-BANDWIDTH=800000,RESOLUTION=853x360,CODECS="avc1.64001f",\
URI="cmaf_iframes_0_v.m3u8?start=30"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=3000000,AVERAGE-BANDWIDTH=2500000,RESOLUTION=1280x720,CODECS="hvc1.1.6.L93.B0",\
URI="cmaf_iframes_1_v.m3u8?start=30"
`),
  );
});

const SUBTITLES: readonly SubtitleTrack[] = [
  { id: 0, language: "en", name: "English", isDefault: true, autoselect: false, forced: false },
  { id: 1, language: "zh-Hant", name: "", isDefault: false, autoselect: true, forced: true },
];

test("several audio tracks and subtitles, whole: the first is in the stream, the others have their own lists", () => {
  const audio = [{ language: "en", name: "Main" }, { language: "fr" }, { language: "fr", peakBps: 200_000 }];
  const set = [
    renditionOf({ uri: "../a.mp4", audio }),
    renditionOf({ uri: "../b.mp4", audio, muxedPeakBps: 5_000_000 }),
  ];
  assert.equal(
    masterOf(set, "", { subtitles: SUBTITLES }),
    crlf(`#EXTM3U
#EXT-X-VERSION:4
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio0",NAME="Main",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio0",NAME="fr",LANGUAGE="fr",DEFAULT=NO,AUTOSELECT=YES,CHANNELS="2",\
URI="../a.mp4/index_0_a2.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio0",NAME="fr 2",LANGUAGE="fr",DEFAULT=NO,AUTOSELECT=YES,CHANNELS="2",\
URI="../a.mp4/index_0_a3.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,FORCED=NO,\
URI="subtitle_0_en.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subtitles",NAME="zh-Hant",LANGUAGE="zh-Hant",DEFAULT=NO,AUTOSELECT=YES,\
FORCED=YES,\
URI="subtitle_1_zh-Hant.m3u8"
#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=1330000,RESOLUTION=1280x720,AUDIO="audio0",SUBTITLES="subtitles"
../a.mp4/index_0_av.m3u8
#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=5200000,RESOLUTION=1280x720,AUDIO="audio0",SUBTITLES="subtitles"
../b.mp4/index_0_av.m3u8
`),
  );
  const bare = masterOf(set, "attributes=off", { subtitles: SUBTITLES });
  assert.doesNotMatch(bare, /EXT-X-MEDIA|AUDIO|SUBTITLES/);
});

test("audio that is another one has its own group; videos without sound take the set's audio files", () => {
  const groupsOf = (text: string) =>
    [...text.matchAll(/#EXT-X-STREAM-INF:([^\r]*)/g)].map(([, list = ""]) => attributesOf(list).get("AUDIO"));
  const cheap = renditionOf({ uri: "a", audio: [{ codecs: "mp4a.40.5", averageBps: 48_000 }] });
  const dear = renditionOf({ uri: "b", muxedPeakBps: 4_000_000 });
  assert.deepEqual(groupsOf(masterOf([cheap, dear], "", { container: "fmp4" })), ['"audio0"', '"audio1"']);

  const silent = renditionOf({ uri: "v", audio: [], muxedPeakBps: 3_000_000, video: { peakBps: 3_000_000 } });
  const sound = (averageBps: number) =>
    renditionOf({ uri: `s${averageBps}`, video: null, audio: [{ averageBps, peakBps: averageBps }] });
  const set = [silent, sound(64_000), sound(128_000)];
  const ts = masterOf(set);
  assert.match(ts, /TYPE=AUDIO,GROUP-ID="audio0",.*URI="s128000\/index_0_a.m3u8"/);
  assert.match(ts, /BANDWIDTH=3128000,RESOLUTION=1280x720,AUDIO="audio0"\r\nv\/index_0_av.m3u8/);
  assert.match(ts, /BANDWIDTH=64000,CODECS="mp4a.40.2"\r\ns64000\/index_0_av.m3u8/);
  const cmaf = masterOf(set, "", { container: "fmp4" });
  assert.match(
    cmaf,
    /BANDWIDTH=3128000,.*CODECS="avc1.64001f,mp4a.40.2",FRAME-RATE=25.000,AUDIO="audio0".*\r\nv\/cmaf_0_v/,
  );
  assert.match(cmaf, /CODECS="mp4a.40.2",CLOSED-CAPTIONS=NONE\r\ns64000\/cmaf_0_a.m3u8/);
  assert.doesNotMatch(masterOf([silent]), /AUDIO/);
  assert.match(masterOf([silent]), /BANDWIDTH=3000000,RESOLUTION=1280x720,CODECS="avc1.64001f"\r\n/);
  assert.match(masterOf([silent], "", { container: "fmp4" }), /BANDWIDTH=3000000,.*CODECS="avc1.64001f"/);
});

test("closed captions are told where they are known, and NONE only where there are none at all", () => {
  const [with608, without] = [
    renditionOf({ uri: "a", closedCaptions: true }),
    renditionOf({ uri: "b", muxedPeakBps: 9e6 }),
  ];
  const text = masterOf([with608, without], "set-akamai-hls-revision=4");
  assert.match(text, /#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC1",INSTREAM-ID="CC1"/);
  assert.match(text, /CLOSED-CAPTIONS="cc"\r\na\//);
  assert.doesNotMatch(text, /NONE/);
  assert.doesNotMatch(masterOf([with608]), /CAPTIONS/);
  assert.equal(masterOf([without, without], "set-akamai-hls-revision=4").match(/CLOSED-CAPTIONS=NONE/g)?.length, 2);
});

test("session keys are announced, with the version that they need", () => {
  const sessionKeys = [
    {
      method: "SAMPLE-AES",
      uri: "skd://x",
      iv: null,
      keyFormat: "com.apple.streamingkeydelivery",
      keyFormatVersions: "1",
    },
  ] as const;
  const text = masterOf(README, "", { container: "fmp4", sessionKeys });
  assert.match(
    text,
    /#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd:\/\/x",KEYFORMAT="com.apple.streamingkeydelivery",KEYF.*="1"/,
  );
  assert.match(
    masterOf(README, "", { sessionKeys: [{ method: "AES-128", uri: "key_0.bin", iv: null }] }),
    /^#EXTM3U\r\n#EXT-X-SESSION-KEY/,
  );
  const key = { method: "AES-128", uri: "key_0.bin", iv: () => "00" } as const;
  assert.equal(
    masterOf(README, "", { sessionKeys: [key, key] })
      .match(/#EXT-X-SESSION-KEY.*/g)
      ?.join(),
    '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="key_0.bin"',
  );
  const constant = { ...sessionKeys[0], iv: "000102030405060708090a0b0c0d0e0f" };
  assert.match(
    masterOf(README, "", { sessionKeys: [constant] }),
    /^#EXTM3U\r\n#EXT-X-VERSION:5\r\n#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd:\/\/x",IV=0x0001\w{28},KEYFORMAT=/,
  );
});

test("I-frame playlists are told with rates of key frames where those were counted, of the container that is named", () => {
  const rendition = renditionOf();
  const ts = { peakBps: 240_000.4, averageBps: 200_000 };
  const fmp4 = { peakBps: 220_000, averageBps: 180_000 };
  const set = [{ ...rendition, video: { ...rendition.video!, keyFrameRates: { ts, fmp4 } } }];
  const told = (query: string, container: "ts" | "fmp4") =>
    /I-FRAME-STREAM-INF:(BANDWIDTH=\d+,AVERAGE-BANDWIDTH=\d+)/.exec(masterOf(set, query, { container }))?.[1];
  assert.equal(told("set-akamai-hls-revision=5", "ts"), "BANDWIDTH=240000,AVERAGE-BANDWIDTH=200000");
  assert.equal(told("", "fmp4"), "BANDWIDTH=220000,AVERAGE-BANDWIDTH=180000");
});

test("without attributes CMAF has its sound within the video's stream, and the rate of both", () => {
  const muxedFmp4 = { peakBps: 1_110_000, averageBps: 900_000 };
  const told = (rendition: Rendition) =>
    masterOf([rendition], "attributes=off", { container: "fmp4", children: "set" });
  const head = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:";
  assert.equal(told({ ...renditionOf(), muxedFmp4 }), crlf(`${head}BANDWIDTH=1110000\ncmaf_0_av.m3u8\n`));
  assert.equal(told(renditionOf()), crlf(`${head}BANDWIDTH=1130000\ncmaf_0_av.m3u8\n`));
  assert.equal(told(renditionOf({ video: null })), crlf(`${head}BANDWIDTH=130000\ncmaf_0_a.m3u8\n`));
});

test("audio that has no place in the container is in no group, and its file's picture is listed all the same", () => {
  const audio = [{ language: "en" }, { language: "de", codecs: "Opus" }, { language: "fr" }];
  const [first] = [renditionOf({ uri: "../a.mp4", audio })];
  const isOffered: MasterOptions["isOffered"] = ({ rendition }, n) => rendition.audio[n]?.codecs !== "Opus";
  const languages = (set: readonly Rendition[]) =>
    [...masterOf(set, "", { isOffered }).matchAll(/LANGUAGE="(\w+)".*?(?:URI="([^"]+)")?\r$/gm)].map(
      ([, ...found]) => found,
    );
  assert.deepEqual(languages([first]), [
    ["en", undefined],
    ["fr", "../a.mp4/index_0_a3.m3u8"],
  ]);
  const silent = renditionOf({ uri: "v", audio: [], muxedPeakBps: 3_000_000, video: { peakBps: 3_000_000 } });
  const alone = renditionOf({ uri: "a", video: null, audio: [{ codecs: "Opus" }] });
  assert.doesNotMatch(masterOf([alone, silent], "", { isOffered }), /EXT-X-MEDIA|AUDIO=/);
});
