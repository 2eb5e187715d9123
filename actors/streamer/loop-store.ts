/** `pl:///name`: the files of a folder of the object store, conformed once per node, and lists of them for ffmpeg. */
import { createHash, randomBytes } from "node:crypto";
import type { Dirent } from "node:fs";
import { mkdir, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { LRUCache } from "lru-cache";
import { fail } from "../../contracts/errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Ffmpeg } from "../../lib/ffmpeg/binary.ts";
import { conformArguments, probeArguments } from "../../lib/ffmpeg/conform.ts";
import type { PidFiles } from "../../lib/ffmpeg/pid-files.ts";
import { FfmpegProcess, runFfmpeg } from "../../lib/ffmpeg/process.ts";
import { type FrameRate, type SourceInfo, SourceInfoReader } from "../../lib/ffmpeg/source-info.ts";
import type { Log } from "../../lib/log/log.ts";
import { type LoopClip, loopLists } from "./loop-list.ts";

export interface Loop {
  readonly clips: readonly LoopClip[];
  readonly frameRate: FrameRate;
  readonly gopFrames: number;
  readonly gopCount: number;
  readonly width: number;
  readonly height: number;
}
interface MediaFile {
  readonly path: string;
  /** Changes when the file's content does. */
  readonly stamp: string;
}
export interface LoopDeps {
  readonly ffmpeg: Ffmpeg;
  readonly dataDir: string;
  readonly log: Log;
  readonly pidFiles: PidFiles;
}

const DAY_MS = 86_400_000;
const FILES_MAX = 500;
const PROBED_MAX = 5_000;
const PROBE_DEADLINE_MS = 20_000;
const CONFORM_DEADLINE_MS = 6 * 3_600_000; // a film of 2 h on a slow machine
const UNUSED_MS = 14 * DAY_MS;
const RECIPE = 1; // grows when conformed files are made otherwise
const RATE_DEFAULT: FrameRate = { num: 25, den: 1 };

/** A GOP is the whole number of frames that is nearest to a second. */
export const gopFramesOf = ({ num, den }: FrameRate): number => Math.max(1, Math.round(num / den));
const even = (length: number): number => Math.max(2, 2 * Math.floor(length / 2));
const byName = (a: Dirent, b: Dirent): number => (a.name < b.name ? -1 : 1); // code units: alike on every machine

export class LoopStore {
  readonly #deps: LoopDeps;
  /** Conforming costs all cores: one file at a time, however many streams wait. */
  #queue: Promise<unknown> = Promise.resolve();
  readonly #running = new Map<string, Promise<void>>();
  /** Files below `#dir` that each stream of this process opened last: it may read them for months. */
  readonly #opened = new Map<string, readonly string[]>();
  #sweeping: NodeJS.Timeout | undefined;
  /** What is known of files, by their stamps: a restarted stream need not look at each again. */
  readonly #probed = new LRUCache<string, { readonly info: SourceInfo | null }>({ max: PROBED_MAX });

  constructor(deps: LoopDeps) {
    this.#deps = deps;
  }

  /** Sweeps now and once a day. */
  async start(clock: Clock): Promise<void> {
    const { log } = this.#deps;
    const sweep = () =>
      this.sweep(clock.nowMs()).catch((error: unknown) => log.warn({ err: error }, "loops: no sweep"));
    await sweep();
    this.#sweeping = setInterval(() => void sweep(), DAY_MS);
  }
  stop(): void {
    clearInterval(this.#sweeping);
  }

  get #dir(): string {
    return path.join(this.#deps.dataDir, "run", "loops");
  }

  /** The folder's files in name order; PLAYLIST_NOT_FOUND when it is missing or has none. */
  async files(tenant: string, name: string): Promise<readonly MediaFile[]> {
    const folder = path.join(this.#deps.dataDir, "objects", "media", tenant, name);
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    const usable = entries.filter((entry) => entry.isFile() && !entry.name.startsWith(".")).sort(byName);
    if (usable.length === 0) return fail("PLAYLIST_NOT_FOUND", { url: `pl:///${name}` });
    return Promise.all(
      usable.slice(0, FILES_MAX).map(async (entry) => {
        const file = path.join(folder, entry.name);
        const { size, mtimeMs } = await stat(file);
        return { path: file, stamp: `${entry.name} ${size} ${mtimeMs}` };
      }),
    );
  }

  /**
   * The loop, ready to be read; files that are not media are left out. The first one gives size and rate (unless `rate`
   * is given). Rejects when no file is usable.
   */
  async open(tenant: string, name: string, rate: FrameRate | null): Promise<Loop> {
    const files = await this.files(tenant, name);
    const probed: { file: MediaFile; info: SourceInfo }[] = [];
    for (const file of files) {
      const info = await this.#infoOf(file);
      if (info?.hasVideo && info.width && info.height) probed.push({ file, info });
      else this.#deps.log.warn({ file: file.path }, "left out of the loop: not a media file with a picture");
    }
    const [first] = probed;
    if (!first) return fail("PLAYLIST_NOT_FOUND", { url: `pl:///${name}` });
    const frameRate = rate ?? first.info.frameRate ?? RATE_DEFAULT;
    const size = { width: even(first.info.width ?? 0), height: even(first.info.height ?? 0) };
    const gopFrames = gopFramesOf(frameRate);
    const clips: LoopClip[] = [];
    for (const { file, info } of probed) {
      const gopMs = (gopFrames * frameRate.den * 1000) / frameRate.num;
      const gopCount = Math.max(1, Math.round((info.durationMs ?? gopMs) / gopMs));
      const shape = { frameRate, gopFrames, gopCount, ...size };
      const fileName = await this.#conformed(file, { ...shape, hasAudio: info.hasAudio, interlaced: info.interlaced });
      clips.push({ fileName, gopCount });
    }
    return { clips, frameRate, gopFrames, gopCount: clips.reduce((sum, clip) => sum + clip.gopCount, 0), ...size };
  }

  /**
   * Writes the lists that start at a GOP of the loop; the path of the one to open. They are written anew at every
   * start.
   */
  async writeLists(loop: Loop, streamKey: string, startGop: number): Promise<string> {
    const base = createHash("sha256").update(streamKey).digest("hex").slice(0, 24);
    const gopSeconds = (loop.gopFrames * loop.frameRate.den) / loop.frameRate.num;
    const hourName = `${base}-hour.ffconcat`;
    const lists = loopLists(loop.clips, { gopSeconds, startGop, hourName });
    await mkdir(this.#dir, { recursive: true });
    await writeFile(path.join(this.#dir, hourName), lists.hour);
    const topName = `${base}.ffconcat`;
    const top = path.join(this.#dir, topName);
    await writeFile(top, lists.top);
    this.#opened.set(streamKey, [topName, hourName, ...loop.clips.map(({ fileName }) => fileName)]);
    return top;
  }

  /** Removes what no stream has opened for two weeks, and what an interrupted run left; notes what is in use. */
  async sweep(nowMs: number): Promise<void> {
    const names = await readdir(this.#dir).catch(() => []);
    const opened = new Set([...this.#opened.values()].flat());
    const now = new Date(nowMs);
    for (const name of names) {
      const file = path.join(this.#dir, name);
      if (opened.has(name)) {
        await utimes(file, now, now).catch(() => {}); // somebody took it away
        continue;
      }
      const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: nowMs }));
      if (nowMs - mtimeMs > (name.endsWith(".part") ? CONFORM_DEADLINE_MS : UNUSED_MS)) await rm(file, { force: true });
    }
  }

  async #infoOf(file: MediaFile): Promise<SourceInfo | null> {
    const key = `${file.path} ${file.stamp}`;
    const known = this.#probed.get(key) ?? { info: await this.#probe(file.path) };
    this.#probed.set(key, known);
    return known.info;
  }
  async #probe(file: string): Promise<SourceInfo | null> {
    const reader = new SourceInfoReader();
    const { ffmpeg, log, pidFiles } = this.#deps;
    const options = { ffmpeg, log: log.child({}, { level: "silent" }), pidFiles, args: probeArguments(file) };
    const child = new FfmpegProcess({ ...options, outputCount: 0, onLine: (line) => reader.push(line) });
    const timer = setTimeout(() => child.kill(), PROBE_DEADLINE_MS);
    await child.ended;
    clearTimeout(timer);
    return reader.info;
  }

  async #conformed(
    file: MediaFile,
    shape: Omit<Parameters<typeof conformArguments>[0], "from" | "to">,
  ): Promise<string> {
    const key = JSON.stringify([RECIPE, file.path, file.stamp, shape]);
    const fileName = `${createHash("sha256").update(key).digest("hex").slice(0, 32)}.mov`;
    const to = path.join(this.#dir, fileName);
    const running = this.#running.get(fileName);
    if (running) return running.then(() => fileName);
    const work = this.#queue.then(() => this.#conform(file.path, to, shape));
    this.#queue = work.catch(() => {});
    this.#running.set(fileName, work);
    await work.finally(() => this.#running.delete(fileName));
    return fileName;
  }

  async #conform(
    from: string,
    to: string,
    shape: Omit<Parameters<typeof conformArguments>[0], "from" | "to">,
  ): Promise<void> {
    const { ffmpeg, log, pidFiles } = this.#deps;
    const now = new Date();
    const isThere = await utimes(to, now, now).then(
      () => true,
      () => false,
    );
    if (isThere) return;
    await mkdir(this.#dir, { recursive: true });
    const unfinished = `${to}.${randomBytes(4).toString("hex")}.part`;
    try {
      const args = conformArguments({ ...shape, from, to: unfinished });
      await runFfmpeg({ ffmpeg, args, log, pidFiles, deadlineMs: CONFORM_DEADLINE_MS });
      await rename(unfinished, to);
    } finally {
      await rm(unfinished, { force: true });
    }
  }
}
