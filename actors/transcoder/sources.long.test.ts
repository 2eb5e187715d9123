import { test } from "node:test";
import { MORE, runSource } from "./sources.fixture.ts";
import { startScene } from "./transcoder.fixture.ts";

test("the rest of the awkward sources end ready or failed with a clear reason", async (t) => {
  const scene = await startScene(t);
  for (const [name, source] of Object.entries(MORE)) await t.test(name, (t) => runSource(t, scene, source));
});
