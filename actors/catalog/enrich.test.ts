import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../contracts/errors.ts";
import { type CatalogScene, catalogScene } from "./enrich.fixture.ts";

const code = (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => "OK",
    (error: unknown) => codeOf(error) ?? String(error),
  );
const enriched = async ({ enrichment, runJobs, one }: CatalogScene, titleId: string, said: object = {}) => {
  await enrichment.start(one.tenantId, { titleId, ...said });
  await runJobs();
  return (await enrichment.get(one.tenantId, titleId)).data;
};
/** As of an upload: nobody has set its name. */
const fromFile = async ({ db, film, titles, one }: CatalogScene, name: string): Promise<string> => {
  const id = await film(name);
  await db.asOwner("update title set manual_fields = '{}' where id = $1", [id]);
  assert.equal((await titles.get(one.tenantId, { titleId: id })).data.name, name);
  return id;
};

test("a title from a file gets name, year, genres, ratings, people and pictures", async (t) => {
  const scene = await catalogScene(t);
  const { titles, people, artwork, objects, one } = scene;
  const titleId = await fromFile(scene, "Amelie's.Orchard.2001.1080p.BluRay.mkv");
  const { state, chosen, chosenByHand, error } = await enriched(scene, titleId);
  assert.deepEqual(
    { state, chosen, chosenByHand, error },
    { state: "matched", chosen: 104, chosenByHand: false, error: null },
  );
  const { data: title } = await titles.get(one.tenantId, { titleId });
  assert.equal(title.name, "Amélie's Orchard");
  assert.equal(title.originalName, "Le Verger d'Amélie");
  assert.equal(title.year, 2001);
  assert.equal(title.description, 'What "Amélie\'s Orchard" is about.');
  assert.deepEqual(title.externalIds, { imdb: "tt1000104", tmdb: "104" });
  assert.ok(title.genres.length === 2 && title.runtimeSeconds !== null);
  assert.deepEqual(
    title.ratings.map(({ system, age }) => [system, age]),
    [
      ["MPA", 13],
      ["FSK", 12],
    ],
  );
  assert.equal(title.translations.de?.name, "Amélie's Orchard (deutsch)");
  const { data: credits } = await people.credits(one.tenantId, { titleId, limit: 200 });
  assert.deepEqual([credits[0]?.kind, credits[0]?.order, credits.at(-1)?.job], ["cast", 0, "Screenplay"]);
  const { data: lead } = await people.get(one.tenantId, credits[0]!.personId!);
  const { data: films } = await people.filmography(one.tenantId, { personId: lead.id, limit: 200 });
  assert.deepEqual([lead.name, films.length], [credits[0]?.name, 1]);
  assert.match(lead.biography ?? "", /was born in/);
  assert.match(lead.pictureUrl ?? "", /^\/api\/media\/images\/[0-9a-f-]{36}\/artwork\/[0-9a-f]{16}\.jpg$/);
  const { data: pictures } = await artwork.list(one.tenantId, { titleId, limit: 200 });
  const shown = pictures.filter(({ chosen }) => chosen).map(({ kind, language }) => `${kind} ${language}`);
  assert.deepEqual(shown.sort(), ["backdrop en", "backdrop null", "logo en", "poster en", "poster null"]);
  for (const { url } of pictures.filter(({ chosen }) => chosen)) {
    const name = url?.split("/").at(-1);
    assert.ok(objects.all.has(`thumbnails/${titleId}/artwork/${name}`), String(url));
  }
});

test("a refresh of next month is no work on the title's media, whose progress would never end", async (t) => {
  const scene = await catalogScene(t);
  await enriched(scene, await fromFile(scene, "Amelie's.Orchard.2001.1080p.BluRay.mkv"));
  assert.deepEqual(
    scene.queue.map(({ kind, subject }) => ({ kind, of: subject?.kind })),
    [{ kind: "catalog.enrich", of: "title.enrichment" }],
  );
});

