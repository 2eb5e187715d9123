/** Movies that say enormous things: each is refused, or served as far as its viewer takes it, and nobody else waits. */
import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { HOSTILE, writeHostile } from "../media/hostile.ts";
import { waitedMs } from "../support/cpu.ts";
import { tempDir } from "../support/platform.ts";
import { leftOut } from "../support/share.ts";
import { assertAnswer, ENCRYPTED, encryptedFolders } from "./judged.ts";
import { aloneOn, startWatched, type WatchedPackager } from "./watched.ts";

const MiB = 2 ** 20;
const RESIDENT_MIB_MAX = 512;
/** A second is what it takes on a machine of its own; tests share theirs with others. */
const WAIT_MS_MAX = 4_000;
const TRIES_MAX = 3;
const PULSE_MS = 20;
/** More than what is written ahead of a viewer. */
const LEAVE_AFTER_BYTES = 16 * MiB;

const LEAVES = [
  "master.m3u8",
  "index.m3u8",
  "cmaf.m3u8",
  "manifest.mpd",
  "iframes_0_v.m3u8",
  "cmaf_iframes_0_v.m3u8",
  "init_0_av.mp4",
  "segment1_0_av.ts",
  "segment2_0_av.m4s",
  "iframe1_0_v.ts",
  "iframe2_0_v.m4s",
  "subtitle1_1_und.vtt",
];

/** Clear or encrypted: one of them a day, all by `npm run test:long`. */
const PLACES = ["", "aes-128/", "cenc/"].filter((_, index) => !leftOut(index, { of: 3, plays: 1 }));

/** The longest wait of somebody who asks for next to nothing all the while. */
const pulseOf = ({ ask }: WatchedPackager): { stop(): Promise<number> } => {
  let worstMs = 0;
  let isOver = false;
  const beat = async (): Promise<void> => {
    while (!isOver) {
      worstMs = Math.max(worstMs, (await ask("/livez")).tookMs);
      await new Promise((resolve) => setTimeout(resolve, PULSE_MS));
    }
  };
  const beating = beat();
  return {
    stop: async () => {
      isOver = true;
      await beating;
      return worstMs;
    },
  };
};

interface Waits {
  readonly statuses: Readonly<Record<number, number>>;
  readonly slowestMs: number;
  readonly slowest: string;
  /** Of those who ask for something else meanwhile. */
  readonly othersMs: number;
  /** For which the packager could have run and others had the processor. */
  readonly waitedMs: number;
}

/** Asks for all of one movie. */
const askAll = async (packager: WatchedPackager, file: string): Promise<Waits> => {
  const statuses: Record<number, number> = {};
  let [slowestMs, slowest] = [0, ""];
  const { pid = 0 } = packager.node.child;
  const waitedBeforeMs = waitedMs(pid);
  const pulse = pulseOf(packager);
  for (const leaf of LEAVES)
    for (const place of PLACES) {
      const path = `/i/${place}${file}/${leaf}`;
      const reply = await packager.ask(path, { leaveAfterBytes: LEAVE_AFTER_BYTES });
      assertAnswer(path, reply);
      statuses[reply.status] = (statuses[reply.status] ?? 0) + 1;
      if (reply.headMs > slowestMs) [slowestMs, slowest] = [Math.round(reply.headMs), path];
    }
  const othersMs = Math.round(await pulse.stop());
  return { statuses, slowestMs, slowest, othersMs, waitedMs: Math.round(waitedMs(pid) - waitedBeforeMs) };
};

const isInTime = ({ slowestMs, othersMs, waitedMs }: Waits): boolean =>
  Math.max(slowestMs, othersMs) - waitedMs <= WAIT_MS_MAX;

test("of movies that say enormous things every answer begins within seconds, and memory has its bound", async (t) => {
  const folder = await tempDir(t);
  for (const method of ENCRYPTED) symlinkSync(".", join(folder, method));
  const packager = await startWatched(t, { env: { ...aloneOn(folder), ...encryptedFolders() } });
  for (const [name, { why }] of Object.entries(HOSTILE)) {
    await writeHostile(name, join(folder, `${name}.mp4`));
    let waits = await askAll(packager, `${name}.mp4`);
    // On a machine that does much else at the time.
    for (let tries = 1; tries < TRIES_MAX && !isInTime(waits); tries += 1)
      waits = await askAll(packager, `${name}.mp4`);
    const residentMiB = Math.round(packager.residentBytes().most / MiB);
    t.diagnostic(`${why}: ${JSON.stringify(waits)}, ${residentMiB} MiB resident`);
    assert.ok(isInTime(waits), JSON.stringify(waits));
    assert.ok(residentMiB <= RESIDENT_MIB_MAX, `${residentMiB} MiB resident`);
  }
  assert.deepEqual(packager.errors(), []);
});
