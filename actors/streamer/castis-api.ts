/**
 * The castis API on a streamer's own listener: `POST|GET|DELETE /api/streams/:streamId` (playback document), so that
 * one Castellan can drive another. The tenant is that of the credential. A stream made this way runs until it is
 * deleted.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";
import { codeOf, Fault, fail } from "../../contracts/errors.ts";
import { StreamId } from "../../contracts/ids.ts";
import type { Scope } from "../../contracts/kit.ts";
import { Anchor, type StreamSpec } from "../../contracts/streamer.ts";
import { fieldErrors } from "../../lib/field-errors.ts";
import { requestIdOf, writeProblem } from "../../lib/http/problem.ts";
import type { Log } from "../../lib/log/log.ts";
import type { Streamer } from "./streamer.ts";

/** Whose key it is; null for an unknown or revoked one. */
export type Authenticate = (
  key: string,
  requestId: string,
) => Promise<{
  readonly tenantId: string;
  readonly tenant: string;
  readonly scopes: readonly string[];
} | null>;

export interface CastisApiDeps {
  readonly streamer: Streamer;
  readonly authenticate: Authenticate;
  readonly log: Log;
}

interface Answer {
  readonly status: number;
  readonly document: unknown;
}

const PATH = /^\/api\/streams\/([^/?]{1,500})$/;
const BODY_BYTES_MAX = 64 * 1024;
const BODY_DEADLINE_MS = 10_000;
const SCOPES: Readonly<Record<string, Scope>> = {
  GET: "channel:read",
  POST: "channel:write",
  DELETE: "channel:write",
};

/** What another Castellan adds to the document's fields. */
const Castellan = z.object({
  anchor: Anchor.nullish(),
  leaseEpoch: z.int().min(0).nullish(),
  loopStartedAt: z.number().nullish(),
});
const Body = z.looseObject({ url: z.string().min(1).max(2000), castellan: Castellan.optional() });

const readBody = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  let byteLength = 0;
  const timer = setTimeout(() => request.destroy(), BODY_DEADLINE_MS);
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      byteLength += chunk.length;
      if (byteLength > BODY_BYTES_MAX) return fail("BODY_TOO_LARGE", { limitBytes: BODY_BYTES_MAX });
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks).toString("utf8");
};

const parseBody = (text: string): { body: z.output<typeof Body>; posted: Record<string, unknown> } => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fail("BAD_JSON");
  }
  const parsed = Body.safeParse(value);
  if (!parsed.success) return fail("BAD_INPUT", { errors: fieldErrors(parsed.error) });
  return { body: parsed.data, posted: value as Record<string, unknown> }; // an object: the schema says so
};

const answerJson = (response: ServerResponse, { status, document }: Answer): void => {
  if (response.headersSent || response.destroyed) return;
  const text = JSON.stringify(document);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
  });
  response.end(text);
};

export class CastisApi {
  readonly #deps: CastisApiDeps;
  constructor(deps: CastisApiDeps) {
    this.#deps = deps;
  }

  /** True when the path is one of ours: it is answered then. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    if (!path.startsWith("/api/streams/")) return false;
    this.#answer(path, request)
      .then((answer) => answerJson(response, answer))
      .catch((error: unknown) => this.#refuse(error, { request, response }))
      .catch((error: unknown) => this.#deps.log.warn({ err: error }, "castis API: answer not sent"));
    return true;
  }

  #refuse(error: unknown, exchange: { request: IncomingMessage; response: ServerResponse }): void {
    const fault = error instanceof Fault ? error : new Fault(codeOf(error) ?? "INTERNAL");
    const requestId = requestIdOf(exchange.request);
    if (fault.code === "INTERNAL") this.#deps.log.error({ err: error, requestId }, "castis API");
    // What is left of too large a body would be taken for the next request.
    writeProblem(exchange, fault, fault.code === "BODY_TOO_LARGE" ? { connection: "close" } : {});
  }

  async #answer(path: string, request: IncomingMessage): Promise<Answer> {
    const method = request.method ?? "";
    const scope = SCOPES[method];
    if (!scope) return fail("METHOD_NOT_ALLOWED", { method });
    const caller = await this.#caller(request, scope);
    const streamId = StreamId.safeParse(decoded(PATH.exec(path)?.[1] ?? "")).data;
    if (streamId === undefined) return fail(method === "POST" ? "BAD_INPUT" : "STREAM_NOT_FOUND", { streamId: "" });
    const ref = { tenant: caller.tenant, streamId };
    if (method === "POST") return this.#post(request, { ...caller, streamId });
    if (method === "DELETE") {
      await this.#deps.streamer.delete(ref);
      return { status: 200, document: { streamId } };
    }
    const stream = this.#deps.streamer.stream(ref);
    if (!stream) return fail("STREAM_NOT_FOUND", { streamId });
    return { status: 200, document: { status: stream.state, ...(stream.posted ?? stream.spec.payload) } };
  }

  async #caller(request: IncomingMessage, scope: Scope) {
    const key = /^Bearer +([\x21-\x7e]{1,500})$/i.exec(request.headers.authorization ?? "")?.[1];
    const caller = key === undefined ? null : await this.#deps.authenticate(key, requestIdOf(request));
    if (!caller) return fail("UNAUTHENTICATED");
    if (!caller.scopes.includes(scope)) return fail("SCOPE_MISSING", { scope });
    return caller;
  }

  async #post(
    request: IncomingMessage,
    caller: { tenantId: string; tenant: string; scopes: readonly string[]; streamId: string },
  ): Promise<Answer> {
    const { body, posted } = parseBody(await readBody(request));
    const { castellan, ...payload } = body;
    const { tenantId, tenant, streamId } = caller;
    const spec: StreamSpec = {
      ...{ tenantId, tenant, streamId, payload },
      channelId: CHANNEL_NONE,
      anchor: castellan?.anchor ?? null,
      loopStartedAt: castellan?.loopStartedAt ?? null,
      trusted: caller.scopes.includes("platform:admin"),
    };
    await this.#deps.streamer.post(spec, posted, castellan?.leaseEpoch ?? null);
    return { status: 201, document: { streamId } };
  }
}

/** A spec needs a channel's id, and a stream made here belongs to none; reports say null. */
const CHANNEL_NONE = 1;

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
};
