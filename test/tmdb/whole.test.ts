/** The catalog with a metadata service, over the REST API: real gateway, database, facts, jobs and object store. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import { ADMIN, CONFIG, testObjects } from "../../actors/catalog/catalog.fixture.ts";
import { titleService } from "../../actors/catalog/catalog.service.ts";
import { enrichmentServices } from "../../actors/catalog/enrichment.service.ts";
import { ensureDefaultTenant } from "../../actors/tenant/bootstrap.ts";
import { tenantService } from "../../actors/tenant/tenant.service.ts";
import { transcodePictures } from "../../contracts/transcoder.ts";
import { testGateway } from "../../gateway/gateway.fixture.ts";
import { systemClock } from "../../lib/clock.ts";
import { publishFact } from "../../lib/events/events.ts";
import { pgEvents } from "../../lib/events/pg-events.ts";
import { openJobs } from "../../lib/jobs/jobs.ts";
import { quietLog } from "../../lib/log/log.ts";
import { jpegOf } from "../../tools/simulators/tmdb-pictures.ts";
import { startTmdbSimulator } from "../../tools/simulators/tmdb-server.ts";
import { eventually } from "../support/control.ts";
import { testDatabase } from "../support/database.ts";

type Data = Record<string, unknown>;

const scene = async (t: TestContext, { token = "secret" as string | null } = {}) => {
  // First: hooks run in the order in which they were given, and nothing may be taken away under a job that runs.
  let stop = async (): Promise<void> => {};
  t.after(() => stop());
  const db = await testDatabase(t);
  const simulator = await startTmdbSimulator({ token: "secret" });
  t.after(() => simulator.close());
  const objects = await testObjects(t);
  const events = pgEvents({ db, log: quietLog });
  const jobs = openJobs({ db, log: quietLog, clock: systemClock, nodeId: "node-1" });
  const { tenantId } = await ensureDefaultTenant({ db, adminApiKey: ADMIN });
  const config = {
    ...{ ...CONFIG, allowPrivateSources: [], tmdbRequestsPerSecond: 500, tmdbToken: token },
    ...{ tmdbUrl: simulator.url, tmdbImageUrl: simulator.imageUrl },
  };
  const ground = { config, db, events, objects, jobs, clock: systemClock, log: quietLog };
  const services = [tenantService(ground), titleService(ground), ...enrichmentServices(ground)];
  const except = ["tenant", "catalog", "libraries", "people", "artwork", "enrichment"];
  const gateway = await testGateway(t, { except, services });
  stop = async () => {
    await jobs.stop();
    await events.stop();
  };
  await events.start();
  await jobs.start();
  const call = async (method: string, path: string, body?: unknown, key = ADMIN) => {
    const answer = await gateway.call(method, `/api/v1${path}`, { key, ...(body === undefined ? {} : { body }) });
    return { status: answer.status, code: answer.body.code, data: answer.body.data as never };
  };
  const made = async (fields: object): Promise<string> => {
    const { status, data } = await call("POST", "/titles", { kind: "movie", ...fields });
    assert.equal(status, 201);
    return (data as { id: string }).id;
  };
  const enrichedAs = (titleId: string, state: string): Promise<Data> =>
    eventually(`the title is ${state}`, async () => {
      const { data } = await call("GET", `/titles/${titleId}/enrichment`);
      return (data as Data).state === state ? (data as Data) : undefined;
    });
  return { db, simulator, objects, tenantId, call, made, enrichedAs };
};

test("a title that is made is looked up by itself: people, pictures, library and all", async (t) => {
  const { call, made, enrichedAs, simulator } = await scene(t);
  simulator.misbehave({ status: 500, times: 2 });
  const titleId = await made({ name: "Seven Winters", year: 1995 });
  const { chosen } = await enrichedAs(titleId, "matched");
  assert.equal(chosen, 105);
  const { data: title } = await call("GET", `/titles/${titleId}`);
  const { name, description, genres } = title as { name: string; description: string; genres: string[] };
  assert.deepEqual([name, description, genres.length], ["Seven Winters", 'What "Seven Winters" is about.', 2]);
  const { data: credits } = await call("GET", `/titles/${titleId}/credits`);
  const [lead] = credits as { personId: string }[];
  const person = await eventually("the lead's page has more than a name", async () => {
    const { data } = await call("GET", `/people/${lead?.personId}`);
    return (data as Data).biography === null ? undefined : (data as Data);
  });
  const { data: films } = await call("GET", `/people/${person.id}/filmography`);
  assert.deepEqual(
    (films as Data[]).map((film) => film.titleId),
    [titleId],
  );
  const { data: pictures } = await call("GET", `/titles/${titleId}/artwork`);
  assert.ok((pictures as Data[]).some(({ kind, chosen, url }) => kind === "poster" && chosen && url !== null));
  const { data: libraries } = await call("GET", "/libraries");
  const [standard] = libraries as { id: string; titleCount: number }[];
  assert.equal(standard?.titleCount, 1);
  const { data: listed } = await call("GET", `/libraries/${standard?.id}/titles`);
  assert.deepEqual(
    (listed as Data[]).map((one) => one.titleId),
    [titleId],
  );
});

test("a person's words beat a refresh over the API, and a licence lets another tenant in and out", async (t) => {
  const { call, made, enrichedAs, db } = await scene(t);
  const titleId = await made({ name: "The Glass Harbour" });
  const { candidates } = await enrichedAs(titleId, "unsure");
  assert.ok((candidates as Data[]).length >= 2);
  await call("PATCH", `/titles/${titleId}`, { description: "By hand." });
  const chosen = await call("POST", `/titles/${titleId}/enrich`, { tmdbId: 102 });
  assert.deepEqual([chosen.status, (chosen.data as Data).chosenByHand], [202, true]);
  await enrichedAs(titleId, "matched");
  const { data: title } = await call("GET", `/titles/${titleId}`);
  assert.deepEqual([(title as Data).description, (title as Data).year], ["By hand.", 2017]);
  await db.asOwner("update title set state = 'ready', revision = 1, playable_revision = 1 where id = $1", [titleId]);
  assert.equal((await call("POST", `/titles/${titleId}/publish`, {})).status, 200);
  const { data: tenant } = await call("POST", "/tenants", { slug: "guest" });
  const key = (tenant as { apiKey: { secret: string } }).apiKey.secret;
  assert.equal((await call("GET", `/titles/${titleId}`, undefined, key)).code, "TITLE_NOT_FOUND");
  const { data: libraries } = await call("GET", "/libraries");
  const [standard] = libraries as { id: string }[];
  const granted = await call("POST", `/libraries/${standard?.id}/licences`, { tenant: "guest" });
  assert.equal(granted.status, 201);
  const { data: seen } = await call("GET", `/titles/${titleId}`, undefined, key);
  assert.equal((seen as Data).ownerTenant, "default");
  const { data: received } = await call("GET", "/licences", undefined, key);
  assert.deepEqual(
    (received as Data[]).map(({ ownerTenant, active }) => [ownerTenant, active]),
    [["default", true]],
  );
  assert.equal((await call("PATCH", `/titles/${titleId}`, { name: "X" }, key)).code, "TITLE_NOT_FOUND");
  const licenceId = (granted.data as { id: string }).id;
  await call("DELETE", `/libraries/${standard?.id}/licences/${licenceId}`);
  assert.equal((await call("GET", `/titles/${titleId}`, undefined, key)).code, "TITLE_NOT_FOUND");
});

test("without a token frames of the film are its posters, and nothing is asked of anybody", async (t) => {
  const { call, made, objects, db, tenantId, simulator } = await scene(t, { token: null });
  const titleId = await made({ name: "Seven Winters", year: 1995 });
  const path = `${titleId}/r1/poster-1.jpg`;
  await objects.put({ bucket: "thumbnails", key: path }, jpegOf({ width: 320, height: 180 }, 3));
  const news = { tenantId, titleId, revision: 1, storyboardPath: null, previewPath: null, trailerPath: null };
  await db.tenantTx(tenantId, (tx) =>
    publishFact(tx, transcodePictures, titleId, {
      ...news,
      posters: [{ path, width: 320, height: 180, atSeconds: 4 }],
    }),
  );
  const poster = await eventually("the frame is the poster", async () => {
    const { data } = await call("GET", `/titles/${titleId}/artwork`);
    return (data as Data[]).find(({ kind, chosen }) => kind === "poster" && chosen);
  });
  assert.deepEqual([poster.source, poster.language], ["frame", null]);
  const key = String(poster.url).replace("/api/media/images/", "");
  assert.ok(await objects.head({ bucket: "thumbnails", key }));
  assert.equal(((await call("GET", `/titles/${titleId}/enrichment`)).data as Data).state, "off");
  assert.equal((await call("POST", `/titles/${titleId}/enrich`, {})).code, "ENRICHMENT_OFF");
  assert.deepEqual(simulator.requests, []);
  assert.equal((await call("GET", `/titles/${randomUUID()}/artwork`)).code, "TITLE_NOT_FOUND");
});
