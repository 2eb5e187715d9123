/** A body that breaks off is a reset of its stream over HTTP/2, and nothing to the others on the connection. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { type ClientHttp2Session, connect } from "node:http2";
import { test } from "node:test";
import { pemIn } from "../../edge/config/config.fixture.ts";
import { noOpenssl } from "../support/certificate.ts";
import { seeded } from "../support/seeded.ts";
import { FaultyOrigin, headOf } from "./faulty-origin.ts";
import { bytesOf, edgeScene, folder } from "./scene.ts";

const HOST = "cdn.example";
const DEADLINE_MS = 20_000;

interface Got {
  readonly status: number;
  readonly body: Buffer;
  readonly isReset: boolean;
}
const get = (session: ClientHttp2Session, path: string): Promise<Got> =>
  new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let [status, isReset] = [0, false];
    const stream = session.request({ ":path": path, ":authority": HOST });
    const late = setTimeout(() => reject(new Error(`no end of ${path}`)), DEADLINE_MS);
    stream.on("response", (head) => {
      status = Number(head[":status"]);
    });
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    stream.on("error", () => {
      isReset = true;
    });
    stream.on("close", () => {
      clearTimeout(late);
      resolve({ status, body: Buffer.concat(pieces), isReset: isReset || stream.rstCode !== 0 });
    });
  });

for (const threads of [1, 2]) {
  test(`over HTTP/2, with ${threads} thread(s), no answer that is cut looks whole`, { skip: noOpenssl }, async (t) => {
    const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
    t.diagnostic(`TEST_SEED=${seed}`);
    const random = seeded(seed);
    const bodies = new Map<string, Buffer>();
    const origin = await FaultyOrigin.open(t, ({ socket, target }) => {
      const body = bodies.get(target)!;
      const isChunked = target.endsWith("chunked");
      const length = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${body.length}`;
      const head = headOf("200 OK", length, "Cache-Control: max-age=60");
      const size = Buffer.from(`${body.length.toString(16)}\r\n`);
      const sent = isChunked ? Buffer.concat([size, body, Buffer.from("\r\n0\r\n\r\n")]) : body;
      if (target.startsWith("/whole")) return void socket.write(Buffer.concat([Buffer.from(head), sent]));
      const part = sent.subarray(0, random.int(sent.length));
      socket.write(Buffer.concat([Buffer.from(head), part]), () => socket.resetAndDestroy());
    });
    const { cert, key } = pemIn(await folder(t), HOST);
    const site = { hostnames: [HOST], origins: [{ id: "a", url: origin.url }], certificate: { cert, key } };
    const edge = await edgeScene(t, { customers: [{ id: "acme", sites: [site] }] }, { threads });
    const session = connect(`https://127.0.0.1:${edge.tlsPort}`, { ca: cert, servername: HOST });
    t.after(() => session.destroy());
    let cut = 0;
    for (let round = 0; round < 40; round += 1) {
      const kinds = ["length", "chunked"].flatMap((framing) => [
        `/cut/${round}/${framing}`,
        `/whole/${round}/${framing}`,
      ]);
      for (const path of kinds) bodies.set(path, bytesOf(path, 1 + random.int(random.int(4) === 0 ? 600_000 : 40_000)));
      const got = await Promise.all(
        [...kinds, ...kinds].map(async (path) => ({ path, ...(await get(session, path)) })),
      );
      for (const { path, status, body, isReset } of got) {
        const expected = bodies.get(path)!;
        if (path.startsWith("/cut")) {
          assert.ok(isReset || status >= 500, `${path}: ${status}, ${body.length} of ${expected.length} looks whole`);
          cut += isReset ? 1 : 0;
        } else if (status === 200) assert.ok(!isReset && body.equals(expected), path);
        else assert.equal(status, 502, path); // an origin that fails again and again rests
      }
    }
    t.diagnostic(`${cut} streams reset`);
    assert.ok(cut > 20 && !session.destroyed);
  });
}
