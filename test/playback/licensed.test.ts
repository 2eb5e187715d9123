/** What a licence says of where a title is played, and how large, as its licensee's viewers meet it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../contracts/errors.ts";
import { licenceRevoked } from "../../contracts/libraries.ts";
import { getSession } from "../../contracts/playback.ts";
import { publishFact } from "../../lib/events/events.ts";
import { eventually } from "../support/control.ts";
import { at, playbackScene, type Scene, type Terms, type Title, writeSet } from "./scene.ts";

const licensed = async (scene: Scene, terms: Partial<Terms>): Promise<Title> => {
  const title = await scene.newTitle({ players: [scene.ours, scene.theirs] });
  await writeSet(scene.objects, title, [480, 720, 1080]);
  title.terms = { territories: null, maxHeight: null, ...terms };
  return title;
};
const textAt = async (url: string): Promise<{ status: number; text: string; cacheStatus: string }> => {
  const answer = await fetch(url);
  const cacheStatus = answer.headers.get("cache-status") ?? "";
  return { status: answer.status, text: await answer.text(), cacheStatus };
};

test("a title plays where its licence allows, and nowhere else and not somewhere", async (t) => {
  const scene = await playbackScene(t);
  const { theirs } = scene;
  const title = await licensed(scene, { territories: ["DE", "AT"] });
  const outcome = (country?: string) =>
    scene.play(title, { as: theirs, ...(country === undefined ? {} : { country }) }).then(
      () => "plays",
      (error: unknown) => codeOf(error),
    );
  // Each country is asked for twice: what is remembered of one is nothing of another.
  for (const _ of [1, 2]) {
    assert.deepEqual(
      [await outcome("DE"), await outcome("FR"), await outcome(), await outcome("AT")],
      ["plays", "TERRITORY_EXCLUDED", "COUNTRY_UNKNOWN", "plays"],
    );
  }
  // Its owner's own viewers need to be nowhere.
  const { id } = await scene.play(title);
  assert.equal((await scene.ask(getSession, { sessionId: id })).data.country, null);
});

test("a session has the rungs that its licence allows, and its address leads to no other", async (t) => {
  const scene = await playbackScene(t);
  const { theirs } = scene;
  const title = await licensed(scene, { maxHeight: 720 });
  const bound = await scene.play(title, { as: theirs, country: "DE" });
  assert.deepEqual(Object.keys(bound.rungs), ["480p", "720p"]);
  const { data: shown } = await scene.ask(getSession, { sessionId: bound.id }, theirs);
  assert.deepEqual([shown.maxHeight, shown.country], [720, "DE"]);
  const free = await scene.play(title);
  assert.deepEqual(Object.keys(free.rungs), ["480p", "720p", "1080p"]);
  const edge = await scene.edge();
  await eventually("the edge knows the keys", async () =>
    (await fetch(at(edge.url, free.hls))).ok ? true : undefined,
  );
  for (const url of [edge.url, scene.gatewayUrl]) {
    for (const name of ["master.m3u8", "1080p.m3u8", "1080p/segment1_0_av.ts"]) {
      const inner = `hls/${title.titleId}/${name}`;
      await textAt(at(url, bound.hls.replace("master.m3u8", name)));
      assert.equal(scene.packager.asked.at(-1)?.path, `/upto/720/${inner}`);
      await textAt(at(url, free.hls.replace("master.m3u8", name)));
      const asked = scene.packager.asked.map(({ path }) => path);
      assert.ok(asked.includes(`/${inner}`));
    }
  }
  // Whoever writes another bound into a token has none that is signed.
  for (const forged of [bound.hls.replace(".h720.", ".h2160."), bound.hls.replace(".h720.", ".")]) {
    assert.notEqual(forged, bound.hls);
    for (const url of [edge.url, scene.gatewayUrl]) assert.equal((await textAt(at(url, forged))).status, 403);
  }
});

test("viewers with the same bound have the same bytes, and an edge keeps them once", async (t) => {
  const scene = await playbackScene(t);
  const title = await licensed(scene, { maxHeight: 720 });
  const [one, other] = [
    await scene.play(title, { as: scene.theirs, viewer: "one" }),
    await scene.play(title, { as: scene.theirs, viewer: "other" }),
  ];
  const { url } = await scene.edge();
  const first = await eventually("the edge knows the keys", async () => {
    const answer = await textAt(at(url, one.hls));
    return answer.status === 200 ? answer : undefined;
  });
  const second = await textAt(at(url, other.hls));
  assert.equal(second.text, first.text);
  assert.match(second.cacheStatus, /; hit/);
  assert.equal(scene.packager.asked.filter(({ path }) => path.endsWith("/master.m3u8")).length, 1);
});

test("a title without a rung that is small enough is refused, not begun", async (t) => {
  const scene = await playbackScene(t);
  const title = await licensed(scene, { maxHeight: 240 });
  await assert.rejects(scene.play(title, { as: scene.theirs }), { code: "TITLE_UNPLAYABLE" });
});

test("what began by a licence that is gone ends, where what is left allows less", async (t) => {
  const scene = await playbackScene(t);
  const { ours, theirs } = scene;
  const title = await licensed(scene, {});
  const large = await scene.play(title, { as: theirs, country: "DE" });
  title.terms = { territories: ["DE"], maxHeight: 720 };
  // What was remembered of the licence is good for a second.
  const small = await eventually("sessions begin by what is left", async () => {
    const session = await scene.play(title, { as: theirs, country: "DE" });
    return Object.keys(session.rungs).length === 2 ? session : undefined;
  });
  const abroad = await scene.play(title, { as: theirs, country: "FR" }).catch(codeOf);
  assert.equal(abroad, "TERRITORY_EXCLUDED");
  const licenceId = "019a0000-0000-7000-8000-000000000009";
  await scene.db.tenantTx(ours.tenantId, (tx) =>
    publishFact(tx, licenceRevoked, licenceId, {
      ...{ tenantId: ours.tenantId, licenseeId: theirs.tenantId, licenceId, libraryId: licenceId, titleId: null },
    }),
  );
  const stateOf = async ({ id }: { id: string }) => (await scene.ask(getSession, { sessionId: id }, theirs)).data.state;
  await eventually("the larger one is over", async () => ((await stateOf(large)) === "revoked" ? true : undefined));
  assert.equal(await stateOf(small), "active");
});
