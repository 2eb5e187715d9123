/** Every input in every format, played by ffmpeg: nothing to complain of, and all frames at their times. */
import { describe, test } from "node:test";
import { assertAllPlayed } from "./played.ts";
import { inputsServed, SERVED } from "./subjects.ts";

describe("every input", { concurrency: 2 }, () => {
  const inputs = inputsServed();

  for (const name of SERVED) {
    test(`${name}: ffmpeg plays HLS of both kinds and DASH without a word`, async () => {
      await assertAllPlayed(await inputs().subject(name));
    });
  }
});
