/**
 * tus (https://tus.io/protocols/resumable-upload) at `/api/v1/uploads`: the gateway checks whose request it is and
 * passes its bytes through to an upload listener, as fast as that takes them. What a client says of hosts, proxies and
 * other methods goes no further. GET is not of tus: at these addresses it is answered like the rest of the API.
 */
import http, { type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from "node:http";
import type { ServiceBroker } from "moleculer";
import { Fault } from "../contracts/errors.ts";
import { uploadTicket } from "../contracts/upload.ts";
import { send } from "../lib/actor/contract.ts";
import { drain } from "../lib/http/drain.ts";
import { checkScope } from "./authentication.ts";
import type { Exchange, Principal } from "./exchange.ts";
import { API_BASE } from "./routes.ts";

const BASE = `${API_BASE}/uploads`;
const RESOURCE = /^\/api\/v1\/uploads\/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const STALL_MS = 60_000; // no byte from the client, none taken by the listener, no answer: it ends
const CONNECT_MS = 3_000;
const RETRY_AFTER_SECONDS = "1";
const TUS_VERSION = "1.0.0";
const EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum";
const CHECKSUMS = "sha1,sha256,md5,crc32";

/** What goes on to the listener. */
const PASSED = [
  "content-length",
  "content-type",
  "transfer-encoding",
  "tus-resumable",
  "upload-checksum",
  "upload-concat",
  "upload-defer-length",
  "upload-length",
  "upload-metadata",
  "upload-offset",
];
/** What comes back. */
const RETURNED = [
  "cache-control",
  "content-length",
  "content-type",
  "location",
  "retry-after",
  "tus-resumable",
  "tus-version",
  "upload-expires",
  "upload-length",
  "upload-metadata",
  "upload-offset",
];
const EXPOSED =
  "Location, Retry-After, Tus-Checksum-Algorithm, Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, " +
  "Upload-Expires, Upload-Length, Upload-Metadata, Upload-Offset, X-Request-Id";
const TAKEN =
  "Authorization, Content-Type, Tus-Resumable, Upload-Checksum, Upload-Length, Upload-Metadata, Upload-Offset, " +
  "X-Request-Id, Idempotency-Key";
const PREFLIGHT_SECONDS = "600";

const headersIn = (request: IncomingMessage, names: readonly string[]): OutgoingHttpHeaders =>
  Object.fromEntries(
    names.flatMap((name) => (request.headers[name] === undefined ? [] : [[name, request.headers[name]]])),
  );

/** Of tus at this path, for `Allow`; the API's own come with them. */
const methodsOf = (path: string): readonly string[] =>
  path === BASE ? ["GET", "HEAD", "POST", "OPTIONS"] : ["GET", "HEAD", "PATCH", "DELETE", "OPTIONS"];

export interface UploadsDeps {
  readonly broker: ServiceBroker;
  /** Largest upload, told to clients; null where this gateway does not know it. */
  readonly bytesMax: number | null;
  readonly authenticate: (exchange: Exchange) => Promise<Principal>;
  readonly refuse: (exchange: Exchange, error: unknown) => void;
}

export class UploadsFront {
  readonly #deps: UploadsDeps;
  readonly #agent = new http.Agent({ keepAlive: true, timeout: STALL_MS });

  constructor(deps: UploadsDeps) {
    this.#deps = deps;
  }

  /** True when the request is of tus. Sets the exchange's route. */
  has(exchange: Exchange): boolean {
    const { method, path } = exchange;
    const isBase = path === BASE;
    if (!isBase && !RESOURCE.test(path)) return false;
    const isTus = isBase ? method === "POST" || method === "OPTIONS" : method !== "GET";
    if (!isTus) return false;
    exchange.route = isBase ? BASE : `${BASE}/:uploadId`;
    return true;
  }

  /** Answers a request that `has` took. */
  async answer(exchange: Exchange): Promise<void> {
    const { method, path, request, response } = exchange;
    if (request.headers.origin !== undefined) response.setHeader("Access-Control-Expose-Headers", EXPOSED);
    response.setHeader("Tus-Resumable", TUS_VERSION);
    if (method === "OPTIONS") return this.#options(path, request, response);
    try {
      if (!methodsOf(path).includes(method)) {
        response.setHeader("Allow", methodsOf(path).join(", "));
        throw new Fault("METHOD_NOT_ALLOWED", { method });
      }
      const principal = await this.#deps.authenticate(exchange);
      checkScope(principal, "upload:write");
      // Of an extension that is not offered: its bytes would count unchecked.
      if (/upload-checksum/i.test(request.headers.trailer ?? "")) {
        throw new Fault("TUS_REFUSED", { reason: "Upload-Checksum is no trailer here" });
      }
      const { tenantId, tenant, scopes } = principal;
      const meta = { tenantId, tenant, scopes, requestId: exchange.requestId };
      const { url, ticket } = await send(this.#deps.broker, uploadTicket, {}, meta);
      await this.#pass(exchange, url, ticket);
    } catch (error) {
      this.#deps.refuse(exchange, error);
      drain(request);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #options(path: string, request: IncomingMessage, response: ServerResponse): void {
    const { bytesMax } = this.#deps;
    const methods = methodsOf(path).join(", ");
    response.writeHead(204, {
      Allow: methods,
      "Tus-Version": TUS_VERSION,
      "Tus-Extension": EXTENSIONS,
      "Tus-Checksum-Algorithm": CHECKSUMS,
      ...(bytesMax === null ? {} : { "Tus-Max-Size": String(bytesMax) }),
      ...(request.headers["access-control-request-method"] === undefined
        ? {}
        : {
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": TAKEN,
            "Access-Control-Max-Age": PREFLIGHT_SECONDS,
          }),
    });
    response.end();
  }

  /** Resolves once the answer is over; rejects as long as none has begun. */
  #pass({ method, path, request, response, requestId }: Exchange, url: string, ticket: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const headers = { ...headersIn(request, PASSED), "x-castellan-ticket": ticket, "x-request-id": requestId };
      const upstream = http.request(`${url}${path}`, { method, headers, agent: this.#agent });
      const down = (): void => reject(new Fault("UPLOAD_LISTENER_DOWN"));
      const connecting = setTimeout(() => upstream.destroy(), CONNECT_MS);
      upstream.once("socket", (socket) => {
        if (socket.connecting) socket.once("connect", () => clearTimeout(connecting));
        else clearTimeout(connecting);
      });
      upstream.setTimeout(STALL_MS, () => upstream.destroy());
      request.setTimeout(STALL_MS, () => request.destroy());
      response.once("close", () => {
        clearTimeout(connecting);
        upstream.destroy();
        resolve();
      });
      upstream.on("error", down);
      upstream.once("response", (answer) => {
        request.unpipe(upstream);
        drain(request);
        this.#giveBack(answer, response);
      });
      // Not by pipeline: where the listener answers early, the client gets to read it.
      request.pipe(upstream);
      request.once("error", () => upstream.destroy());
      request.once("aborted", () => upstream.destroy());
    });
  }

  #giveBack(answer: IncomingMessage, response: ServerResponse): void {
    if (response.headersSent || response.destroyed) return void answer.destroy();
    const headers = headersIn(answer, RETURNED);
    const status = answer.statusCode ?? 502;
    if (status === 423) headers["retry-after"] ??= RETRY_AFTER_SECONDS;
    response.writeHead(status, headers);
    answer.on("error", () => response.destroy());
    answer.pipe(response);
  }
}