test("what a person has set stays through every refresh, and comes back to the service when it is given back", async (t) => {
  const scene = await catalogScene(t);
  const { titles, artwork, queue, one } = scene;
  const titleId = await fromFile(scene, "Seven Winters (1995)");
  await enriched(scene, titleId);
  await titles.patch(one.tenantId, { titleId, name: "Our Winters", description: "By hand." });
  const before = (await artwork.list(one.tenantId, { titleId, limit: 200 })).data;
  const wordless = before.find(({ kind, language }) => kind === "poster" && language === null);
  await artwork.choose(one.tenantId, { titleId, artworkId: wordless!.id, language: "en", trusted: false });
  assert.equal((await enriched(scene, titleId, { language: "de" })).state, "matched");
  const { data: title } = await titles.get(one.tenantId, { titleId });
  assert.deepEqual([title.name, title.description, title.year], ["Our Winters", "By hand.", 1995]);
  assert.equal(title.genres.length > 0, true);
  const chosen = (await artwork.list(one.tenantId, { titleId, limit: 200 })).data.filter(
    (one) => one.chosen && one.kind === "poster",
  );
  assert.equal(chosen.find(({ language }) => language === "en")?.id, wordless?.id);
  await titles.patch(one.tenantId, { titleId, description: null });
  await enriched(scene, titleId);
  const again = (await titles.get(one.tenantId, { titleId })).data;
  assert.deepEqual([again.name, again.description], ["Our Winters", "Worum es in „Seven Winters“ geht."]);
  const refreshes = queue.filter(({ runAtMs }) => runAtMs !== undefined);
  assert.ok(refreshes.length > 0 && refreshes.every(({ key }) => key?.startsWith(titleId)));
});

test("two that fit are left to a person, whose choice holds", async (t) => {
  const scene = await catalogScene(t);
  const titleId = await fromFile(scene, "The Glass Harbour");
  const unsure = await enriched(scene, titleId);
  assert.equal(unsure.state, "unsure");
  assert.deepEqual(
    unsure.candidates
      .slice(0, 2)
      .map(({ tmdbId, year }) => [tmdbId, year])
      .sort(),
    [
      [101, 1999],
      [102, 2017],
    ],
  );
  const { state, chosen, chosenByHand } = await enriched(scene, titleId, { tmdbId: 102 });
  assert.deepEqual([state, chosen, chosenByHand], ["matched", 102, true]);
  assert.equal((await enriched(scene, titleId)).chosen, 102);
  const wrong = await enriched(scene, titleId, { tmdbId: 999_999 });
  assert.deepEqual([wrong.state, wrong.error], ["unmatched", "The metadata service has no /movie/999999."]);
  assert.equal((await enriched(scene, await fromFile(scene, "Zzyzx qwrtp"))).state, "unmatched");
});

test("seasons and episodes follow their series", async (t) => {
  const scene = await catalogScene(t);
  const { titles, enrichment, one } = scene;
  const make = async (fields: Parameters<typeof titles.create>[1]) => {
    const { id } = (await titles.create(one.tenantId, fields)).data;
    await scene.db.asOwner("update title set manual_fields = '{}' where id = $1", [id]);
    return id;
  };
  const series = await make({ kind: "series", name: "The Cartographers" });
  const season = await make({ kind: "season", name: "2", parentId: series, number: 2 });
  const episode = await make({ kind: "episode", name: "s02e03.mkv", parentId: season, number: 3 });
  const early = await enriched(scene, episode);
  assert.deepEqual([early.state, early.error], ["unmatched", "its series is not matched, or it has no place in one"]);
  await enriched(scene, series);
  const names = await Promise.all([series, season, episode].map((titleId) => titles.get(one.tenantId, { titleId })));
  assert.deepEqual(
    names.map(({ data }) => data.name),
    ["The Cartographers", "Season 2", "Chapter 3"],
  );
  assert.equal((await enrichment.get(one.tenantId, episode)).data.state, "matched");
});

test("a service that misbehaves never holds up a title, and what it had is there when it is back", async (t) => {
  const scene = await catalogScene(t);
  const { simulator, titles, enrichment, runJobs, queue, one } = scene;
  const titleId = await fromFile(scene, "Seven Winters 1995");
  await scene.db.asOwner("update title set state = 'ready', revision = 1, playable_revision = 1, ready_revision = 1");
  for (const mood of [{ status: 500 }, { garbage: true }, { status: 429 }]) {
    simulator.misbehave(mood);
    await enrichment.start(one.tenantId, { titleId });
    assert.equal(await code(runJobs()), "METADATA_FAILED");
    const { state, error } = (await enrichment.get(one.tenantId, titleId)).data;
    assert.equal(state, "waiting");
    assert.match(error ?? "", /^The metadata service failed/);
  }
  assert.equal((await titles.publish(one.tenantId, { titleId })).data.state, "published");
  await scene.db.tenantTx(one.tenantId, (tx) =>
    enrichment.job.ended!(tx, { jobId: "1", payload: { titleId }, state: "dead", reason: "too often" }),
  );
  const dead = (await enrichment.get(one.tenantId, titleId)).data;
  assert.deepEqual([dead.state, dead.error], ["failed", "too often"]);
  assert.equal(queue.length, 0);
  simulator.misbehave({});
  assert.equal((await enriched(scene, titleId)).state, "matched");
  assert.equal((await titles.get(one.tenantId, { titleId })).data.state, "published");
});

