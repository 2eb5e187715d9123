import assert from "node:assert/strict";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { tempDir } from "../../test/support/platform.ts";
import { startTestPackager } from "./packager.fixture.ts";

test("a licence has each key once, however many files of the set share it", async (t) => {
  const folder = await tempDir(t);
  const movie = await makeInput("moov-first", await sharedMediaDir());
  for (const name of ["v_1.mp4", "v_2.mp4", "v_3.mp4"]) await copyFile(movie, join(folder, name));
  const kid = "00112233445566778899aabbccddeeff";
  const env = {
    CASTERPAK_ENCRYPTION_METHOD: "cenc",
    CASTERPAK_ENCRYPTION_KEY: "ffeeddccbbaa99887766554433221100",
    CASTERPAK_ENCRYPTION_KEY_ID: kid,
  };
  const { url } = await startTestPackager(t, { folder, env });
  const body = JSON.stringify({ kids: [Buffer.from(kid, "hex").toString("base64url")], type: "temporary" });
  const answer = await fetch(`${url}/i/v_,1,2,3,.mp4.csmil/clearkey`, { method: "POST", body });
  assert.equal(answer.status, 200, await answer.clone().text());
  const { keys } = (await answer.json()) as { keys: { kid: string }[] };
  assert.deepEqual(
    keys.map((key) => Buffer.from(key.kid, "base64url").toString("hex")),
    [kid],
  );
});
