/** Damaged movies, subtitles and SMIL files behind a packager: all that can be asked of each. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { damaged, pick, type SoundMovie, soundMovies } from "../media/damage.ts";
import { type Random, seeded } from "../support/seeded.ts";
import { assertAnswer, ENCRYPTED } from "./judged.ts";
import type { Reply, WatchedPackager } from "./watched.ts";

/** Whatever a file is; and however busy the machine is, the best of some tries counts. */
const ANSWER_MS_MAX = 1_000;
const TRIES_MAX = 4;
const LANES = 6;

const TEXTS = [
  "master.m3u8",
  "cmaf.m3u8",
  "manifest.mpd",
  "cmaf_0_av.m3u8",
  "cmaf_0_v.m3u8",
  "index_0_a.m3u8",
  "iframes_0_v.m3u8",
  "cmaf_iframes_0_v.m3u8",
];
const SINGLES = [
  "init_0_av.mp4",
  "init_0_v.mp4",
  "init_0_a.mp4",
  "iframe1_0_v.ts",
  "iframe2_0_v.m4s",
  "subtitle_1_und.m3u8",
  "subtitle_1_und.vtt",
];
const TAILS = ["av.ts", "v.ts", "a.ts", "av.m4s", "v.m4s", "a.m4s"];

/** What stays whole beside the damaged ones, and must stay what it is. */
const SOUND = "moov-first";
const SOUND_FILE = "sound.mp4";
const SOUND_LEAVES = ["master.m3u8", "segment1_0_av.ts", "segment3_0_av.m4s", "cmaf_iframes_0_v.m3u8"];

const smilOf = (file: string): string =>
  `<smil><body><switch><video src="${file}" system-bitrate="300000"/><video src="${SOUND_FILE}"/></switch></body></smil>`;
const SUBTITLES = {
  vtt: "WEBVTT\n\nSTYLE\n::cue{}\n\n1\n00:00.500 --> 00:02.000 line:1\n<i>first</i>\n\n00:03.000 --> 01:05.500\n&amp;\n",
  srt: "1\n00:00:00,500 --> 00:00:02,000\nfirst\n\n2\n00:00:03,000 --> 00:00:05,500\n<i>second</i>\n",
  ttml:
    '<tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="0.5s" end="2s">first<br/>line</p>' +
    '<p begin="00:00:03" dur="2s"><span>second</span></p></div></body></tt>',
};

/** A text with some of its characters changed, taken out or repeated. */
const damagedText = (text: string, random: Random): Buffer => {
  let bytes: Buffer = Buffer.from(text);
  for (let hits = 1 + random.int(4); hits > 0; hits -= 1) {
    const at = random.int(bytes.length);
    const end = at + random.int(20);
    const into = [random.int(256), random.int(256)].slice(0, random.int(3));
    const again = bytes.subarray(random.int(bytes.length), random.int(bytes.length));
    bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(into), again, bytes.subarray(end)]);
  }
  return bytes;
};

export interface DamageFigures {
  readonly caseCount: number;
  answers: number;
  /** Cases of which at least one segment is served. */
  served: number;
  slowestMs: number;
  slowest: string;
  readonly statuses: Record<number, number>;
}

export interface DamageRunOptions {
  readonly packager: WatchedPackager;
  /** Of its files. */
  readonly folder: string;
  readonly caseCount: number;
  readonly firstSeed: number;
  /** Now and then, with the number of cases that are done. */
  readonly onProgress?: (caseCount: number) => void;
}

export class DamageRun {
  readonly figures: DamageFigures;
  readonly #options: DamageRunOptions;
  #movies: readonly SoundMovie[] = [];
  readonly #truth = new Map<string, string>();

  constructor(options: DamageRunOptions) {
    const { folder, caseCount } = options;
    this.#options = options;
    this.figures = { caseCount, answers: 0, served: 0, slowestMs: 0, slowest: "", statuses: {} };
    for (const method of ENCRYPTED) symlinkSync(".", join(folder, method));
  }

