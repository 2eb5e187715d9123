/** A real gateway before the real scheduler and tenant actors on a real database. */
import type { TestContext } from "node:test";
import { schedulerServices } from "../../actors/scheduler/scheduler.service.ts";
import { ensureDefaultTenant } from "../../actors/tenant/bootstrap.ts";
import { tenantService } from "../../actors/tenant/tenant.service.ts";
import { type TestGateway, testGateway } from "../../gateway/gateway.fixture.ts";
import { systemClock } from "../../lib/clock.ts";
import { quietLog } from "../../lib/log/log.ts";
import { type Scene, scene } from "./jobs.fixture.ts";

export const ADMIN = "operators-own-admin-key-0123456789";

export interface JobApi extends Omit<Scene, "tenants"> {
  readonly gateway: TestGateway;
  /** Answers of the default tenant's admin. */
  call(method: string, path: string, body?: unknown): ReturnType<TestGateway["call"]>;
  /** Another gateway before the same database, with actors of its own. */
  another(bus?: { readonly url: string; readonly namespace: string }): Promise<TestGateway>;
}

export async function jobApi(t: TestContext): Promise<JobApi> {
  const place = await scene(t);
  const { db } = place;
  const { tenantId } = await ensureDefaultTenant({ db, adminApiKey: ADMIN });
  const another = async (bus?: { readonly url: string; readonly namespace: string }) => {
    const services = [tenantService({ db, clock: systemClock, log: quietLog })];
    const started = await testGateway(t, { services, except: ["tenant", "scheduler"], ...(bus ? { bus } : {}) });
    const { broker } = started;
    for (const schema of schedulerServices({ broker, db, log: quietLog })) broker.createService(schema);
    await broker.waitForServices("scheduler");
    return started;
  };
  const gateway = await another();
  return {
    ...place,
    tenantId,
    gateway,
    another,
    enqueue: (spec = {}) => place.enqueue({ tenantId, ...spec }),
    call: (method, path, body) =>
      gateway.call(method, `/api/v1${path}`, { key: ADMIN, ...(body === undefined ? {} : { body }) }),
  };
}

export interface ServerEvent {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: Record<string, unknown>;
}

/** One stream of events as a client sees it. */
export class EventClient {
  readonly status: number;
  readonly headers: Headers;
  readonly #response: Response;
  readonly #abort: AbortController;

  private constructor(response: Response, abort: AbortController) {
    this.#response = response;
    this.#abort = abort;
    this.status = response.status;
    this.headers = response.headers;
  }

  static async open(
    url: string,
    path: string,
    { key = ADMIN, lastEventId }: { readonly key?: string; readonly lastEventId?: string } = {},
  ): Promise<EventClient> {
    const abort = new AbortController();
    const headers = { authorization: `Bearer ${key}`, ...(lastEventId ? { "last-event-id": lastEventId } : {}) };
    const response = await fetch(`${url}/api/v1${path}`, { headers, signal: abort.signal });
    return new EventClient(response, abort);
  }

  close(): void {
    this.#abort.abort();
  }

  async problem(): Promise<unknown> {
    return ((await this.#response.json()) as { code: unknown }).code;
  }

  /** Until the server ends the stream, or the reader stops. */
  async *events(): AsyncGenerator<ServerEvent> {
    let rest = "";
    for await (const text of this.#response.body!.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + text).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const fields = new Map(block.split("\n").map((line) => line.split(/: ?(.*)/s) as [string, string]));
        const data = fields.get("data");
        if (data === undefined) continue;
        yield { event: fields.get("event") ?? "message", id: fields.get("id"), data: JSON.parse(data) };
      }
    }
  }

  async all(): Promise<ServerEvent[]> {
    const found: ServerEvent[] = [];
    for await (const event of this.events()) found.push(event);
    return found;
  }
}
