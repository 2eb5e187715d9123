/** HEAD of media: what GET says, without the work. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startTestPackager } from "../../actors/packager/packager.fixture.ts";
import { metricsText } from "../../lib/metrics/metrics.ts";
import { makeInput, sharedMediaDir } from "../media/make.ts";
import { assertHead, got } from "./client.ts";

const madeCount = async (): Promise<number> => {
  const lines = (await metricsText()).matchAll(/^castellan_packager_segments_made\{.*\} (\d+)$/gm);
  return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
};

test("no segment is made for HEAD where its length is known", async (t) => {
  const folder = await sharedMediaDir();
  await makeInput("moov-last", folder);
  const { url } = await startTestPackager(t, { folder });
  for (const leaf of ["segment1_0_av.ts", "segment1_0_av.m4s", "iframe1_0_v.ts"]) {
    const address = `${url}/i/moov-last.mp4/${leaf}`;
    const answer = await got(address);
    const before = await madeCount();
    await assertHead(address, answer);
    assert.equal(await madeCount(), before);
    await got(address);
    assert.equal(await madeCount(), before + 1);
  }
});
