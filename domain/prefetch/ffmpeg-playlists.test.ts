import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { type PlaylistKind, playlistSegments } from "./playlist-segments.ts";

const run = promisify(execFile);
const DEADLINE_MS = 60_000;
const SOURCE = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=10:duration=9.5"];
const SOUND = ["-f", "lavfi", "-i", "sine=duration=9.5"];
const VIDEO = ["-c:v", "mpeg4", "-g", "20", "-threads", "1"];

interface Writing {
  readonly kind: PlaylistKind;
  readonly playlist: string;
  readonly args: readonly string[];
}

const writings: readonly Writing[] = [
  { kind: "hls", playlist: "a.m3u8", args: ["-f", "hls", "-hls_playlist_type", "vod", "-hls_time", "2"] },
  {
    kind: "hls",
    playlist: "b.m3u8",
    args: ["-f", "hls", "-hls_playlist_type", "vod", "-hls_time", "2", "-hls_segment_type", "fmp4"],
  },
  { kind: "dash", playlist: "c.mpd", args: ["-f", "dash", "-seg_duration", "2"] },
  { kind: "dash", playlist: "d.mpd", args: ["-f", "dash", "-seg_duration", "2", "-use_timeline", "0"] },
  { kind: "dash", playlist: "e.mpd", args: ["-f", "dash", "-seg_duration", "2", "-use_template", "0"] },
];

/** ffmpeg is the judge: what it wrote beside the playlist is what the playlist lists. */
const assertListed = async ({ kind, playlist, args }: Writing): Promise<void> => {
  const folder = await mkdtemp(path.join(tmpdir(), "playlist-"));
  try {
    const inputs = kind === "dash" ? [...SOURCE, ...SOUND] : SOURCE;
    const codecs = kind === "dash" ? [...VIDEO, "-c:a", "aac"] : VIDEO;
    const { path: ffmpeg } = await findFfmpeg(null);
    await run(ffmpeg, ["-v", "error", ...inputs, ...codecs, ...args, playlist], {
      cwd: folder,
      timeout: DEADLINE_MS,
    });
    const text = await readFile(path.join(folder, playlist), "utf8");
    const renditions = playlistSegments({ host: "h.example", target: `/x/${playlist}`, kind, text });
    const files = (await readdir(folder)).filter((name) => name !== playlist).map((name) => `/x/${name}`);
    assert.deepEqual(renditions.flat().sort(), files.sort(), text);
    assert.equal(renditions.length, kind === "dash" ? 2 : 1);
    assert.ok(renditions.every((rendition) => rendition.length >= 5));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

for (const writing of writings) {
  test(`the segments of ${writing.args.join(" ")} are the files that ffmpeg wrote`, () => assertListed(writing));
}
