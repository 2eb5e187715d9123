/**
 * Viewers of films that are replaced all the time, behind a packager that dies all the time: none is shown a wrong
 * byte.
 */
import assert from "node:assert/strict";
import http from "node:http";
import type { Random } from "../support/seeded.ts";
import { digestOf, MEDIA, TEXTS, type Truth } from "./truths.ts";
import { type Ask, askerOf, type Reply } from "./watched.ts";

export interface Served {
  /** Answers with content, all of them right. */
  right: number;
  /** Playlists all of whose media were asked for. */
  played: number;
  /** By code: what the source did, or a version that is gone. */
  readonly refused: Record<string, number>;
  /** Answers whose connection was reset because the source failed in their middle: nobody takes them for whole. */
  cut: number;
  /** Answers that a kill cut off. */
  lost: number;
}

export interface Audience {
  readonly served: Served;
  /** There was a wrong answer: nobody asks any more. */
  readonly hasFailed: boolean;
  /** Where the packager is from now on; null: it is down, and what it was asked may fail in any way. */
  turnTo(url: string | null): void;
  /** Rejects with the first wrong answer. */
  stop(): Promise<void>;
}

export interface AudienceOptions {
  readonly count: number;
  /** Of the files, `film0.mp4` and so on: any of `truths` may be in any of them. */
  readonly fileCount: number;
  readonly truths: readonly Truth[];
  readonly random: Random;
}

/** What a source may do to a viewer (contracts/errors.ts), and a version that is not the present one any more. */
const REFUSALS = new Set([
  "VERSION_GONE",
  "SOURCE_FAILED",
  "SOURCE_TIMEOUT",
  "SOURCE_CHANGED",
  "SOURCE_TRUNCATED",
  "SOURCE_FETCHING",
  "PACKAGER_BUSY",
  "SHUTTING_DOWN",
]);

const problemOf = ({ bytes }: Reply): string => (JSON.parse(bytes.toString()) as { readonly code: string }).code;

export const audienceOf = ({ count, fileCount, truths, random: { int } }: AudienceOptions): Audience => {
  const served: Served = { right: 0, played: 0, refused: {}, cut: 0, lost: 0 };
  const agent = new http.Agent({ keepAlive: true });
  let life = 0;
  let ask: Ask | null = null;
  let isOver = false;
  let hasFailed = false;
  let back = Promise.withResolvers<void>();

  /** The answer; null: its packager died. */
  const replyTo = async (path: string): Promise<Reply | null> => {
    const [asked, at] = [ask, life];
    if (!asked) {
      await back.promise;
      return null;
    }
    try {
      return await asked(path);
    } catch (error) {
      if (life !== at || isOver) served.lost += 1;
      else if (/ECONNRESET/.test(String(error))) served.cut += 1;
      else throw new Error("it broke off and is not dead", { cause: error });
      return null;
    }
  };

  /** The version that was right; null: there was no content. */
  const look = async (file: string, name: string, version: string | null): Promise<Truth | null> => {
    const path = `/i/${file}/${name}${version === null ? "" : `?v=${version}`}`;
    const reply = await replyTo(path);
    if (!reply) return null;
    const { status, headers, bytes } = reply;
    if (status !== 200) {
      const code = problemOf(reply);
      served.refused[code] = (served.refused[code] ?? 0) + 1;
      assert.ok(REFUSALS.has(code), `${path}: ${status} ${bytes}`);
      assert.ok(code !== "VERSION_GONE" || version !== null, path);
      if (status >= 500) assert.match(headers["retry-after"] ?? "", /^\d+$/, `${path}: ${code}`);
      return null;
    }
    assert.equal(headers["content-length"], String(bytes.length), path);
    const digest = digestOf(bytes);
    const truth = truths.find(({ digests }) => digests.get(name) === digest);
    assert.ok(truth, `${path}: ${bytes.length} bytes that nobody wrote`);
    if (version !== null && name !== "init_0_a.mp4" && name !== "init_0_v.mp4" && !name.includes("_0_a."))
      assert.equal(truth.version, version, `${path} is of another version`);
    served.right += 1;
    return truth;
  };

  const play = async (file: string): Promise<void> => {
    const list = await look(file, "index_0_av.m3u8", null);
    if (!list) return;
    // What it names is of its version, or gone: never of another one.
    for (const number of [1, 2, 3, 4]) await look(file, `segment${number}_0_av.ts`, list.version);
    served.played += 1;
  };

  const view = async (): Promise<void> => {
    while (!isOver) {
      const file = `film${int(fileCount)}.mp4`;
      const choice = int(10);
      const media = MEDIA[int(MEDIA.length)] ?? "";
      if (choice < 4) await play(file);
      else if (choice < 6) await look(file, TEXTS[int(TEXTS.length)] ?? "", null);
      else if (choice < 8) await look(file, media, null);
      else await look(file, media, truths[int(truths.length)]?.version ?? null);
    }
  };

  const viewing = Promise.all(Array.from({ length: count }, view)).finally(() => agent.destroy());
  viewing.catch(() => {
    hasFailed = true;
    isOver = true;
    back.resolve();
  });
  return {
    served,
    get hasFailed() {
      return hasFailed;
    },
    turnTo: (url) => {
      life += 1;
      ask = url === null ? null : askerOf(url, agent);
      if (url === null) back = Promise.withResolvers();
      else back.resolve();
    },
    stop: async () => {
      isOver = true;
      back.resolve();
      await viewing;
    },
  };
};
