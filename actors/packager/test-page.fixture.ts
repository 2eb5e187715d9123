/** The test page behind a listener, beside files that ffmpeg made: it is judged without the packager's own media. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { openRawListener } from "../../lib/http/raw-listener.ts";
import { quietLog } from "../../lib/log/log.ts";
import { tempDir } from "../../test/support/platform.ts";
import { answerTestPage, isTestPage } from "./test-page.ts";

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

/** Two pictures and two languages, as HLS (`master.m3u8`) and DASH (`manifest.mpd`) over the same segments. */
export const madeByFfmpeg = async (t: Cleaner): Promise<string> => {
  const dir = await tempDir(t);
  const { path } = await findFfmpeg(null);
  const line =
    "-v error -f lavfi -i testsrc2=s=320x180:r=25:d=8 -f lavfi -i sine=440:d=8 -f lavfi -i sine=880:d=8 " +
    "-filter_complex [0:v]split[a][b];[b]scale=160:90[c] -map [a] -map [c] -map 1:a -map 2:a " +
    "-c:v libx264 -preset ultrafast -g 50 -b:v:0 300k -b:v:1 100k -c:a aac -metadata:s:a:0 language=eng " +
    "-metadata:s:a:1 language=deu -f dash -seg_duration 2 -hls_playlist 1 -adaptation_sets";
  const sets = "id=0,streams=0,1 id=1,streams=2 id=2,streams=3";
  await promisify(execFile)(path, [...line.split(" "), sets, join(dir, "manifest.mpd")], { timeout: 60_000 });
  return dir;
};

/** Serves the page, and the files of a folder under `/media/`. Gives the base URL. */
export const servedPage = async (t: Cleaner, folder?: string): Promise<string> => {
  const listener = await openRawListener({
    name: "test page",
    host: "127.0.0.1",
    port: 0,
    portVariable: "PACKAGER_PORT",
    log: quietLog,
    ready: () => ({ ready: true, checks: {} }),
    handle: async (exchange) => {
      if (isTestPage(exchange.path)) return answerTestPage(exchange);
      const file = join(folder ?? "", basename(exchange.path));
      const bytes = folder === undefined ? undefined : await readFile(file).catch(() => undefined);
      if (bytes === undefined) return exchange.problem({ code: "NOT_FOUND" });
      exchange.send(200, "Content-Type: application/octet-stream\r\n", bytes);
    },
  });
  t.after(() => listener.close(0));
  return `http://127.0.0.1:${listener.port}`;
};
