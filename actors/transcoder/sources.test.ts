import { test } from "node:test";
import { runSource, SOME } from "./sources.fixture.ts";
import { startScene } from "./transcoder.fixture.ts";

test("awkward sources end ready or failed with a clear reason", async (t) => {
  const scene = await startScene(t);
  const each = Object.entries(SOME).map(([name, source]) => t.test(name, (t) => runSource(t, scene, source)));
  await Promise.all(each);
});
