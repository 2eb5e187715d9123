/** For the gateway's tests: a real gateway on a real broker, before actors that answer what a test tells them to. */
import { randomUUID } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { request as httpRequest } from "node:http";
import { Writable } from "node:stream";
import { ServiceBroker, type ServiceSchema } from "moleculer";
import pino from "pino";
import { fail } from "../contracts/errors.ts";
import type { Scope } from "../contracts/kit.ts";
import { authenticate, SCOPES } from "../contracts/tenant.ts";
import { brokerOptions } from "../lib/actor/broker.ts";
import { answer, type Call } from "../lib/actor/contract.ts";
import { quietLog } from "../lib/log/log.ts";
import { type Gateway, startGateway } from "./gateway.service.ts";
import { ASKS } from "./routes.ts";

export interface Cleaner {
  after(clean: () => Promise<void>): void;
}
/** Names of all actors, for `except`. */
export const ACTORS: readonly string[] = [...new Set(ASKS.map(({ name }) => name.split(".")[0] ?? ""))];
/** What a stubbed actor does for an ask; without one it fails with INTERNAL. */
export type Stub = (input: Record<string, unknown>, call: Call) => unknown;

export const TENANT_ID = "019a0000-0000-7000-8000-000000000001";
/** Stubbed keys: their text is `key:` and the scopes that they have, by commas; `key:all` has each. */
export const keyWith = (...scopes: Scope[]): string => `key:${scopes.join(",")}`;
export const ALL_KEY = "key:all";

const principalOf = (key: string) => {
  if (!key.startsWith("key:")) return null;
  const names = key === ALL_KEY ? [...SCOPES] : SCOPES.filter((scope) => key.slice(4).split(",").includes(scope));
  return { tenantId: TENANT_ID, tenant: "default", apiKeyId: TENANT_ID, scopes: names };
};

const LINE_DEADLINE_MS = 30_000;
const STUBS: Readonly<Record<string, Stub>> = { [authenticate.name]: ({ key }) => principalOf(String(key)) };

/** One service per actor name, answering every ask of the contracts that is not in `except`. */
const stubServices = (stubs: Readonly<Record<string, Stub>>, except: readonly string[]): ServiceSchema[] => {
  const services = new Map<string, ServiceSchema>();
  for (const ask of ASKS) {
    const [actor = "", action = ""] = ask.name.split(".");
    if (except.includes(actor)) continue;
    const service = services.get(actor) ?? { name: actor, actions: {} };
    services.set(actor, service);
    const stub = stubs[ask.name] ?? STUBS[ask.name] ?? (() => fail("INTERNAL"));
    const run = (input: unknown, call: Call) => stub(input as Record<string, unknown>, call);
    service.actions = { ...service.actions, [action]: answer(ask, run) };
  }
  return [...services.values()];
};

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
  readonly text: string;
}
export interface TestGateway {
  readonly url: string;
  readonly gateway: Gateway;
  readonly broker: ServiceBroker;
  /** The log's lines about a request, as objects; waits for the first, which comes after the answer. */
  linesOf(requestId: string): Promise<Record<string, unknown>[]>;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
}
export interface CallOptions {
  /** null sends none. */
  readonly key?: string | null;
  readonly headers?: Record<string, string>;
  /** A text goes out as it is, anything else as JSON. */
  readonly body?: unknown;
}

interface BrokerOptions {
  readonly stubs?: Readonly<Record<string, Stub>>;
  /** Actors that `services` answers for, or that are not there. */
  readonly except?: readonly string[];
  readonly services?: readonly ServiceSchema[];
  /** Default: alone, on no bus. */
  readonly bus?: { readonly url: string; readonly namespace: string };
}
interface Options extends BrokerOptions {
  readonly clock?: { nowMs(): number };
  readonly demo?: boolean;
  readonly edgePublicUrl?: string;
}

const bodyOf = (text: string): Record<string, unknown> => {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
};

const makeTestLog = () => {
  const lines: Record<string, unknown>[] = [];
  const written = new EventEmitter();
  const sink = new Writable({
    write: (chunk: Buffer, _, done) => {
      lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>);
      written.emit("line");
      done();
    },
  });
  const linesOf = async (id: string) => {
    const deadline = AbortSignal.timeout(LINE_DEADLINE_MS);
    while (!lines.some(({ requestId }) => requestId === id)) await once(written, "line", { signal: deadline });
    return lines.filter(({ requestId }) => requestId === id);
  };
  return { log: pino({ level: "info", base: {} }, sink), linesOf };
};

/** A broker with stubbed actors; it stops when the test ends. */
export const stubBroker = async (t: Cleaner, options: BrokerOptions): Promise<ServiceBroker> => {
  const { stubs = {}, except = [], services = [], bus } = options;
  const namespace = bus?.namespace ?? "test";
  const config = brokerOptions({ nodeId: randomUUID(), namespace, natsUrl: bus?.url ?? null }, quietLog);
  // Nobody has to be told before it stops.
  const broker = new ServiceBroker({ ...config, registry: { preferLocal: true, stopDelay: 0 } });
  for (const service of [...stubServices(stubs, except), ...services]) broker.createService(service);
  await broker.start();
  t.after(() => broker.stop());
  return broker;
};

/** Starts a gateway on a free port; all of it ends with the test. */
export const testGateway = async (t: Cleaner, options: Options = {}): Promise<TestGateway> => {
  const { log, linesOf } = makeTestLog();
  const broker = await stubBroker(t, options);
  const { edgePublicUrl = "http://edge.test:8081", demo = false, clock } = options;
  const gateway = await startGateway({
    config: { host: "127.0.0.1", port: 0, edgePublicUrl, demo },
    broker,
    log,
    ready: () => ({ ready: true, checks: {} }),
    ...(clock ? { clock } : {}),
  });
  t.after(() => gateway.stop(0));
  const url = `http://127.0.0.1:${gateway.port}`;
  return { url, gateway, broker, linesOf, call: (method, path, call = {}) => callAt(url, { method, path, ...call }) };
};

const callAt = async (
  url: string,
  { method, path, key = ALL_KEY, headers = {}, body }: CallOptions & { method: string; path: string },
): Promise<Answer> => {
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: bodyOf(text), text };
};

/** A request whose target goes onto the wire as it is: fetch would tidy it. */
export const rawRequest = (url: string, method: string, target: string): Promise<{ status: number; text: string }> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const headers = { authorization: `Bearer ${ALL_KEY}` };
    const request = httpRequest({ hostname, port, method, path: target, headers }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on("error", reject);
    request.end();
  });

/** A channel as its actor answers it. */
export const aChannel = (fields: Record<string, unknown> = {}) => ({
  id: 7,
  sid: null,
  name: "BBC World",
  quality: null,
  streamId: "bbc_world.stream",
  sourceType: "udp",
  ingestConfig: {},
  transcodeConfig: null,
  status: "pending",
  origins: [],
  version: 3,
  createdAt: "2026-01-01T00:00:00.000Z",
  updatedAt: "2026-01-01T00:00:00.000Z",
  ...fields,
});
