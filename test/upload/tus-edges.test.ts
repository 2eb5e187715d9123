/** The edges of tus 1.0: what is no request of it, what is not offered, and requests that race for one upload. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import test from "node:test";
import { createUpload, makeScene, openPatch, PATCH_TYPE, tus, until } from "./upload.fixture.ts";
import type { UploadTenant } from "./upload-node.ts";
import { keyOf } from "./upload-node.ts";

const DEADLINE_MS = 30_000;
const TYPE = `Content-Type: ${PATCH_TYPE["content-type"]}`;

interface Raw {
  readonly request: string;
  readonly lines: readonly string[];
  readonly body?: string;
}

/** As written, on a connection of its own: status, code of the problem, and what is told of the upload. */
const say = async (url: string, tenant: UploadTenant, { request, lines, body = "" }: Raw): Promise<string> => {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const late = setTimeout(() => socket.destroy(new Error("no answer")), DEADLINE_MS);
  const all = [
    `${request} HTTP/1.1`,
    "Host: a",
    `Authorization: Bearer ${keyOf(tenant)}`,
    "Connection: close",
    ...lines,
  ];
  socket.write(Buffer.from(`${all.join("\r\n")}\r\n\r\n${body}`, "latin1"));
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    text += chunk;
  });
  await once(socket, "close");
  clearTimeout(late);
  const [, status = ""] = /^HTTP\/1\.1 (\d{3})/.exec(text) ?? [];
  const [, code = ""] = /"code":"(\w+)"/.exec(text) ?? [];
  const [, offset] = /^upload-offset: (\d+)/im.exec(text) ?? [];
  return [status, code, ...(offset === undefined ? [] : [`at ${offset}`])].filter((part) => part !== "").join(" ");
};

test("what is no upload is refused with a code, whatever its headers say", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node({ env: { UPLOAD_BYTES_MAX: "1000" } });
  const create = (lines: readonly string[], body?: string) =>
    say(node.url, scene.tenant, {
      request: "POST /api/v1/uploads",
      lines: ["Tus-Resumable: 1.0.0", ...lines],
      ...(body === undefined ? {} : { body }),
    });
  for (const length of ["-1", "1e3", "0x10", "9007199254740993", "10, 10", "1.0", "", "ten", "٣"]) {
    assert.equal(await create([`Upload-Length: ${length}`]), "400 TUS_REFUSED", length);
  }
  assert.equal(await create([]), "400 TUS_REFUSED");
  assert.equal(await create(["Upload-Length: 10", "Upload-Length: 20"]), "400 TUS_REFUSED");
  assert.equal(await create(["Upload-Length: 0"]), "422 UPLOAD_REFUSED");
  assert.equal(await create(["Upload-Length: 1001"]), "413 UPLOAD_TOO_LARGE");
  // Extensions that Tus-Extension does not name.
  assert.equal(await create(["Upload-Defer-Length: 1"]), "400 TUS_REFUSED");
  assert.equal(await create(["Upload-Length: 10", "Upload-Concat: partial"]), "400 TUS_REFUSED");
  assert.equal(await create(["Upload-Concat: final;/api/v1/uploads/a /api/v1/uploads/b"]), "400 TUS_REFUSED");
  for (const metadata of ["filename !!!", "a YQ==,a YQ==", ",", "filename YQ== YQ==", "__proto__ YQ=="]) {
    assert.equal(await create(["Upload-Length: 10", `Upload-Metadata: ${metadata}`]), "400 TUS_REFUSED", metadata);
  }
  for (const metadata of ["titleId YQ==", `filename ${"QUFB".repeat(1_500)}`, "series YQ=="]) {
    assert.equal(await create(["Upload-Length: 10", `Upload-Metadata: ${metadata}`]), "422 BAD_INPUT", metadata);
  }
  assert.equal(await create(["Upload-Length: 10", `Upload-Metadata: a ${"QUFB".repeat(15_000)}`]), "431");
  for (const lines of [["Tus-Resumable: 0.2.2"], ["Tus-Resumable: 1.0.0", "Tus-Resumable: 1.0.0"], []]) {
    const raw = { request: "POST /api/v1/uploads", lines: [...lines, "Upload-Length: 10"] };
    assert.equal(await say(node.url, scene.tenant, raw), "412 TUS_VERSION", String(lines));
  }
  assert.equal(await create(["Upload-Length: 2", TYPE, "Content-Length: 4"], "\x9d".repeat(4)), "413 UPLOAD_TOO_LARGE");
  assert.equal(await create(["Upload-Length: 9", TYPE, "Content-Length: 4"], "\x9d".repeat(4)), "201 at 4");
  const zip = `PK\x03\x04${"\x9d".repeat(596)}`;
  assert.equal(await create(["Upload-Length: 600", TYPE, "Content-Length: 600"], zip), "422 UPLOAD_REFUSED");
});

