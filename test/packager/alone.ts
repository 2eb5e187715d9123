/** The first, a middle and the last segment, each by itself: a player that begins there has all of it, in time. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { assertPlayed, isOpen } from "./expected.ts";
import type { Stream } from "./formats.ts";
import { play } from "./play.ts";
import type { Unit } from "./served.ts";
import type { Subject } from "./subjects.ts";
import type { Sample, SampledTrack } from "./truth.ts";

export interface Formats {
  readonly fmp4: Stream<Sample>;
  readonly ts: Stream<Unit> | null;
}

/** The samples of segment `index`, as many as fMP4 has in each segment. */
const part = (track: SampledTrack, { segments }: Stream<Sample>, index: number): SampledTrack => {
  const counts = segments.map((segment) => segment[track.kind].length);
  const first = counts.slice(0, index).reduce((sum, count) => sum + count, 0);
  return { ...track, samples: track.samples.slice(first, first + (counts[index] ?? 0)) };
};

export const assertAlone = async (subject: Subject, { fmp4, ts }: Formats): Promise<void> => {
  const { truth } = subject;
  const tracks = [...(truth.video ? [truth.video] : []), ...truth.audio.slice(0, 1)];
  const count = fmp4.segments.length;
  const places = [...new Set([0, Math.floor(count / 2), count - 1])];
  const folder = await mkdtemp(path.join(tmpdir(), "castellan-alone-"));
  try {
    const init = fmp4.fetched.init ?? assert.fail();
    const cases: { readonly file: string; readonly container: "ts" | "fmp4"; readonly index: number }[] = [];
    for (const index of places) {
      const file = path.join(folder, `${index}.mp4`);
      await writeFile(file, Buffer.concat([init, fmp4.fetched.segments[index] ?? assert.fail()]));
      cases.push({ file, container: "fmp4", index });
      if (!ts) continue;
      const tsFile = path.join(folder, `${index}.ts`);
      await writeFile(tsFile, ts.fetched.segments[index] ?? assert.fail());
      cases.push({ file: tsFile, container: "ts", index });
    }
    const expectations = cases.map(({ container, index }) => ({
      subject,
      tracks: tracks.map((track) => part(track, fmp4, index)),
      container,
      label: `segment ${index} alone in ${container}`,
      isAlone: true,
    }));
    const mayComplain = expectations.some(isOpen);
    const played = await play(
      cases.map(({ file }) => file),
      { mayComplain },
    );
    for (const [at, expected] of expectations.entries()) assertPlayed(played[at] ?? [], expected);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
