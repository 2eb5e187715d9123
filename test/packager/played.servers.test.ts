/** Every input in every format, played by an older ffmpeg, that of the system, of which much else is built. */
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";
import { assertAllPlayed } from "./played.ts";
import { inputsServed, SERVED } from "./subjects.ts";

/** Where the system has one. */
const systemFfmpeg = (): string | null => {
  try {
    return execFileSync("/bin/sh", ["-c", "PATH=/usr/local/bin:/usr/bin:/bin command -v ffmpeg"]).toString().trim();
  } catch {
    return null;
  }
};

const ffmpeg = systemFfmpeg();

describe("every input", { skip: ffmpeg ? false : "skipped: needs ffmpeg", concurrency: 2 }, () => {
  const inputs = inputsServed();

  for (const name of SERVED) {
    test(`${name}: the system's ffmpeg plays HLS of both kinds and DASH without a word`, async () => {
      await assertAllPlayed(await inputs().subject(name), { ffmpeg: ffmpeg ?? "" });
    });
  }
});
