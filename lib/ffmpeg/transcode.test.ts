import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { codeOf } from "../../contracts/errors.ts";
import { captionArguments, rewrapArguments, soundArguments } from "../../domain/transcode/other-arguments.ts";
import { sourceArguments } from "../../domain/transcode/video-arguments.ts";
import { captionedBy } from "../../test/media/patches.ts";
import { quietLog } from "../log/log.ts";
import { findFfmpeg } from "./binary.ts";
import { PidFiles } from "./pid-files.ts";
import { runTranscode, type TranscodeProgress, type TranscodeTools } from "./transcode.ts";

const ffmpeg = await findFfmpeg(null);
const QUIET = "-hide_banner -nostats -nostdin -loglevel level+info -progress pipe:3 -stats_period 0.1".split(" ");

const toolsOf = async (t: TestContext): Promise<TranscodeTools & { readonly dir: string }> => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-transcode-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return { dir, ffmpeg, pidFiles: new PidFiles(join(dir, "pids")), log: quietLog };
};
const words = (text: string): string[] => text.split(" ");
const args = (text: string): string[] => [...QUIET, ...text.split(" ")];

test("progress is told while it works", async (t) => {
  const tools = await toolsOf(t);
  const seen: TranscodeProgress[] = [];
  const command = args("-f lavfi -i testsrc=s=64x64:r=25:d=4 -f null -");
  await runTranscode(tools, { args: command, signal: t.signal, onProgress: (progress) => seen.push(progress) });
  assert.equal(seen.at(-1)?.frame, 100);
  assert.ok((seen.at(-1)?.outSeconds ?? 0) > 3.5);
});

test("what it said last is the reason, without secrets, and a full disk is another matter", async (t) => {
  const tools = await toolsOf(t);
  const failed = async (text: string) => {
    const error = await runTranscode(tools, { args: args(text), signal: t.signal }).catch((thrown: unknown) => thrown);
    return { code: codeOf(error), message: (error as Error).message };
  };
  const broken = await failed(`-i ${import.meta.filename} -f null -`);
  assert.equal(broken.code, "TRANSCODE_FAILED");
  assert.match(broken.message, /Invalid data/);
  const unplugged = await failed(`-i ${tools.dir}/nothing.mp4 -f null -`); // its object was there a moment ago
  assert.equal(unplugged.code, "OBJECT_STORE_DOWN");
  const full = await failed("-f lavfi -i testsrc=s=640x360:r=25:d=1 -c:v rawvideo -f rawvideo -y /dev/full");
  assert.equal(full.code, "OBJECT_STORE_FULL");
  const away = await failed("-i http://user:secret@127.0.0.1:1/film.mp4?token=secret -f null -");
  assert.equal(away.code, "OBJECT_STORE_DOWN");
  assert.doesNotMatch(JSON.stringify([broken, full, away]), /secret/);
});

test("it is killed at once when it is no longer wanted, and when it does nothing", async (t) => {
  const tools = await toolsOf(t);
  const endless = args("-re -f lavfi -i testsrc=s=64x64:r=25 -f null -");
  const abort = new AbortController();
  const wanted = new Error("no longer wanted");
  const running = runTranscode(tools, { args: endless, signal: abort.signal, onProgress: () => abort.abort(wanted) });
  await assert.rejects(running, wanted);
  await assert.rejects(runTranscode(tools, { args: endless, signal: abort.signal }), wanted);
  // A source that never sends anything.
  const silent = args("-f lavfi -i testsrc=s=64x64:r=25,realtime=speed=0.000001 -f null -");
  await assert.rejects(runTranscode({ ...tools, stallMs: 300 }, { args: silent, signal: t.signal }), {
    code: "TRANSCODE_FAILED",
    message: /it did nothing for/,
  });
  // Work that says nothing for long is left alone for as long as it asks: here for a second, while nothing is seen.
  const late = args("-f lavfi -i testsrc=s=64x64:r=1:d=2,realtime,trim=start_frame=1 -f null -");
  await runTranscode({ ...tools, stallMs: 100 }, { args: late, signal: t.signal, stallMs: 60_000 });
  await assert.rejects(runTranscode({ ...tools, stallMs: 60_000 }, { args: silent, signal: t.signal, stallMs: 300 }), {
    code: "TRANSCODE_FAILED",
  });
});

test("reading captions goes on visibly where nobody says anything", async (t) => {
  const tools = await toolsOf(t);
  const [plain, captioned] = [join(tools.dir, "plain.h264"), join(tools.dir, "captioned.h264")];
  const made = "-f lavfi -i testsrc=s=64x64:r=10:d=20 -c:v libx264 -bf 0 -bsf:v h264_metadata=aud=insert -f h264";
  await runTranscode(tools, { args: [...args(made), plain], signal: t.signal });
  const first = captionedBy((frame) => (frame < 5 ? ["9420"] : null));
  await writeFile(captioned, first(await readFile(plain)));
  const film = join(tools.dir, "film.mp4");
  await runTranscode(tools, { args: [...args(`-r 10 -f h264 -i ${captioned} -c copy`), film], signal: t.signal });
  const from = { input: { url: film, protocols: ["file"] }, originSeconds: 0, file: join(tools.dir, "raw") };
  let last: number | null = null;
  await runTranscode(tools, {
    args: captionArguments(from),
    signal: t.signal,
    onProgress: ({ frame }) => {
      last = frame;
    },
  });
  assert.equal(last, 200);
});

test("whoever reads a source opens no playlist, which would name other files", async (t) => {
  const tools = await toolsOf(t);
  const film = join(tools.dir, "film.ts");
  const made = "-f lavfi -i testsrc=s=64x64:r=25:d=1 -f lavfi -i sine=d=1 -c:v libx264 -c:a aac -f mpegts";
  await runTranscode(tools, { args: [...args(made), film], signal: t.signal });
  const playlist = join(tools.dir, "list.m3u8");
  await writeFile(playlist, `#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n${film}\n#EXT-X-ENDLIST\n`);
  const file = join(tools.dir, "out");
  const readers = (url: string): readonly string[][] => {
    const from = { input: { url, protocols: ["file"] }, originSeconds: 0, file };
    const track = { language: "und", name: "", channels: 2, isDefault: true } as const;
    return [
      captionArguments(from),
      rewrapArguments({ ...from, sound: "copy", audio: null, texts: [] }),
      soundArguments({ ...from, durationSeconds: 1, tracks: [{ ...track, streamIndex: 1 }] }),
      [...QUIET, ...sourceArguments(from.input, from), ...words("-f null -")],
    ];
  };
  // Of captions there are none in it: only that it was opened is of interest.
  const isOpened = (command: readonly string[]): Promise<boolean> =>
    runTranscode(tools, { args: command, signal: t.signal }).then(
      () => true,
      (error: unknown) => /subcc|matches no streams|received no packets/.test((error as Error).message),
    );
  const withPlaylists = (command: readonly string[]): string[] =>
    command.map((word) => word.replace(/mov(\\?,)matroska/, "hls$1mov$1matroska"));
  for (const command of readers(film)) assert.equal(await isOpened(command), true, command.join(" "));
  for (const command of readers(playlist)) {
    assert.equal(await isOpened(command), false, command.join(" "));
    assert.equal(await isOpened(withPlaylists(command)), true, "the list of formats alone keeps it out");
  }
});
