/** What is being made of a file when it is purged. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import { readSettings } from "../../lib/config/config.ts";
import { quietLog } from "../../lib/log/log.ts";
import type { SourceStat } from "../../lib/source/port.ts";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { FakeSource } from "./fake-source.fixture.ts";
import { Library } from "./library.ts";
import { listenFor } from "./packager.fixture.ts";
import { PackagerServer } from "./serve.ts";
import { Sets } from "./sets.ts";
import { SmilFiles } from "./smil-files.ts";
import { Subtitles } from "./subtitles.ts";
import { TokenGate } from "./tokens.ts";
import { Workshop } from "./workshop.ts";

/** One that does not notice when a file is replaced: then there is a purge for it. */
class Unaware extends FakeSource {
  override async stat(path: string): Promise<SourceStat> {
    return { ...(await super.stat(path)), version: "same" };
  }
}

const serverOf = async (t: TestContext, source: FakeSource) => {
  const { packager: config } = readSettings({ ROLES: "packager", CASTERPAK_FILESYSTEM_VIDEOPARENTPATH: "/" }, false);
  if (!config) return assert.fail("no packager among the roles");
  const { segmentSeconds, urlPrefix: prefix } = config;
  const common = { source, clock: { nowMs: () => 0 }, log: quietLog, segmentSeconds, recheckMs: 1000 };
  const library = new Library({ ...common, indexBytesMax: 2 ** 24, epoch: "" });
  const workshop = new Workshop({ slotCount: 1, isLocal: true, encryptsWhole: false, log: quietLog });
  const server = new PackagerServer({
    ...common,
    config,
    library,
    workshop,
    sets: new Sets({ ...common, library }),
    gate: new TokenGate({ ...common, rules: [], prefix, salt: null }),
    smil: new SmilFiles({ ...common, prefix }),
    subtitles: new Subtitles({ source }),
    segmentCache: null,
  });
  const listener = await listenFor(server.handle);
  t.after(async () => {
    await listener.close(0);
    library.close();
    await workshop.stop();
  });
  const asked = async (leaf: string): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${listener.port}/i/v.mp4/${leaf}`);
    assert.equal(answer.status, 200);
    return answer.text();
  };
  const purge = (): void => {
    library.forget(() => true);
    server.forget();
  };
  return { asked, purge };
};

test("a playlist that was being made when its file was purged is not kept", async (t) => {
  const bytesOf = async (name: string) => readFile(await makeInput(name, await sharedMediaDir()));
  const [old, present] = await Promise.all([bytesOf("moov-first"), bytesOf("two-languages")]);
  const expected = new Unaware();
  expected.put("v.mp4", present);
  const wanted = await (await serverOf(t, expected)).asked("cmaf.m3u8");

  const source = new Unaware();
  source.put("v.mp4", old);
  const { asked, purge } = await serverOf(t, source);
  await asked("index_0_av.m3u8"); // its index is in memory
  source.misbehave("v.mp4", { stallAfter: 0 });
  const stalled = source.stalled();
  const begun = asked("cmaf.m3u8"); // looks for captions
  await stalled;
  source.put("v.mp4", Buffer.concat([present, Buffer.alloc(old.length)])); // the old one's offsets are in it
  purge();
  source.behave();
  await asked("index_0_av.m3u8");
  assert.notEqual(await begun, wanted);
  assert.equal(await asked("cmaf.m3u8"), wanted);
});