  /** Throws, with its seed, at the first case whose answers are not what they have to be. */
  async run(): Promise<void> {
    const { folder, firstSeed, caseCount, onProgress } = this.#options;
    this.#movies = await soundMovies();
    const sound = this.#movies.find(({ name }) => name === SOUND) ?? assert.fail(SOUND);
    writeFileSync(join(folder, SOUND_FILE), sound.bytes);
    for (const leaf of SOUND_LEAVES) await this.#askSound(leaf);
    let next = firstSeed;
    const lane = async (): Promise<void> => {
      while (next < firstSeed + caseCount) {
        const seed = next;
        next += 1;
        await this.#case(seed);
        onProgress?.(next - firstSeed);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    for (const leaf of SOUND_LEAVES) await this.#askSound(leaf);
  }

  async #case(seed: number): Promise<void> {
    const random = seeded(seed);
    const movie = pick(this.#movies, random);
    const path = join(this.#options.folder, `case-${seed}`);
    const [name, withTexts] = [`case-${seed}.mp4`, random.int(8) === 0];
    writeFileSync(`${path}.mp4`, damaged(movie, random, "anywhere"));
    try {
      const folder = random.int(3) === 0 ? `${pick(ENCRYPTED, random)}/` : "";
      if (await this.#askAll(`/i/${folder}${name}`, random)) this.figures.served += 1;
      if (withTexts) await this.#withTexts(path, seed, random);
      if (random.int(16) === 0) await this.#askSound(pick(SOUND_LEAVES, random));
    } catch (error) {
      throw new Error(`seed ${seed}, made from ${movie.name}`, { cause: error });
    }
    rmSync(`${path}.mp4`);
  }

  /** Whether a segment was served. */
  async #askAll(base: string, random: Random): Promise<boolean> {
    for (const name of TEXTS) await this.#ask(`${base}/${name}`);
    const index = await this.#ask(`${base}/index_0_av.m3u8`);
    const count = index?.match(/^segment\d+_0_av\.ts\?v=\w+$/gm)?.length ?? 0;
    let isServed = false;
    for (const number of new Set([1, 1 + random.int(count || 1), count || 1])) {
      for (const tail of TAILS) if (await this.#ask(`${base}/segment${number}_0_${tail}`)) isServed = true;
      await this.#ask(`${base}/subtitle${number}_1_und.vtt`);
    }
    for (const name of SINGLES) await this.#ask(`${base}/${name}`);
    if (count > 0) assert.equal(await this.#ask(`${base}/segment${count + 1}_0_av.ts`), null, "one behind the last");
    return isServed;
  }

  /** Damaged files beside the movie, and sets with it. */
  async #withTexts(path: string, seed: number, random: Random): Promise<void> {
    const kind = pick(["vtt", "srt", "ttml"] as const, random);
    const files = [`${path}_en.vtt`, `${path}.smil`] as const;
    writeFileSync(files[0], damagedText(SUBTITLES[kind], random));
    writeFileSync(files[1], damagedText(smilOf(`case-${seed}.mp4`), random));
    const smil = `/i/case-${seed}.smil`;
    const set = `/i/,case-${seed},sound,.mp4.csmil`;
    for (const leaf of ["subtitle_0_en.vtt", "subtitle1_0_en.vtt"]) await this.#ask(`/i/case-${seed}.mp4/${leaf}`);
    for (const base of [smil, set])
      for (const leaf of ["master.m3u8", "manifest.mpd", "index_1_av.m3u8", "segment1_1_av.ts"])
        await this.#ask(`${base}/${leaf}`);
    for (const file of files) rmSync(file);
  }

  async #askSound(leaf: string): Promise<void> {
    const body = await this.#ask(`/i/${SOUND_FILE}/${leaf}`);
    const digest = createHash("sha256")
      .update(body ?? "")
      .digest("hex");
    const truth = this.#truth.get(leaf) ?? digest;
    assert.equal(digest, truth, `${leaf} of the sound movie is another one`);
    this.#truth.set(leaf, truth);
  }

  /** The body; null: there is none. */
  async #ask(path: string): Promise<string | null> {
    let reply: Reply | undefined;
    for (let tries = 0; tries < TRIES_MAX && !(reply && reply.tookMs <= ANSWER_MS_MAX); tries += 1)
      reply = await this.#options.packager.ask(path);
    if (!reply) throw new Error("bug: nothing was asked");
    this.#count(path, reply);
    assert.ok(reply.tookMs <= ANSWER_MS_MAX, `${path} took ${reply.tookMs} ms`);
    assertAnswer(path, reply);
    return reply.status === 200 ? reply.bytes.toString("latin1") : null;
  }

  #count(path: string, { status, tookMs }: Reply): void {
    const { figures } = this;
    figures.answers += 1;
    figures.statuses[status] = (figures.statuses[status] ?? 0) + 1;
    if (tookMs > figures.slowestMs) Object.assign(figures, { slowestMs: tookMs, slowest: path });
  }
}
