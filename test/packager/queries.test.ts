/** Query strings that nobody should send: each is understood, ignored, or refused in words. */
import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { startTestPackager } from "../../actors/packager/packager.fixture.ts";
import { makeInput, sharedMediaDir } from "../media/make.ts";
import { playlistProblems } from "../support/hls-grammar.ts";
import { tempDir } from "../support/platform.ts";
import { type Random, seeded } from "../support/seeded.ts";
import { rawGet } from "./raw.ts";

const startWithFilm = async (t: TestContext): Promise<string> => {
  const folder = await tempDir(t);
  copyFileSync(await makeInput("moov-first", await sharedMediaDir()), join(folder, "film.mp4"));
  return (await startTestPackager(t, { folder, env: { CASTERPAK_OUTPUT_SEGMENTDURATION: "2" } })).url;
};

const EMPTY_SET = 404;
/** On masters and media playlists; null: nothing that a media playlist looks at, so that it is 200. */
const MASTER: Readonly<Record<string, number>> = {
  "b=": 400,
  "b=x": 400,
  "b=-1": 400,
  "b=5-1": 400,
  "b=0-999999999": 200,
  "b=0-9999999999": 400,
  "b=1e9": 400,
  [`b=${"1,".repeat(99)}1`]: EMPTY_SET,
  [`b=${"1,".repeat(100)}1`]: 400,
  [`b=${"9".repeat(8_000)}`]: 400,
  "b=1&b=0-": EMPTY_SET, // the first one counts
  "b=0-&b=x": 200,
  "__b__=": 400,
  "__b__=-5": 400,
  "__b__=999999999": 200,
  "__a__=maybe": 400,
  "__a__=on&__a__=maybe": 200,
  "bwcorrection=": 400,
  "bwcorrection=101": 400,
  "bwcorrection=-100": 200,
  "bwcorrection=NaN": 400,
  [`bwcorrection=${"1+".repeat(1_000)}1`]: 400,
  "attributes=OFF": 400,
  "attributes=": 400,
  "set-akamai-hls-revision=": 400,
  "set-akamai-hls-revision=99": 200,
  "set-akamai-hls-revision=100": 400,
  "start=0": 200,
  "start=-1": 400,
  "start=NaN": 400,
  "start=1e3": 400,
  "start=Infinity": 400,
  "start=999999999": 400,
  "start=0x2": 400,
  "start=3&end=3": 400,
  "start=3&end=2": 400,
  "end=5": 400,
  "start=0&end=999999999": 200,
  "start=0.0000000001": 400,
  "start=2&start=NaN": 200,
  "subtitle_identifier=": 400,
  "subtitle_file_pattern=": 400,
  "subtitle_file_pattern=langcodelangcode": 400,
  "subtitle_file_pattern=langcode_identifier.exe": 200,
  [`subtitle_file_pattern=langcode${"_".repeat(20)}identifier`]: 400,
  "": 200,
  "&&&=&=&": 200,
  "%": 200,
  "%zz=%zz": 200,
  "%00=%00": 200,
  "constructor=1&__proto__=2&toString=3": 200,
  [`x=${"y".repeat(8_000)}`]: 200,
  [Array.from({ length: 2_000 }, (_, n) => `a${n}`)
    .join("&")
    .slice(0, 8_000)]: 200,
  [`x=${"y".repeat(8_300)}`]: 414,
  "?": 200,
  "hdnts=": 200,
  "hdntl=exp=1~acl=/*~hmac=00": 200,
};

test("values that make no sense are refused by name, what is unknown is ignored, and the first of several counts", async (t) => {
  const url = await startWithFilm(t);
  const statuses: Record<string, number> = {};
  for (const query of Object.keys(MASTER)) {
    const { status, body } = await rawGet(url, `/i/film.mp4/master.m3u8?${query}`);
    statuses[query] = status;
    if (status === 200) assert.deepEqual(playlistProblems(body.toString()), [], query.slice(0, 100));
    if (status === 400) assert.match(body.toString(), /"code":"QUERY_REFUSED"/, query.slice(0, 100));
  }
  const wrong = Object.keys(MASTER).filter((query) => statuses[query] !== MASTER[query]);
  const told = wrong.map((query) => `${query.slice(0, 60)}: ${statuses[query]}, not ${MASTER[query]}`);
  assert.deepEqual(told, []);
});

test("a segment has the bytes of its name, whatever its query says besides; another version is gone", async (t) => {
  const url = await startWithFilm(t);
  const segment = "/i/film.mp4/segment2_0_av.ts";
  const { body } = await rawGet(url, segment);
  for (const query of ["x=1", "start=4", "b=1", "%", "vv=1", "V=1", `x=${"y".repeat(8_000)}`]) {
    const answer = await rawGet(url, `${segment}?${query}`);
    assert.ok(answer.status === 200 && answer.body.equals(body), query.slice(0, 60));
  }
  for (const query of ["v=", "v=0", "v=00000000", `v=${"f".repeat(8_000)}`, "v=%00", "x=1&v=0", "v=0&v=1"])
    assert.equal((await rawGet(url, `${segment}?${query}`)).status, 404, query.slice(0, 60));
});

const NAMES = "b __b__ __a__ bwcorrection start end attributes set-akamai-hls-revision subtitle_location v x".split(
  " ",
);
const VALUES = [
  "",
  "0",
  "1",
  "-1",
  "off",
  "on",
  "0-",
  "5+10",
  "1,2",
  "NaN",
  "%",
  "%00",
  "%ff",
  "é",
  "/",
  "..",
  "4",
  "5",
];

const queryOf = ({ int }: Random): string =>
  Array.from({ length: int(5) }, () => {
    const value = Array.from({ length: 1 + int(3) }, () => VALUES[int(VALUES.length)]).join(int(2) === 0 ? "" : "-");
    return `${NAMES[int(NAMES.length)]}${int(8) === 0 ? "" : "="}${value}`;
  }).join("&");

test("no query makes an error of the server", async (t) => {
  const url = await startWithFilm(t);
  const leaves = [
    "master.m3u8",
    "cmaf.m3u8",
    "manifest.mpd",
    "index_0_av.m3u8",
    "iframes_0_v.m3u8",
    "segment1_0_v.m4s",
  ];
  const statuses: Record<number, number> = {};
  for (let seed = 1; seed <= 1_000; seed += 1) {
    const random = seeded(seed);
    const target = `/i/film.mp4/${leaves[random.int(leaves.length)]}?${queryOf(random)}`;
    const { status, body } = await rawGet(url, target);
    statuses[status] = (statuses[status] ?? 0) + 1;
    assert.ok([200, 400, 404].includes(status), `seed ${seed}: ${target}: ${status} ${body}`);
    if (status === 200 && target.includes("m3u8")) assert.deepEqual(playlistProblems(body.toString()), [], target);
  }
  t.diagnostic(JSON.stringify(statuses));
  assert.ok((statuses[200] ?? 0) > 100 && (statuses[400] ?? 0) > 100);
});
