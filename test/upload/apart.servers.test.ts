/** Gateways and upload listeners as processes of their own, on a real NATS and a real PostgreSQL. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import path from "node:path";
import test from "node:test";
import { Upload } from "tus-js-client";
import { missingServers, NATS_URL, realDatabase } from "../support/cluster.ts";
import { ADMIN_KEY, startNode, until } from "../support/platform.ts";
import { keptPort } from "../support/ports.ts";
import { film, MiB, sha256, tempFolder } from "./upload.fixture.ts";

const skip = (await missingServers()) ?? false;
const headers = { authorization: `Bearer ${ADMIN_KEY}` };

test("kill -9 of the gateway, and then of the node that receives, leaves an upload whole", { skip }, async (t) => {
  const namespace = `t${randomBytes(5).toString("hex")}`;
  const shared = await tempFolder(t);
  const port = String(await keptPort());
  const env = {
    ...{ NATS_URL, DATABASE_URL: await realDatabase(t), NAMESPACE: namespace, EVENT_PREFIX: namespace },
    ...{ OBJECTS_DIR: path.join(shared, "objects"), HEALTH_PORT: "0" },
  };
  const control = () => startNode(t, { env: { ...env, ROLES: "control" } });
  const gateway = () => startNode(t, { env: { ...env, ROLES: "gateway", PORT: port } });
  const first = await control();
  const front = await gateway();
  const url = `http://127.0.0.1:${port}`;
  const bytes = await film(shared, 32 * MiB);
  const kills = [
    async () => {
      front.kill("SIGKILL");
      await gateway();
    },
    async () => {
      await control();
      first.kill("SIGKILL");
    },
  ];
  let disturbing: Promise<void> = Promise.resolve();
  const address = await new Promise<string>((resolve, reject) => {
    const upload = new Upload(bytes, {
      endpoint: `${url}/api/v1/uploads`,
      headers,
      chunkSize: MiB,
      metadata: { filename: "film.mp4" },
      retryDelays: Array.from({ length: 60 }, () => 500),
      onChunkComplete: (_, sent) => {
        const kill = sent > ((3 - kills.length) * bytes.length) / 3 ? kills.shift() : undefined;
        if (kill) disturbing = disturbing.then(kill);
      },
      onSuccess: () => resolve(upload.url ?? ""),
      onError: reject,
    });
    upload.start();
  });
  await disturbing;
  assert.deepEqual(kills, []);
  interface View {
    readonly id: string;
    readonly state: string;
    readonly titleId: string;
  }
  const view = await until("the upload to be a source", async () => {
    const { data } = (await (await fetch(address, { headers })).json()) as { data: View };
    return data.state === "done" ? data : undefined;
  });
  const found = (await (await fetch(`${url}/api/v1/titles/${view.titleId}`, { headers })).json()) as { data: object };
  assert.match(JSON.stringify(found), new RegExp(view.titleId));
  const tenants = (await (await fetch(`${url}/api/v1/tenants`, { headers })).json()) as { data: { id: string }[] };
  const object = path.join(shared, "objects/plexbd-sources", tenants.data[0]?.id ?? "", view.id);
  assert.equal(sha256(await readFile(object)), sha256(bytes));
});