test("bytes at another offset, of another type or under a checksum that can't be read move nothing", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const url = await createUpload(node.url, scene.tenant, 10);
  const patch = (lines: readonly string[], body = "\x9d") =>
    say(node.url, scene.tenant, {
      request: `PATCH ${url}`,
      lines: [
        "Tus-Resumable: 1.0.0",
        ...lines,
        ...(/chunked/.test(String(lines)) ? [] : [`Content-Length: ${body.length}`]),
      ],
      body,
    });
  for (const offset of ["", "-1", "5abc", "0x0", "0, 0", "00", "1e1"]) {
    assert.equal(await patch([`Upload-Offset: ${offset}`, TYPE]), "400 TUS_REFUSED", offset);
  }
  for (const offset of ["1", "10", "11"])
    assert.equal(await patch([`Upload-Offset: ${offset}`, TYPE]), "409 UPLOAD_OFFSET");
  assert.equal(await patch([TYPE]), "400 TUS_REFUSED");
  assert.equal(await patch(["Upload-Offset: 0"]), "400 TUS_REFUSED");
  assert.equal(await patch(["Upload-Offset: 0", "Content-Type: video/mp4"]), "400 TUS_REFUSED");
  assert.equal(await patch(["Upload-Offset: 0", "Upload-Length: 20", TYPE]), "400 TUS_REFUSED");
  assert.equal(await patch(["Upload-Offset: 0", TYPE], "\x9d".repeat(11)), "413 UPLOAD_TOO_LARGE");
  for (const checksum of ["sha512 AAAA", "sha1", "sha1 !!!!", "SHA1 AAAA", "sha1 AAAA, sha1 AAAA"]) {
    const lines = ["Upload-Offset: 0", `Upload-Checksum: ${checksum}`, TYPE];
    assert.equal(await patch(lines), "422 BAD_INPUT", checksum);
  }
  assert.equal(await patch(["Upload-Offset: 0", "Upload-Checksum: sha1 AAAA", TYPE]), "460 CHECKSUM_MISMATCH");
  // checksum-trailer is not offered: bytes of a client that relies on it are not taken unchecked.
  const trailing = ["Upload-Offset: 0", TYPE, "Trailer: Upload-Checksum", "Transfer-Encoding: chunked"];
  const chunks = "4\r\n\x9d\x9d\x9d\x9d\r\n0\r\nUpload-Checksum: sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n";
  assert.equal(await patch(trailing, chunks), "400 TUS_REFUSED");
  const head = { request: `HEAD ${url}`, lines: ["Tus-Resumable: 1.0.0"] };
  assert.equal(await say(node.url, scene.tenant, head), "200 at 0");
  assert.equal(await patch(["Upload-Offset: 0", TYPE], ""), "204 at 0");
});

test("an upload that is ended while it is sent is gone for its sender, and ended once", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const url = await createUpload(node.url, scene.tenant, 1_000_000);
  const { request, answer } = openPatch(node.url, url, scene.tenant, 1_000_000);
  const sent = answer.catch(() => 0); // its connection may be cut before there is an answer
  request.write(Buffer.alloc(100_000, 0x9d));
  const end = () => tus(node.url, { method: "DELETE", path: url, tenant: scene.tenant }).then(({ status }) => status);
  // A sender that says nothing for a while is cut off for who waits; until then he is told to come again.
  let statuses: number[] = [];
  await until("somebody ended it", async () => {
    statuses = await Promise.all([end(), end(), end()]);
    return statuses.some((status) => status !== 423);
  });
  for (const status of statuses) assert.ok([204, 410, 423].includes(status), String(statuses));
  assert.equal(statuses.filter((status) => status === 204).length, 1);
  request.destroy();
  assert.notEqual(await sent, 204);
  assert.equal(await end(), 410);
  const headers = { ...PATCH_TYPE, "upload-offset": "0" };
  const late = await tus(node.url, {
    method: "PATCH",
    path: url,
    tenant: scene.tenant,
    headers,
    body: Buffer.alloc(9),
  });
  assert.equal(late.status, 410);
});

test("of several who send the same bytes at once one is taken, and the upload is whole", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const body = Buffer.alloc(10, 0x9d);
  const url = await createUpload(node.url, scene.tenant, body.length + 1);
  const headers = { ...PATCH_TYPE, "upload-offset": "0" };
  const patch = () => tus(node.url, { method: "PATCH", path: url, tenant: scene.tenant, headers, body });
  const statuses = (await Promise.all([patch(), patch(), patch(), patch()])).map(({ status }) => status);
  assert.equal(statuses.filter((status) => status === 204).length, 1, String(statuses));
  // Too late, or told to come again.
  for (const status of statuses) assert.ok([204, 409, 423].includes(status), String(statuses));
  const head = await tus(node.url, { method: "HEAD", path: url, tenant: scene.tenant });
  assert.equal(head.headers.get("upload-offset"), "10");
});

test("what is fetched is no upload to tus, but that it can be ended", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const id = "019a0000-0000-7000-8000-00000000000c";
  await scene.db.asOwner(
    `insert into upload (id, tenant_id, kind, state, filename, title_kind, origin)
     values ($1, $2, 'pull', 'receiving', 'film.mp4', 'movie', '{"url": "http://127.0.0.1:9/film.mp4"}')`,
    [id, scene.tenant.tenantId],
  );
  const ask = async (method: string, headers: Readonly<Record<string, string>> = {}, body?: Buffer) => {
    const call = { method, path: id, tenant: scene.tenant, headers };
    return (await tus(node.url, body ? { ...call, body } : call)).status;
  };
  assert.equal(await ask("HEAD"), 404);
  assert.equal(await ask("PATCH", { ...PATCH_TYPE, "upload-offset": "0" }, Buffer.alloc(0)), 404);
  assert.equal(await ask("DELETE"), 204);
  assert.equal(await ask("DELETE"), 410);
});
