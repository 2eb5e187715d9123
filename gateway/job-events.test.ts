/** Streams of job events, as far as a gateway alone can show them; `test/jobs` has them before a real scheduler. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect } from "node:net";
import test from "node:test";
import { watchJobs } from "../contracts/scheduler.ts";
import { SCOPES } from "../contracts/tenant.ts";
import { listening } from "../lib/http/listening.ts";
import { quietLog } from "../lib/log/log.ts";
import { openExchange } from "./exchange.ts";
import { stubBroker, TENANT_ID } from "./gateway.fixture.ts";
import { JobEvents } from "./job-events.ts";

const NO_WORK = { percent: 0, state: "none", etaSeconds: null, jobCount: 0, liveCount: 0 };
const READ_TWICE_MS = 30_000;

test("a client that has gone before its key was looked up leaves no stream open", async (t) => {
  let readCount = 0;
  const watch = () => {
    readCount += 1;
    return { changes: [], isMore: false, progress: NO_WORK, settled: "1" };
  };
  const broker = await stubBroker(t, { stubs: { [watchJobs.name]: watch } });
  const server = createServer();
  const port = await listening(server, { host: "127.0.0.1", port: 0, portVariable: "PORT" });
  t.after(() => void server.close());
  const client = connect(port, "127.0.0.1");
  client.write("GET /api/v1/jobs/events?subjectKind=title&subjectId=t1 HTTP/1.1\r\nHost: t\r\n\r\n");
  const [request, response] = (await once(server, "request")) as [IncomingMessage, ServerResponse];
  const authenticate = async () => {
    client.destroy();
    await once(response, "close");
    return { tenantId: TENANT_ID, tenant: "t", apiKeyId: TENANT_ID, scopes: [...SCOPES] };
  };
  const events = new JobEvents({ broker, authenticate });
  t.after(() => events.close());
  const late = new Promise((resolve) => setTimeout(() => resolve("still open"), READ_TWICE_MS).unref());
  const ended = events.serve(openExchange(request, response, quietLog)).then(() => "ended");
  assert.equal(await Promise.race([ended, late]), "ended");
  assert.ok(readCount <= 1, `${readCount}`);
});
