import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { ALL_FORMATS, BufferSource, EncodedPacketSink, Input } from "mediabunny";
import { fragmented } from "../../test/support/fragmented.ts";
import { frameLines, mediaFile, openBytes, runFfmpeg } from "../../test/support/media-file.ts";
import { initSegment } from "./init-segment.ts";
import { packedLanguage, threeLetterLanguage } from "./language.ts";
import type { Movie, Track } from "./movie.ts";
import { childrenOf, findBox } from "./walk.ts";

const OFFSET_SECONDS = 10;
const VIDEO = "-f lavfi -i testsrc2=s=192x108:r=25";
const AUDIO = "-f lavfi -i sine=r=48000";
const BOTH = `${VIDEO} ${AUDIO} -t 2`;
const X264 = "-c:v libx264 -bf 2 -g 25 -preset veryfast";

const INPUTS: readonly (readonly [name: string, args: string])[] = [
  ["B-frames, AAC, languages and a name", `${BOTH} ${X264} -metadata:s:a language=deu -metadata:s:a title=Ton -f mp4`],
  [
    "29.97 frames/s, mono, 44.1 kHz",
    `-f lavfi -i testsrc2=s=64x64:r=30000/1001 ${AUDIO} -t 2 ${X264} -ac 1 -ar 44100 -f mp4`,
  ],
  ["variable frame rate", `${BOTH} -vf select=mod(n\\,3)+lt(mod(n\\,7)\\,2) -fps_mode vfr ${X264} -f mp4`],
  ["open GOP and 10 bits", `${BOTH} -pix_fmt yuv420p10 ${X264} -x264-params open-gop=1 -f mp4`],
  ["turned by 90 degrees", `-display_rotation 90 ${BOTH} ${X264} -f mp4`],
  [
    "anamorphic, odd size",
    `-f lavfi -i testsrc2=s=177x99:r=25 ${AUDIO} -t 2 -vf setsar=16/11 -pix_fmt yuv444p ${X264} -f mp4`,
  ],
  ["HEVC as hvc1, 5.1", `${BOTH} -c:v libx265 -x265-params log-level=none -tag:v hvc1 -ac 6 -f mp4`],
  ["HEVC as hev1, AC-3", `${BOTH} -c:v libx265 -x265-params log-level=none -tag:v hev1 -c:a ac3 -f mp4`],
  ["AV1, Opus", `${BOTH} -c:v libaom-av1 -cpu-used 8 -usage realtime -c:a libopus -f mp4`],
  ["VP9, FLAC", `${BOTH} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a flac -f mp4`],
  ["E-AC-3 alone", `${AUDIO} -t 2 -c:a eac3 -f mp4`],
  ["MP3, no picture", `${AUDIO} -t 2 -c:a libmp3lame -f mp4`],
  ["QuickTime", `${BOTH} ${X264} -f mov`],
  ["every frame a key frame", `${BOTH} ${X264} -g 1 -f mp4`],
  ["fragmented", `${BOTH} ${X264} -movflags frag_keyframe+empty_moov -f mp4`],
  ["timescale 10^7", `${BOTH} ${X264} -video_track_timescale 10000000 -f mp4`],
  ["late audio", `${VIDEO} -itsoffset 0.7 ${AUDIO} -t 2 ${X264} -f mp4`],
];

const tracksOf = ({ video, audio }: Movie): Track[] => [...video, ...audio];

