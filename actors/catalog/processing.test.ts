/** From a source to a title that plays: what uploads and transcoders tell, windows, and who may play. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, test } from "node:test";
import { attachSource, contentSourceAttached, playableTitle, type Title } from "../../contracts/catalog.ts";
import { publicMarkPath } from "../../contracts/content-set.ts";
import type { Fact } from "../../contracts/kit.ts";
import { transcodeComplete, transcodeFailed, transcodePlayable, transcodeStarted } from "../../contracts/transcoder.ts";
import { publishFact } from "../../lib/events/events.ts";
import { quietLog } from "../../lib/log/log.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { aSource, type Caller, catalogOn, codeOf, factsOf, titleIn } from "./catalog.fixture.ts";
import { Windows } from "./windows.ts";

let db: TestDatabase;
before(async () => {
  db = await testDatabase();
});

const HOUR_MS = 3_600_000;
const DEADLINE_MS = 60_000;
const MEDIA = {
  ...{ durationSeconds: 61.4, width: 1920, height: 1080, videoCodec: "h264", dynamicRange: "sdr" as const },
  ...{ frameRate: 25, audioLanguages: ["de"], subtitleLanguages: [] },
};
const RUNGS = [{ name: "1080p", width: 1920, height: 1080, bitsPerSecond: 5_000_000 }];
type Scene = Awaited<ReturnType<typeof catalogOn>>;

/** Polls what the database says: facts are handled by somebody else. */
const until = async <T>(what: string, look: () => Promise<T | undefined>): Promise<T> => {
  const endsAt = performance.now() + DEADLINE_MS;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    assert.ok(performance.now() < endsAt, `never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
const get = async (caller: Caller, titleId: string): Promise<Title> =>
  titleIn(await caller.call("GET", `/titles/${titleId}`));
const titleWhen = (caller: Caller, titleId: string, is: (title: Title) => boolean): Promise<Title> =>
  until(String(is), async () => {
    const title = await get(caller, titleId);
    return is(title) ? title : undefined;
  });
/** As a transcoder would. */
const teller =
  ({ a }: Scene, titleId: string) =>
  (fact: Fact, revision: number, rest: object = {}): Promise<number> =>
    db.tenantTx(a.tenantId, (tx) =>
      publishFact(tx, fact, titleId, { tenantId: a.tenantId, titleId, revision, ...rest }),
    );
/** A film that is ready. */
const readyFilm = async (scene: Scene, fields: Record<string, unknown> = {}): Promise<Title> => {
  const { id } = await scene.a.make(fields);
  await scene.a.ask(attachSource, aSource({ titleId: id }));
  const tell = teller(scene, id);
  await tell(transcodeStarted, 1, { media: MEDIA });
  await tell(transcodePlayable, 1);
  await tell(transcodeComplete, 1, { rungs: RUNGS });
  return titleWhen(scene.a, id, ({ readyRevision }) => readyRevision === 1);
};
const start = async (t: Parameters<typeof catalogOn>[0]): Promise<Scene> => {
  const scene = await catalogOn(t, db);
  await scene.run();
  return scene;
};

test("a source without a title makes one named after its file, and starts the transcode with its settings", async (t) => {
  const { a } = await catalogOn(t, db);
  const source = aSource({ filename: "My film.final.mkv", kind: "clip" });
  const { titleId, revision } = await a.ask(attachSource, source);
  const { name, kind, state, revision: shown } = await get(a, titleId);
  assert.deepEqual([name, kind, state, shown, revision], ["My film.final", "clip", "processing", 1, 1]);
  const { rows } = await db.asOwner("select payload from event where name = $1 and key = $2", [
    contentSourceAttached.name,
    titleId,
  ]);
  const { sourceId, path, filename } = source;
  const told = {
    tenantId: a.tenantId,
    titleId,
    revision,
    sourceId,
    path,
    filename,
    encryption: "aes-128",
    codec: null,
  };
  assert.deepEqual(rows, [{ payload: told }]);
});

test("a source that is told of twice, also at once, is one revision", async (t) => {
  const { a } = await catalogOn(t, db);
  const { id } = await a.make({ encryption: "cbcs", codec: "all" });
  const source = aSource({ titleId: id });
  const answers = await Promise.all([1, 2, 3].map(() => a.ask(attachSource, source)));
  assert.deepEqual(
    answers,
    [1, 2, 3].map(() => ({ titleId: id, revision: 1 })),
  );
  const { rows } = await db.asOwner<{ payload: object }>("select payload from event where name = $1 and key = $2", [
    contentSourceAttached.name,
    id,
  ]);
  assert.equal(rows.length, 1);
});

test("another tenant's title takes no source", async (t) => {
  const { a, b } = await catalogOn(t, db);
  const { id } = await a.make();
  await assert.rejects(b.ask(attachSource, aSource({ titleId: id })), { code: "TITLE_NOT_FOUND" });
});

test("a transcode makes a title ready, with what the file is; it is published and withdrawn over REST", async (t) => {
  const scene = await start(t);
  const { a } = scene;
  const title = await readyFilm(scene);
  assert.deepEqual([title.state, title.media, title.rungs, title.runtimeSeconds], ["ready", MEDIA, RUNGS, 61]);
  const post = async (word: string, body: object = {}) => a.call("POST", `/titles/${title.id}/${word}`, { body });
  assert.deepEqual(codeOf(await post("withdraw")), [409, "TITLE_STATE"]);
  assert.deepEqual(codeOf(await post("unschedule")), [409, "TITLE_STATE"]);
  await assert.rejects(a.ask(playableTitle, { titleId: title.id }), { code: "TITLE_UNPLAYABLE" });
  assert.equal(titleIn(await post("publish")).state, "published");
  assert.deepEqual(codeOf(await post("publish")), [409, "TITLE_STATE"]);
  const own = {
    titleId: title.id,
    ownerTenantId: a.tenantId,
    encryption: "aes-128",
    availableUntil: null,
    maxHeight: null,
  };
  assert.deepEqual(await a.ask(playableTitle, { titleId: title.id }), { ...own, isPublic: false });
  assert.equal(titleIn(await post("withdraw")).state, "withdrawn");
  assert.equal(titleIn(await post("publish")).state, "published");
  const facts = (await factsOf(db, title.id)).filter((name) => /published|withdrawn/.test(name));
  assert.deepEqual(facts, ["content.published", "content.withdrawn", "content.published"]);
});

test("nobody publishes what can't be played yet", async (t) => {
  const { a } = await catalogOn(t, db);
  const { id } = await a.make();
  assert.deepEqual(codeOf(await a.call("POST", `/titles/${id}/publish`, { body: {} })), [409, "TITLE_STATE"]);
});

test("a failure is shown, and the title is a draft; a second source that works makes it ready", async (t) => {
  const scene = await start(t);
  const { a } = scene;
  const { titleId } = await a.ask(attachSource, aSource());
  const tell = teller(scene, titleId);
  const error = { code: "SOURCE_UNREADABLE", reason: "no video" };
  await tell(transcodeFailed, 1, error);
  const failed = await titleWhen(a, titleId, ({ state }) => state === "draft");
  assert.deepEqual(failed.processingError, error);
  await a.ask(attachSource, aSource({ titleId }));
  await tell(transcodeFailed, 1, error);
  await tell(transcodeComplete, 1, { rungs: RUNGS });
  await tell(transcodeComplete, 2, { rungs: RUNGS });
  const ready = await titleWhen(a, titleId, ({ state }) => state === "ready");
  assert.deepEqual([ready.readyRevision, ready.processingError], [2, null]);
});

test("news that is told twice, and news of an old revision, makes no version", async (t) => {
  const scene = await start(t);
  const { a } = scene;
  const title = await readyFilm(scene);
  const tell = teller(scene, title.id);
  await tell(transcodePlayable, 1);
  await tell(transcodeComplete, 1, { rungs: [] });
  await tell(transcodeFailed, 1, { code: "X", reason: "late" });
  // A newer source, whose news comes after all of these.
  await a.ask(attachSource, aSource({ titleId: title.id }));
  await tell(transcodeFailed, 2, { code: "X", reason: "broken" });
  const last = await titleWhen(a, title.id, ({ processingError }) => processingError !== null);
  const { state, readyRevision, revision, rungs, version } = last;
  assert.deepEqual([state, readyRevision, revision, rungs, version], ["ready", 1, 2, RUNGS, title.version + 2]);
});

test("a title that publishes itself plays as soon as its beginning does", async (t) => {
  const scene = await start(t);
  const { id } = await scene.a.make({ autoPublish: true });
  await scene.a.ask(attachSource, aSource({ titleId: id }));
  await teller(scene, id)(transcodePlayable, 1);
  await titleWhen(scene.a, id, ({ state }) => state === "published");
  assert.equal((await scene.a.ask(playableTitle, { titleId: id })).titleId, id);
});

test("a scheduled title is published when its window opens and withdrawn when it ends, by one of many clocks", async (t) => {
  const scene = await start(t);
  const { a, clock } = scene;
  const title = await readyFilm(scene);
  const from = new Date(clock.nowMs() + HOUR_MS).toISOString();
  const until = new Date(clock.nowMs() + 2 * HOUR_MS).toISOString();
  const change = { availableFrom: from, availableUntil: until };
  await a.call("PATCH", `/titles/${title.id}`, { body: change });
  const past = await a.call("POST", `/titles/${title.id}/schedule`, { body: { at: "2001-01-01T00:00:00Z" } });
  assert.deepEqual(codeOf(past), [422, "BAD_INPUT"]);
  const scheduled = titleIn(await a.call("POST", `/titles/${title.id}/publish`, { body: {} }));
  assert.deepEqual([scheduled.state, scheduled.availableFrom], ["scheduled", from]);
  const clocks = [1, 2, 3].map(() => new Windows({ db, clock, log: quietLog }));
  const rounds = async () => (await Promise.all(clocks.map((one) => one.round()))).reduce((sum, count) => sum + count);
  assert.equal(await rounds(), 0);
  clock.move(HOUR_MS);
  assert.equal(await rounds(), 1);
  assert.equal((await get(a, title.id)).state, "published");
  assert.equal((await a.ask(playableTitle, { titleId: title.id })).availableUntil, until);
  clock.move(HOUR_MS);
  // Nobody has to wait for the clock's round.
  await assert.rejects(a.ask(playableTitle, { titleId: title.id }), { code: "TITLE_UNPLAYABLE" });
  assert.equal(await rounds(), 1);
  assert.equal((await get(a, title.id)).state, "withdrawn");
  const facts = (await factsOf(db, title.id)).filter((name) => /published|withdrawn/.test(name));
  assert.deepEqual(facts, ["content.published", "content.withdrawn"]);
});

test("a schedule is moved and taken back", async (t) => {
  const scene = await start(t);
  const title = await readyFilm(scene);
  const post = async (word: string, body: object) =>
    titleIn(await scene.a.call("POST", `/titles/${title.id}/${word}`, { body }));
  const first = await post("schedule", { at: "2040-01-01T00:00:00Z" });
  const second = await post("schedule", { at: "2041-01-01T00:00:00+01:00" });
  assert.deepEqual([first.state, second.availableFrom], ["scheduled", "2040-12-31T23:00:00.000Z"]);
  assert.equal((await post("unschedule", {})).state, "ready");
});

test("the public mark is there while a published title may be played without a session", async (t) => {
  const scene = await start(t);
  const { a, objects } = scene;
  const title = await readyFilm(scene, { access: "public" });
  const isMarked = async () => (await objects.head({ bucket: "segments", key: publicMarkPath(title.id) })) !== null;
  const marked = (is: boolean) => until(`marked: ${is}`, async () => ((await isMarked()) === is ? true : undefined));
  assert.equal(await isMarked(), false);
  await a.call("POST", `/titles/${title.id}/publish`, { body: {} });
  await marked(true);
  assert.equal((await a.ask(playableTitle, { titleId: title.id })).isPublic, true);
  await a.call("PATCH", `/titles/${title.id}`, { body: { access: "session" } });
  await marked(false);
  await a.call("PATCH", `/titles/${title.id}`, { body: { access: "public" } });
  await marked(true);
  await a.call("POST", `/titles/${title.id}/withdraw`, { body: {} });
  await marked(false);
});

test("what is no film, and another tenant's title, is not played", async (t) => {
  const { a, b } = await catalogOn(t, db);
  const { id } = await a.make({ kind: "series" });
  await a.call("POST", `/titles/${id}/publish`, { body: {} });
  await assert.rejects(a.ask(playableTitle, { titleId: id }), { code: "TITLE_UNPLAYABLE" });
  await assert.rejects(b.ask(playableTitle, { titleId: id }), { code: "TITLE_NOT_FOUND" });
  await assert.rejects(a.ask(playableTitle, { titleId: randomUUID() }), { code: "TITLE_NOT_FOUND" });
});
