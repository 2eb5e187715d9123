/**
 * Two tenants with the very same titles: nothing of one is seen, changed or played by the other, at any route that the
 * contracts declare. A route that is new is tried with these; one with a parameter that nobody made fails here.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { API_BASE, ROUTES, type Route } from "../../gateway/routes.ts";
import { startTmdbSimulator } from "../../tools/simulators/tmdb-server.ts";
import { type Answer, apiOf, until } from "../support/platform.ts";
import { newTitle, openScene, tusHeaders, upload } from "../vod-hostile/scene.ts";
import { bodyOf, type Ids, namingOther } from "./bodies.ts";
import { liveIds, openSide, type Side } from "./scene.ts";
import { watchJobs } from "./watch.ts";

const OURS = ROUTES.filter(({ rest }) => rest.scope !== "platform:admin");
const READS = OURS.filter(({ rest }) => rest.method === "GET");
const PLACED = OURS.filter(({ pathParams }) => pathParams.length > 0);
const ENDS_MS = 30_000;
const HIDDEN = [403, 404];
const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

const pathOf = ({ template }: Route, ids: Ids): string =>
  template.slice(API_BASE.length).replace(/:(\w+)/g, (_, name: string) => {
    const id = ids[name];
    assert.ok(id, `no id for :${name} is made in scene.ts: ${template} is not tried without one`);
    return id;
  });

interface Asked {
  readonly by: Side;
  readonly ids: Ids;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly query?: string;
}
const ask = (route: Route, { by, ids, body, query = "" }: Asked): Promise<Answer> => {
  const given = route.hasBody ? (body ?? bodyOf(route.ask.name)) : undefined;
  return by.api.call(route.rest.method, pathOf(route, ids) + query, given);
};

const IGNORED = new Set(["lastUsedAt", "requestId"]);
/** All that a tenant sees of its own, as text by route; what reading itself moves is left out. */
const seenBy = async (by: Side, ids: Ids): Promise<Record<string, string>> => {
  const seen: Record<string, string> = {};
  for (const route of READS.filter(({ pathParams }) => pathParams.every((name) => name in by.ids))) {
    const { status, body } = await ask(route, { by, ids });
    seen[`${status} ${route.template}`] = JSON.stringify(body, (key, value) => (IGNORED.has(key) ? undefined : value));
  }
  return seen;
};

const idsIn = (texts: Iterable<string>): Set<string> => new Set([...texts].flatMap((text) => text.match(UUID) ?? []));

/** Ids that are `secret` in an answer, but for those that were asked for by name. */
const leakedIn = (answer: Answer, secret: ReadonlySet<string>, named: Ids = {}): string[] => {
  const known = new Set(Object.values(named));
  return [...idsIn([JSON.stringify(answer.body)])].filter((id) => secret.has(id) && !known.has(id));
};

const MADE_UP = "01900000-0000-7000-8000-00000000000f";
const withoutIds = ({ body }: Answer, ids: Ids): string =>
  Object.values(ids).reduce((text, id) => text.replaceAll(id, "ID"), JSON.stringify(body));

/** Whether an answer is the very one that an id gets which nobody has. */
const isBlind = async (route: Route, answer: Answer, { by, ids }: Asked): Promise<boolean> => {
  if (route.rest.method !== "GET") return false;
  const nobodys: Ids = Object.fromEntries(route.pathParams.map((name) => [name, MADE_UP]));
  const own: Ids = Object.fromEntries(route.pathParams.map((name) => [name, ids[name] ?? ""]));
  return withoutIds(answer, own) === withoutIds(await ask(route, { by, ids: nobodys }), nobodys);
};

/** Which routes tell or do something when they are asked for what is another tenant's. */
const openTo = async (by: Side, ids: Ids): Promise<string[]> => {
  const open: string[] = [];
  for (const route of PLACED) {
    const answer = await ask(route, { by, ids });
    const { status, body } = answer;
    const isOpen = status < 300 && !(await isBlind(route, answer, { by, ids }));
    if (isOpen) open.push(route.ask.name);
    if (status >= 300)
      assert.ok(HIDDEN.includes(status), `${route.ask.name} answered ${status}: ${JSON.stringify(body)}`);
  }
  return open;
};