interface Packet {
  readonly dts: number;
  readonly pts: number;
  readonly md5: string;
}
/** Packets of each stream as ffmpeg's demuxer gives them, without durations, which it guesses for fragments. */
const packetsOf = async (file: Buffer): Promise<Packet[][]> => {
  const streams: Packet[][] = [];
  for (const line of await frameLines("-copyts -i in -map 0:v? -map 0:a? -c copy -f framemd5 -", file)) {
    const [stream = "", dts, pts, , , md5 = ""] = line.split(",").map((field) => field.trim());
    streams[Number(stream)] ??= [];
    streams[Number(stream)]?.push({ dts: Number(dts), pts: Number(pts), md5 });
  }
  return streams;
};
/** What ffmpeg prints of streams, without what it guesses from the first pictures. */
const streamTexts = async (file: Buffer): Promise<string[]> => {
  const { stderr } = await runFfmpeg("-i in -map 0:v? -map 0:a? -c copy -t 0.1 -f null -", file);
  const [input = ""] = stderr.split("Output #0");
  const lines = input.split("\n").filter((line) => /Stream #|displaymatrix|^ {6}handler_name/.test(line));
  return lines.map((line) =>
    line
      .replaceAll(/, [\d.]+k? (kb\/s|fps|tbr)/g, "")
      .replace(/\[0x\w+\]|,? ?progressive|\(und\)/g, "")
      .replace(/ \((default|forced)\)/g, ""),
  );
};

for (const [name, args] of INPUTS) {
  test(`fragments have the file's packets, ten seconds later, and its pictures: ${name}`, async () => {
    const file = await mediaFile(args);
    const tracks = tracksOf(await openBytes(file));
    const packets = await packetsOf(file);
    const shifted = packets.map((stream, index) => {
      const ticks = OFFSET_SECONDS * (tracks[index]?.timescale ?? 0);
      return stream.map((packet) => ({ ...packet, dts: packet.dts + ticks, pts: packet.pts + ticks }));
    });
    const muxed = fragmented(file, tracks);
    assert.deepEqual(await packetsOf(muxed), shifted);
    for (const [index, track] of tracks.entries())
      assert.deepEqual(await packetsOf(fragmented(file, [track], 4)), [shifted[index]]);
    assert.deepEqual(await streamTexts(muxed), await streamTexts(file));
    if (tracks[0]?.codec.kind !== "video") return;
    const pictures = async (bytes: Buffer): Promise<(string | undefined)[]> =>
      (await frameLines("-i in -map 0:v -fps_mode passthrough -f framemd5 -", bytes)).map((line) =>
        line.split(",").at(-1),
      );
    assert.deepEqual(await pictures(muxed), await pictures(file));
  });
}

const md5Of = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

test("another reader, mediabunny, sees the same tracks and packets", async () => {
  const file = await mediaFile(INPUTS[0]?.[1] ?? "");
  const tracks = tracksOf(await openBytes(file));
  const input = new Input({ source: new BufferSource(fragmented(file, tracks)), formats: ALL_FORMATS });
  const [video, audio] = [await input.getPrimaryVideoTrack(), await input.getPrimaryAudioTrack()];
  assert.deepEqual([await video?.getCodec(), await audio?.getCodec()], ["avc", "aac"]);
  for (const [index, track] of [video, audio].entries()) {
    const source = tracks[index] ?? assert.fail();
    const seen: string[] = [];
    const sink = new EncodedPacketSink(track ?? assert.fail("no track"));
    for await (const packet of sink.packets())
      seen.push(`${(packet.timestamp - OFFSET_SECONDS).toFixed(5)} ${packet.type} ${md5Of(packet.data)}`);
    const { table, timescale, shift } = source;
    const { size, offset, sync } = table.samples(0, table.sampleCount);
    assert.deepEqual(
      seen,
      Array.from(size, (bytes, i) => {
        const md5 = md5Of(file.subarray(offset[i], (offset[i] ?? 0) + bytes));
        return `${((table.ptsOf(i) + shift) / timescale).toFixed(5)} ${sync[i] ? "key" : "delta"} ${md5}`;
      }),
    );
  }
});

test("an init segment is of one track or of several, and has no samples", async () => {
  const tracks = tracksOf(await openBytes(await mediaFile(INPUTS[0]?.[1] ?? "")));
  const types = (box: Buffer, offset?: number): string[] => [...childrenOf(box, offset)].map(({ type }) => type);
  const one = initSegment(tracks.slice(0, 1));
  const both = initSegment(tracks);
  assert.deepEqual(
    [types(one, 0), types(both, 0)],
    [
      ["ftyp", "moov"],
      ["ftyp", "moov"],
    ],
  );
  assert.equal(one.toString("latin1", 8, 28), "iso6\0\0\0\0iso6cmfcdash");
  assert.equal(both.toString("latin1", 8, 28), "iso6\0\0\0\0iso6dashmp41");
  assert.deepEqual(types(findBox(both, ["moov"], 0) ?? assert.fail()), ["mvhd", "trak", "trak", "mvex"]);
  assert.deepEqual(types(findBox(both, ["moov", "mvex"], 0) ?? assert.fail()), ["trex", "trex"]);
});

test("an edit list takes off what decode times are later by, so that a segment begins with what is first shown", async () => {
  const args = `${BOTH} ${X264} -x264-params b-pyramid=normal:bframes=3 -video_track_timescale 12800 -f mp4`;
  const file = await mediaFile(args);
  const { video, audio } = await openBytes(file);
  const [picture, sound] = [video[0] ?? assert.fail(), audio[0] ?? assert.fail()];
  const editsOf = (track: Track) => findBox(initSegment([track]), ["moov", "trak", "edts", "elst"], 0);
  assert.equal(
    editsOf(picture)?.toString("hex", 8),
    ["00000000", "00000001", "00000000", "00000400", "00010000"].join(""),
  );
  assert.equal(editsOf(sound), undefined);
  const times: number[] = [];
  for (const { type, box } of childrenOf(fragmented(file, [picture], 2), 0)) {
    if (type !== "moof") continue;
    const tfdt = findBox(box, ["traf", "tfdt"]) ?? assert.fail();
    times.push(Number(tfdt.readBigUInt64BE(12)) / 12_800);
  }
  assert.deepEqual(times, [OFFSET_SECONDS, OFFSET_SECONDS + 1]);
});

test("a language is three letters of ISO 639-2/T; what they can't tell is told beside them", async () => {
  assert.deepEqual(["de", "deu", "pt-BR", "zh-Hant", "und", "", "x-y", "DE", "xx", "yue"].map(threeLetterLanguage), [
    "deu",
    "deu",
    "por",
    "zho",
    "und",
    "und",
    "und",
    "deu",
    "und",
    "yue",
  ]);
  assert.equal(packedLanguage("und"), 0x55c4);
  const [track = assert.fail()] = tracksOf(await openBytes(await mediaFile(INPUTS[0]?.[1] ?? "")));
  const elng = (language: string): string | undefined =>
    findBox(initSegment([{ ...track, language }]), ["moov", "trak", "mdia", "elng"], 0)?.toString("latin1", 12);
  assert.deepEqual([elng("deu"), elng("pt-BR"), elng("de")], [undefined, "pt-BR\0", undefined]);
});