test("pictures that can't be had leave the rest as it is", async (t) => {
  const scene = await catalogScene(t);
  const { objects, artwork, one } = scene;
  objects.put = () => Promise.reject(new Error("full"));
  const titleId = await fromFile(scene, "Seven Winters 1995");
  assert.equal((await enriched(scene, titleId)).state, "matched");
  const { data } = await artwork.list(one.tenantId, { titleId, limit: 200 });
  assert.ok(data.length > 0 && data.every(({ url, chosen }) => url === null && !chosen));
});

test("without a token titles live without enrichment", async (t) => {
  const scene = await catalogScene(t, { withoutToken: true });
  const { enrichment, queue, one, film } = scene;
  const titleId = await film("Seven Winters");
  await enrichment.heardOf({ tenantId: one.tenantId, titleId });
  assert.equal(queue.length, 0);
  assert.equal((await enrichment.get(one.tenantId, titleId)).data.state, "off");
  assert.equal(await code(enrichment.start(one.tenantId, { titleId })), "ENRICHMENT_OFF");
});

test("a title is looked up once however often it is heard of, and another tenant's never", async (t) => {
  const scene = await catalogScene(t);
  const { enrichment, queue, one, other } = scene;
  const titleId = await fromFile(scene, "Seven Winters 1995");
  for (let count = 0; count < 3; count += 1) await enrichment.heardOf({ tenantId: one.tenantId, titleId });
  assert.equal(queue.length, 1);
  await scene.runJobs();
  await enrichment.heardOf({ tenantId: one.tenantId, titleId });
  assert.equal(queue.filter(({ runAtMs }) => runAtMs === undefined).length, 0);
  await enrichment.heardOf({ tenantId: other.tenantId, titleId });
  assert.equal(await code(enrichment.get(other.tenantId, titleId)), "TITLE_NOT_FOUND");
  assert.equal(await code(enrichment.start(other.tenantId, { titleId })), "TITLE_NOT_FOUND");
});

test("a title is looked up in its own language, else its tenant's, else English", async (t) => {
  const { titles, enrichment, film, runJobs, one, other } = await catalogScene(t);
  await enrichment.patchSettings(one.tenantId, { language: "de" });
  const name = "Amélie's Orchard";
  const [german, english, foreign] = [await film(name), await film(name), await film(name, {}, other)];
  await enrichment.start(one.tenantId, { titleId: german, tmdbId: 104 });
  await enrichment.start(one.tenantId, { titleId: english, tmdbId: 104, language: "en" });
  await enrichment.start(other.tenantId, { titleId: foreign, tmdbId: 104 });
  await runJobs();
  const described = async ({ tenantId }: { tenantId: string }, titleId: string) =>
    (await titles.get(tenantId, { titleId })).data.description;
  const all = [await described(one, german), await described(one, english), await described(other, foreign)];
  const inEnglish = `What "${name}" is about.`;
  assert.deepEqual(all, [`Worum es in „${name}“ geht.`, inEnglish, inEnglish]);
  assert.equal((await enrichment.get(one.tenantId, german)).data.language, null, "it follows its tenant");
});

test("a choice that was made while a job ran is not overwritten by it", async (t) => {
  const scene = await catalogScene(t);
  const { enrichment, simulator, queue, runJobs, one } = scene;
  const titleId = await fromFile(scene, "The Glass Harbour 1999");
  await enrichment.start(one.tenantId, { titleId });
  simulator.misbehave({ slowMs: 1_000, times: 1 });
  const running = runJobs();
  while (simulator.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await enrichment.start(one.tenantId, { titleId, tmdbId: 102 });
  await running;
  assert.equal((await enrichment.get(one.tenantId, titleId)).data.chosen, 102);
  assert.equal(queue.filter(({ runAtMs }) => runAtMs === undefined).length, 0);
});
