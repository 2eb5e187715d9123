import assert from "node:assert/strict";
import { test } from "node:test";
import { brokenArrow, brokenArrows } from "../tools/source/arrows.ts";
import { findCycle, readAskGraph } from "../tools/source/ask-graph.ts";
import { filesUnder, importsOf, ROOT } from "../tools/source/source.ts";

test("every import follows the map: contracts and domain know nothing, actors not each other, the edge no bus", () => {
  assert.deepEqual(brokenArrows(), []);
});

test("the check reads the project's files, and many of their imports", () => {
  // A check that sees no files would pass too.
  const files = filesUnder(ROOT, ".", ".ts");
  assert.ok(files.length > 100, String(files.length));
  for (const folder of ["contracts/", "domain/", "lib/", "actors/", "gateway/", "edge/"]) {
    assert.ok(
      files.some((file) => file.startsWith(folder)),
      folder,
    );
  }
});

test("a forbidden import is caught, in every way of writing it", () => {
  const writings = [
    'import { x } from "../channel/channel.ts";',
    'import type { X } from "../channel/channel.ts";',
    'import "../channel/channel.ts";',
    'export * from "../channel/channel.ts";',
    'export { x } from "../channel/channel.ts";',
    'import {\n  x,\n  type Y,\n} from "../channel/channel.ts";',
    'const { x } = await import("../channel/channel.ts");',
  ];
  for (const text of writings) {
    const broken = importsOf("actors/tenant/tenant.ts", text).map((one) => brokenArrow("actors/tenant/tenant.ts", one));
    assert.equal(broken.length, 1, text);
    assert.match(broken[0] ?? "", /^actors\/tenant\/tenant\.ts imports actors\/channel\/channel\.ts: an actor imports/);
  }
});

test("each rule forbids what it is for, and lets through what its folder lives on", () => {
  const broken = (file: string, target: string): boolean =>
    importsOf(file, `import { x } from "${target}";`).some((one) => brokenArrow(file, one) !== undefined);
  const cases: [file: string, forbidden: string[], allowed: string[]][] = [
    ["contracts/a.ts", ["node:fs", "pg", "../lib/clock.ts", "../domain/slug/slug.ts"], ["zod", "./b.ts"]],
    ["domain/hls/a.ts", ["node:fs", "zod", "../../contracts/ids.ts", "../../lib/clock.ts"], ["../live/b.ts"]],
    ["lib/db/a.ts", ["../../actors/x/x.ts", "../../gateway/a.ts", "../../main.ts"], ["pg", "node:fs", "../clock.ts"]],
    ["actors/x/x.ts", ["moleculer", "nats", "pg", "../../gateway/a.ts", "../../main.ts"], ["zod", "../../lib/a/b.ts"]],
    ["actors/x/x.service.ts", ["../y/y.ts", "nats"], ["moleculer", "./x.ts", "../../contracts/a.ts"]],
    ["gateway/a.ts", ["pg", "../lib/db/database.ts", "../actors/x/x.ts"], ["moleculer", "moleculer-web", "./b.ts"]],
    ["edge/node/a.ts", ["nats", "moleculer", "../../lib/actor/a.ts", "../../lib/db/a.ts"], ["lru-cache", "node:http"]],
    ["edge/fleet/a.ts", ["pg", "../../lib/db/database.ts"], ["../../lib/actor/contract.ts", "../node/b.ts"]],
  ];
  for (const [file, forbidden, allowed] of cases) {
    for (const target of forbidden) assert.ok(broken(file, target), `${file} may not import ${target}`);
    for (const target of allowed) assert.ok(!broken(file, target), `${file} may import ${target}`);
  }
});

test("asks form a graph without a cycle", async () => {
  const { edges } = await readAskGraph();
  assert.ok(edges.get("gateway")?.includes("channel"), "the graph is read from the code");
  assert.equal(findCycle(edges), undefined);
});

test("a cycle of asks is found wherever it begins", () => {
  const edges = new Map([
    ["gateway", ["channel"]],
    ["channel", ["supervisor"]],
    ["supervisor", ["streamer", "channel"]],
  ]);
  assert.deepEqual(findCycle(edges), ["channel", "supervisor", "channel"]);
  assert.equal(
    findCycle(
      new Map([
        ["a", ["b", "c"]],
        ["b", ["c"]],
      ]),
    ),
    undefined,
  );
  assert.deepEqual(findCycle(new Map([["a", ["a"]]])), ["a", "a"]);
});

test("every ask is answered by one actor", async () => {
  const { asks } = await readAskGraph();
  assert.deepEqual(
    asks.filter(({ answeredBy }) => answeredBy === undefined).map(({ is }) => is.name),
    [],
  );
});
