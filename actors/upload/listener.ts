/**
 * The upload listener: tus 1.0 (https://tus.io/protocols/resumable-upload), spoken to by gateways only. A request comes
 * with a ticket instead of a key, and only with the headers of tus: a gateway passes nothing else on.
 */
import { randomUUIDv7 } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Server } from "@tus/server";
import { codeOf, Fault, type FaultData } from "../../contracts/errors.ts";
import type { Hold, Locks } from "../../lib/db/locks.ts";
import { drain } from "../../lib/http/drain.ts";
import { type Listener, openListener } from "../../lib/http/listener.ts";
import { writeProblem } from "../../lib/http/problem.ts";
import type { Log } from "../../lib/log/log.ts";
import { TICKET_HEADER, type Tickets } from "./ticket.ts";
import { tusFault } from "./tus-refusals.ts";
import { requests, type TusRequest, type TusStore } from "./tus-store.ts";

export const UPLOADS_PATH = "/api/v1/uploads";
const TUS_VERSION = "1.0.0";
const STALL_MS = 30_000; // no byte for so long: what came is kept, and the connection is closed
const LOCK_WAIT_MS = 2_000; // longer than a silent sender is let be
const RESOURCE = /^\/api\/v1\/uploads\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
/** Only these are shown to the server: none that overrides a method or names another host. */
const HEADERS = [
  "content-length",
  "content-type",
  "tus-resumable",
  "upload-concat",
  "upload-defer-length",
  "upload-length",
  "upload-metadata",
  "upload-offset",
];

export interface UploadListenerDeps {
  readonly host: string;
  readonly port: number;
  readonly bytesMax: number;
  readonly tickets: Tickets;
  readonly locks: Locks;
  readonly store: TusStore;
  readonly log: Log;
}

const current = (): TusRequest => requests.getStore()!; // the server runs inside of a request

/** Of a HEAD: an offset that moves on is as good an answer as any. */
const unheld: Pick<Hold, "release"> = { release: async () => {} };

class TusListener {
  readonly #deps: UploadListenerDeps;
  readonly #server: Server;

  constructor(deps: UploadListenerDeps) {
    this.#deps = deps;
    this.#server = new Server({
      path: UPLOADS_PATH,
      datastore: deps.store,
      relativeLocation: true,
      maxSize: deps.bytesMax,
      namingFunction: () => randomUUIDv7(),
      locker: { newLock: (id) => this.#lockOf(id) },
      onResponseError: (_, error) => this.#answerOf(error),
    });
  }

  readonly handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    request.setTimeout(STALL_MS, () => request.destroy());
    request.on("error", () => {}); // a client that has gone is no news
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    try {
      const holder = await this.#deps.tickets.holderOf(request.headers[TICKET_HEADER]?.toString());
      const isThere = request.method === "POST" ? path === UPLOADS_PATH : RESOURCE.test(path);
      if (!isThere) throw new Fault("NOT_FOUND");
      if (request.headers["tus-resumable"] !== TUS_VERSION) throw new Fault("TUS_VERSION");
      const tus: TusRequest = { request, holder, hold: null, error: undefined };
      await this.#answer(path, response, tus);
    } catch (error) {
      this.#refuse({ request, response }, error);
    }
    drain(request);
  };

  async #answer(path: string, response: ServerResponse, tus: TusRequest): Promise<void> {
    const { request } = tus;
    const headers = new Headers();
    for (const name of HEADERS) {
      const value = request.headers[name];
      if (value !== undefined) headers.set(name, String(value));
    }
    // Without its body: the store takes that from Node's own request.
    const asked = new Request(`http://uploads.invalid${path}`, { method: request.method ?? "GET", headers });
    const answer = await requests.run(tus, () => this.#server.handleWeb(asked));
    if (tus.error !== undefined) throw tus.error;
    const body = Buffer.from(await answer.arrayBuffer());
    if (answer.status >= 400) throw await this.#faultOf(path, answer.status, { body, tus });
    const shown = Object.fromEntries(
      [...answer.headers].filter(([name]) => !name.startsWith("access-control-") && name !== "content-length"),
    );
    const length = answer.status === 204 ? {} : { "content-length": body.length };
    response.writeHead(answer.status, { "cache-control": "no-store", ...shown, ...length });
    response.end(body);
  }

  async #faultOf(path: string, status: number, { body, tus }: { body: Buffer; tus: TusRequest }): Promise<Fault> {
    const text = body.toString();
    const [, uploadId = ""] = RESOURCE.exec(path) ?? [];
    const { store, bytesMax } = this.#deps;
    // Of an upload that is there, its own length.
    const known = status === 413 && uploadId !== "" ? await requests.run(tus, () => store.getUpload(uploadId)) : null;
    const told = Number(tus.request.headers["upload-length"] ?? bytesMax);
    return tusFault({ status, text, uploadId, limitBytes: known?.size ?? Math.min(told, bytesMax) });
  }

  #refuse(exchange: { request: IncomingMessage; response: ServerResponse }, error: unknown): void {
    const tusHeaders = { "tus-resumable": TUS_VERSION, "tus-version": TUS_VERSION };
    const code = codeOf(error);
    if (code) {
      const { data = {} } = error as { data?: FaultData };
      writeProblem(exchange, { code, data }, tusHeaders);
      return;
    }
    this.#deps.log.error({ err: error, requestId: exchange.request.headers["x-request-id"] }, "an upload failed");
    writeProblem(exchange, { code: "INTERNAL" }, tusHeaders);
  }

  /** What the server says itself are small objects; all else is ours, and answered as everywhere. */
  #answerOf(error: Error | { status_code: number; body: string }): { status_code: number; body: string } {
    if (error instanceof Error || codeOf(error) !== undefined) {
      current().error = error;
      return { status_code: 500, body: "" };
    }
    const { status_code: status, body } = error;
    // An extension that is not there is the client's error: Tus-Extension names those that are.
    return { status_code: status >= 500 ? 400 : status, body };
  }

  #lockOf(id: string) {
    let hold: Pick<Hold, "release"> = unheld;
    return {
      lock: async (): Promise<void> => {
        const tus = current();
        const { locks } = this.#deps;
        const isHead = tus.request.method === "HEAD";
        // What has just been named is nobody else's.
        const acquired = locks.acquire(id, { waitMs: LOCK_WAIT_MS });
        const got = isHead ? await acquired.catch(busyIsFine) : await acquired;
        if (!got) return;
        hold = got;
        tus.hold = got;
      },
      unlock: () => hold.release(),
    };
  }
}

const busyIsFine = (error: unknown): null => {
  if (codeOf(error) === "UPLOAD_BUSY") return null;
  throw error;
};

/** Rejects with a ConfigError when its port is taken. */
export const openUploadListener = (deps: UploadListenerDeps): Promise<Listener> => {
  const { handle } = new TusListener(deps);
  const { host, port, log } = deps;
  const ready = () => ({ ready: true, checks: {} });
  const place = { name: "uploads", host, port, portVariable: "UPLOAD_PORT" };
  return openListener({ ...place, log, ready, handle, bodiesMayTakeLong: true });
};
