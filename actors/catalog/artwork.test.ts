import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { codeOf } from "../../contracts/errors.ts";
import { OutgoingAgents } from "../../lib/http/outgoing-agents.ts";
import { jpegOf, pngOf } from "../../tools/simulators/tmdb-pictures.ts";
import { PICTURE_BYTES_MAX } from "./artwork-fetch.ts";
import { pictureType } from "./artwork-type.ts";
import { catalogScene } from "./enrich.fixture.ts";

const failed = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "OK",
    (error: Error) => `${codeOf(error)}: ${error.message}`,
  );

/** A server of pictures, and of what is none. */
const pictureServer = async (t: TestContext, answers: Readonly<Record<string, Buffer | string>>): Promise<string> => {
  const server = createServer(({ url = "" }, response) => {
    const answer = answers[url];
    if (typeof answer === "string") response.writeHead(302, { location: answer }).end();
    else response.writeHead(answer ? 200 : 404, { "content-type": "image/jpeg" }).end(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

test("what a picture is, its bytes say: not its name and not a server", () => {
  const size = { width: 40, height: 24 };
  const type = (bytes: Buffer) => {
    const found = pictureType(bytes);
    return found && [found.extension, found.contentType, found.width, found.height];
  };
  assert.deepEqual(type(jpegOf(size, 1)), ["jpg", "image/jpeg", 40, 24]);
  assert.deepEqual(type(pngOf(size, 1)), ["png", "image/png", 40, 24]);
  const webp = Buffer.alloc(40);
  webp.write("RIFF\0\0\0\0WEBPVP8X", "latin1");
  webp.writeUIntLE(39, 24, 3);
  webp.writeUIntLE(23, 27, 3);
  assert.deepEqual(type(webp), ["webp", "image/webp", 40, 24]);
  const whole = jpegOf(size, 1);
  const strange = ["<svg xmlns='http://www.w3.org/2000/svg'/>     ", "GIF89a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"];
  for (const bytes of [...strange.map((text) => Buffer.from(text)), Buffer.alloc(0), whole.subarray(0, 40)]) {
    assert.equal(type(bytes), undefined);
  }
  for (let length = 0; length < whole.length; length += 7) type(whole.subarray(0, length));
});

test("a picture by its address is kept under its own hash and shown for its kind and language", async (t) => {
  const { artwork, objects, film, one } = await catalogScene(t);
  const poster = jpegOf({ width: 200, height: 300 }, 5);
  const base = await pictureServer(t, { "/a": poster, "/away": "/a" });
  const titleId = await film("A film");
  const said = { titleId, kind: "poster" as const, trusted: true };
  const { data } = await artwork.choose(one.tenantId, { ...said, url: `${base}/away`, language: "de" });
  const { source, language, width, height, chosen, url } = data;
  assert.deepEqual(
    { source, language, width, height, chosen },
    { source: "manual", language: "de", width: 200, height: 300, chosen: true },
  );
  const [, name] = /^\/api\/media\/images\/[0-9a-f-]+\/artwork\/([0-9a-f]{16}\.jpg)$/.exec(url ?? "") ?? [];
  assert.deepEqual(objects.all.get(`thumbnails/${titleId}/artwork/${name}`), poster);
  await artwork.choose(one.tenantId, { ...said, url: `${base}/a` });
  assert.equal((await artwork.list(one.tenantId, { titleId, limit: 200 })).data.length, 1);
  await artwork.delete(one.tenantId, { titleId, artworkId: data.id });
  assert.equal(objects.all.size, 0);
  assert.equal(
    await failed(artwork.delete(one.tenantId, { titleId, artworkId: data.id })),
    `ARTWORK_NOT_FOUND: The title has no picture ${data.id}.`,
  );
});

test("what is no picture, too large, gone or at a private address is refused", async (t) => {
  const { artwork, objects, film, one, other, db } = await catalogScene(t);
  const huge = Buffer.concat([jpegOf({ width: 40, height: 40 }, 1), Buffer.alloc(PICTURE_BYTES_MAX)]);
  const page = Buffer.from("<html>this is no picture at all, whatever the head says</html>");
  const giant = jpegOf({ width: 16, height: 16 }, 1);
  giant.writeUInt16BE(60_000, giant.indexOf(Buffer.from([0xff, 0xc0])) + 5);
  const base = await pictureServer(t, {
    "/page": page,
    "/huge": huge,
    "/giant": giant,
    "/out": "file:///etc/passwd",
    "/loop": "/loop",
  });
  const titleId = await film("A film");
  const choose = (path: string, trusted = true, tenant = one) =>
    failed(artwork.choose(tenant.tenantId, { titleId, kind: "poster", url: `${base}${path}`, trusted }));
  assert.equal(await choose("/page"), "PICTURE_REFUSED: The picture is refused: it is neither JPEG, PNG nor WebP.");
  assert.equal(await choose("/huge"), "PICTURE_REFUSED: The picture is refused: it is larger than 15728640 bytes.");
  assert.equal(await choose("/giant"), "PICTURE_REFUSED: The picture is refused: 16 × 60000 is no size for one.");
  assert.match(await choose("/none"), /^SOURCE_NOT_FOUND/);
  assert.match(await choose("/out"), /^SOURCE_URL_REFUSED/);
  assert.match(await choose("/loop"), /^SOURCE_FAILED/);
  assert.match(await choose("/page", false), /^SOURCE_URL_REFUSED: .*private address/);
  assert.match(await choose("/page", true, other), /^TITLE_NOT_FOUND/);
  const neither = artwork.choose(one.tenantId, { titleId, trusted: false });
  assert.match(await failed(neither), /^BAD_INPUT/);
  assert.equal(objects.all.size, 0);
  const { rows } = await db.asOwner("select id from artwork");
  assert.deepEqual(rows, []);
});

test("a frame of the film is its poster until there is a better one, or a person says otherwise", async (t) => {
  const { artwork, objects, enrichment, film, runJobs, one } = await catalogScene(t);
  const titleId = await film("Seven Winters", { year: 1995 });
  const of = { tenantId: one.tenantId, titleId };
  const frames = [1, 2].map((at) => ({ path: `${titleId}/r1/poster-${at}.jpg`, width: 320, height: 180 }));
  for (const [at, { path }] of frames.entries()) {
    await objects.put({ bucket: "thumbnails", key: path }, jpegOf({ width: 320, height: 180 }, at));
  }
  const posters = async () =>
    (await artwork.list(one.tenantId, { titleId, limit: 200 })).data.filter((art) => art.kind === "poster");
  const shown = async () => (await posters()).filter(({ chosen }) => chosen).map(({ source }) => source);
  for (let count = 0; count < 2; count += 1) await artwork.takeFrames(of, frames);
  assert.deepEqual([(await posters()).length, await shown()], [2, ["frame"]]);
  await enrichment.start(one.tenantId, { titleId });
  await runJobs();
  assert.deepEqual(await shown(), ["tmdb", "tmdb"]);
  await artwork.takeFrames(of, frames);
  assert.deepEqual(await shown(), ["tmdb", "tmdb"]);
  const second = (await posters()).filter(({ source }) => source === "frame")[1];
  await artwork.choose(one.tenantId, { titleId, artworkId: second!.id, trusted: false });
  await enrichment.start(one.tenantId, { titleId });
  await runJobs();
  assert.deepEqual((await shown()).sort(), ["frame", "tmdb"]);
});

test("rows of pictures go with their title", async (t) => {
  const { artwork, film, db, one } = await catalogScene(t);
  const base = await pictureServer(t, { "/a": pngOf({ width: 64, height: 64 }, 3) });
  const titleId = await film("A film");
  await artwork.choose(one.tenantId, { titleId, kind: "logo", url: `${base}/a`, trusted: true });
  await db.asOwner("delete from title where id = $1", [titleId]);
  assert.deepEqual((await db.asOwner("select id from artwork")).rows, []);
});

test("a title that is deleted while its picture is fetched leaves no object behind", async (t) => {
  const { artwork, objects, film, db, one } = await catalogScene(t);
  const base = await pictureServer(t, { "/a": pngOf({ width: 64, height: 64 }, 3) });
  const titleId = await film("A film");
  const { put } = objects;
  objects.put = async (...given) => {
    const stat = await put.apply(objects, given);
    await db.asOwner("update title set deleted_at = now() where id = $1", [titleId]);
    return stat;
  };
  const choosing = artwork.choose(one.tenantId, { titleId, kind: "logo", url: `${base}/a`, trusted: true });
  assert.match(await failed(choosing), /^TITLE_NOT_FOUND/);
  assert.equal(objects.all.size, 0);
});

test("the agents of pictures that tenants name lead to no private address, also by a redirect", async (t) => {
  const agents = new OutgoingAgents([]);
  t.after(async () => agents.close());
  const { fetchPicture } = await import("./artwork-fetch.ts");
  for (const url of [
    "http://127.0.0.1:1/a",
    "http://[::1]:1/a",
    "http://169.254.169.254/latest",
    "http://localhost:1/",
  ]) {
    assert.match(await failed(fetchPicture(url, { agents, trusted: false })), /^SOURCE_URL_REFUSED/, url);
  }
});