/** What a licence lets its holder do: find it, see its pictures and people, and play it. */
const LICENSED = ["catalog.getTitle", "artwork.list", "people.credits", "playback.start"];

/** Fields of a list that choose by an id. */
const chooses = (field: string): boolean => /Id$|^parent$/.test(field) && field !== "tmdbId";

test("nothing of a tenant crosses to another one with the same titles", async (t) => {
  const tmdb = await startTmdbSimulator({ token: "token" });
  t.after(() => tmdb.close());
  const env = {
    TMDB_URL: tmdb.url,
    TMDB_IMAGE_URL: tmdb.imageUrl,
    TMDB_TOKEN: "token",
    ALLOW_PRIVATE_SOURCES: "127.0.0.1/32",
  };
  const scene = await openScene(t, env);
  const live = await liveIds(scene);
  const [one, two] = await Promise.all([openSide(scene, "one"), openSide(scene, "two")]);
  const granted = await one.api.call<{ data: { id: string } }>("POST", `/libraries/${one.ids.libraryId}/licences`, {
    tenant: "two",
    startsAt: new Date(Date.now() + 86_400_000).toISOString(),
  });
  assert.equal(granted.status, 201, "a licence that does not hold yet");
  const ones: Ids = { ...live, ...one.ids, licenceId: granted.body.data.id };
  const before = await seenBy(one, ones);
  const secret = idsIn(Object.values(before));
  for (const id of [granted.body.data.id, ones.libraryId]) secret.delete(id ?? ""); // told to who holds it

  await t.test("lists show what is one's own alone, whatever they are asked for", async () => {
    let count = 0;
    for (const route of READS.filter(({ pathParams }) => pathParams.length === 0)) {
      const asked = { by: two, ids: two.ids };
      const answer = await ask(route, asked);
      assert.equal(answer.status, 200, route.ask.name);
      assert.deepEqual(leakedIn(answer, secret), [], route.ask.name);
      for (const field of route.clientFields.filter(chooses)) {
        const of = field === "subjectId" ? "&subjectKind=title" : "";
        const chosen = await ask(route, { ...asked, query: `?${field}=${ones.titleId}${of}` });
        assert.deepEqual((chosen.body as { data?: unknown }).data ?? [], [], `${route.ask.name} by ${field}`);
        count += 1;
      }
    }
    const found = await two.api.call<{ total: number; facets: unknown }>("GET", "/titles/search?q=up");
    assert.equal(found.body.total, 1, "its own film, once");
    assert.ok(count >= 4, `${count} fields choose by id`);
  });

  await t.test("every route with a parameter hides what is another tenant's", async () => {
    assert.deepEqual(await openTo(two, ones), []);
    // The first of several parameters one's own, the last the other's.
    for (const route of PLACED.filter(({ pathParams }) => pathParams.length > 1)) {
      const [last = ""] = route.pathParams.slice(-1);
      const ids = { ...ones, ...two.ids, [last]: ones[last] ?? "" };
      const { status } = await ask(route, { by: two, ids });
      assert.ok(HIDDEN.includes(status), `${route.ask.name} answered ${status}`);
    }
  });

  await t.test("no body leads to what is another tenant's", async () => {
    for (const route of OURS.filter(({ hasBody, ask: { name } }) => hasBody && namingOther(name, ones))) {
      const body = namingOther(route.ask.name, ones) ?? {};
      const answer = await ask(route, { by: two, ids: { ...live, ...two.ids }, body });
      const outcomes = (answer.body as { data?: { ok?: boolean }[] }).data;
      if (answer.status === 200)
        assert.deepEqual(
          outcomes?.map(({ ok }) => ok),
          [false],
          route.ask.name,
        );
      else assert.ok(answer.status >= 400 && answer.status < 500, `${route.ask.name} answered ${answer.status}`);
      assert.deepEqual(leakedIn(answer, secret, ones), [], route.ask.name);
    }
    const byId = OURS.filter(({ clientFields }) =>
      clientFields.some((name) => /Ids?$/.test(name) && !/tmdb|external/.test(name)),
    );
    const untried = byId.filter(({ hasBody, ask: { name } }) => hasBody && !namingOther(name, ones));
    assert.deepEqual(
      untried.map(({ ask: { name } }) => name),
      [],
      "have a body in bodies.ts that names another's",
    );
  });

  await t.test("uploads go on for who began them alone", async () => {
    for (const method of ["HEAD", "PATCH", "DELETE"]) {
      const headers = {
        ...tusHeaders(two),
        "upload-offset": "1000",
        "content-type": "application/offset+octet-stream",
      };
      const body = method === "PATCH" ? { body: "bytes" } : {};
      const answer = await fetch(scene.gateway + one.uploadPath, { method, headers, ...body });
      assert.equal(answer.status, 404, method);
    }
    const head = await fetch(scene.gateway + one.uploadPath, { method: "HEAD", headers: tusHeaders(one) });
    assert.equal(head.headers.get("upload-offset"), "1000");
  });

  await t.test("a token of one opens no playlist, segment or key of the other", async () => {
    for (const base of [scene.edge, scene.gateway])
      for (const leaf of ["hls/ID/master.m3u8", "hls/ID/source.m3u8", "hls/ID/key.1.bin", "dash/ID/manifest.mpd"]) {
        const at = (side: Side): string =>
          `${base}/api/media/~${two.token}/${leaf.replace("ID", side.ids.titleId ?? "")}`;
        assert.equal((await fetch(at(two))).status, 200, leaf);
        assert.equal((await fetch(at(one))).status, 403, leaf);
      }
  });

  await t.test("of all that was tried nothing changed", async () => {
    const after = await seenBy(one, ones);
    for (const [route, text] of Object.entries(before))
      if (!/key-deliveries|\/jobs|enrichment|streamers/.test(route)) assert.equal(after[route], text, route);
    const channel = await scene.admin.call<{ data: { name: string } }>("GET", `/channels/${live.channelId}`);
    assert.equal(channel.body.data.name, "News");
  });

  await t.test("events of jobs are told to who has them", async () => {
    const of = (id: string | undefined): string =>
      `${scene.gateway}/api/v1/jobs/events?subjectKind=title&subjectId=${id}`;
    const denied = await fetch(`${scene.gateway}/api/v1/jobs/${one.ids.jobId}/events`, {
      headers: { authorization: `Bearer ${two.key}` },
    });
    assert.equal(denied.status, 404);
    const [theirs, own] = [watchJobs(of(ones.titleId), two.key), watchJobs(of(ones.titleId), one.key)];
    await own.until("event: job");
    await one.api.call("POST", `/titles/${ones.titleId}/enrich`, {});
    assert.deepEqual(
      [...idsIn([theirs.end()])].filter((id) => secret.has(id)),
      [],
    );
    own.end();
  });

  await t.test("a licence opens what it says, and only as long as it holds", async () => {
    const at = `/libraries/${one.ids.libraryId}/licences`;
    const licence = await one.api.call<{ data: { id: string } }>("POST", at, { tenant: "two", titleId: ones.titleId });
    assert.equal(licence.status, 201);
    const other = await newTitle(one, { name: "Up II", autoPublish: false });
    assert.deepEqual(await openTo(two, { ...ones, licenceId: licence.body.data.id }), LICENSED);
    assert.deepEqual(await openTo(two, { ...ones, titleId: other }), []);
    await assert.rejects(upload(scene, two, { fields: { titleId: ones.titleId ?? "" } }), /answered 404/);
    const revoked = await one.api.call("DELETE", `${at}/${licence.body.data.id}`);
    assert.equal(revoked.status, 200);
    // Playback remembers for a second what may be played, and ends what was begun by that.
    await until("nothing to be open", async () => (await openTo(two, ones)).length === 0 || undefined, ENDS_MS);
    await until(
      "its sessions to end",
      async () => {
        const { body } = await two.api.call<{ data: { state: string }[] }>("GET", `/sessions?titleId=${ones.titleId}`);
        return body.data.every(({ state }) => state === "revoked") || undefined;
      },
      ENDS_MS,
    );
  });

  await t.test("a key of neither tenant gets nowhere", async () => {
    const api = apiOf(scene.gateway, "ck_none");
    for (const route of OURS) {
      const { status } = await api.call(route.rest.method, pathOf(route, ones), route.hasBody ? {} : undefined);
      assert.equal(status, 401, route.ask.name);
    }
  });
});
