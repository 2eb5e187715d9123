/** The gateway: one listener for the REST API, its reference, and the pages. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServiceBroker } from "moleculer";
import { Fault } from "../contracts/errors.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { DemoWatch } from "../lib/demo/demo-page.ts";
import { openListener, type Ready } from "../lib/http/listener.ts";
import type { Log } from "../lib/log/log.ts";
import { Api } from "./api.ts";
import { answerOptions, setCors } from "./cors.ts";
import { type Exchange, openExchange } from "./exchange.ts";
import { JobEvents } from "./job-events.ts";
import { isMediaPath, Media } from "./media.ts";
import { Pages } from "./pages.ts";
import { writeReply } from "./reply.ts";
import { type Router, routerOn } from "./router.ts";
import { methodsAt, routesAt } from "./routes.ts";
import { UploadsFront } from "./uploads.ts";

const STOP_GRACE_MS = 10_000;
const BODY_DEADLINE_MS = 60_000;
const PAGE_METHODS = ["GET", "HEAD", "OPTIONS"];
const EVENT_METHODS = ["GET", "OPTIONS"];

export interface GatewayConfig {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Base URL of the edge as viewers reach it. */
  readonly edgePublicUrl: string;
  /** A demo channel is linked to, while there is one. */
  readonly demo: boolean;
  /** Base URLs of the packagers behind `/api/media/`. */
  readonly packagerUrls?: readonly string[];
  /** What clients are told of the largest upload. */
  readonly uploadBytesMax?: number;
}
export interface GatewayDeps {
  readonly config: GatewayConfig;
  readonly broker: ServiceBroker;
  readonly log: Log;
  readonly ready: Ready;
  readonly clock?: Clock;
}
export interface Gateway {
  readonly port: number;
  /** Requests in flight finish, at most for `graceMs`; then their connections are cut. */
  stop(graceMs?: number): Promise<void>;
}

class Front {
  readonly #log: Log;
  readonly #pages: Pages;
  readonly #api: Api;
  readonly #jobEvents: JobEvents;
  readonly #media: Media;
  readonly #uploads: UploadsFront;
  readonly #exchanges = new WeakMap<IncomingMessage, Exchange>();
  #router: Router | undefined;
  closing = false;

  constructor({ config, broker, log, clock = systemClock }: GatewayDeps) {
    this.#log = log;
    const demo = new DemoWatch(broker, clock);
    const demoIsOn = async () => config.demo && demo.isOn();
    this.#pages = new Pages({ edgePublicUrl: config.edgePublicUrl.replace(/\/+$/, ""), demoIsOn });
    this.#api = new Api({ broker, clock, log });
    this.#media = new Media({ broker, clock, log, packagerUrls: config.packagerUrls ?? [] });
    this.#jobEvents = new JobEvents({ broker, authenticate: (exchange) => this.#api.authenticate(exchange) });
    this.#uploads = new UploadsFront({
      broker,
      bytesMax: config.uploadBytesMax ?? null,
      authenticate: (exchange) => this.#api.authenticate(exchange),
      refuse: (exchange, error) =>
        writeReply(exchange.response, this.#api.problem(exchange, error), { closing: this.closing }),
    });
  }

  /** Puts the router onto the broker; gives what takes it away again. */
  mount(broker: ServiceBroker): () => Promise<void> {
    const { router, remove } = routerOn(broker, {
      api: this.#api,
      exchangeOf: (request) => this.#exchanges.get(request)!, // set by `handle` for every request
      write: (response, reply) => writeReply(response, reply, { closing: this.closing }),
    });
    this.#router = router;
    const silence = this.#jobEvents.mount();
    const unmountMedia = this.#media.mount();
    return async () => {
      await Promise.all([remove(), silence(), unmountMedia()]);
    };
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = openExchange(request, response, this.#log);
    this.#exchanges.set(request, exchange);
    if (this.closing) response.setHeader("Connection", "close");
    if (exchange.path.startsWith("/api/")) setCors(request, response);
    if (this.#uploads.has(exchange)) return this.#uploads.answer(exchange);
    endLateBody(request);
    if (isMediaPath(exchange.path)) return this.#media.handle(exchange);
    if (this.#pages.has(exchange)) await this.#page(exchange);
    else if (this.#jobEvents.has(exchange)) await this.#events(exchange);
    else this.#call(exchange);
  }

  async #page(exchange: Exchange): Promise<void> {
    const { method, request, response } = exchange;
    if (method === "OPTIONS") answerOptions(request, response, PAGE_METHODS);
    else if (method === "GET" || method === "HEAD") await this.#pages.write(exchange);
    else this.#refuse(exchange, PAGE_METHODS);
  }

  async #events(exchange: Exchange): Promise<void> {
    const { method, request, response } = exchange;
    if (method === "OPTIONS") return answerOptions(request, response, EVENT_METHODS);
    if (method !== "GET") return this.#refuse(exchange, EVENT_METHODS);
    await this.#jobEvents.serve(exchange).catch((error: unknown) => {
      writeReply(response, this.#api.problem(exchange, error), { closing: this.closing });
    });
  }

  #call(exchange: Exchange): void {
    const { method, path, request, response } = exchange;
    const methods = methodsAt(path);
    exchange.route = routesAt(path)[0]?.template ?? exchange.route;
    if (method === "OPTIONS" && methods.length > 0) answerOptions(request, response, methods);
    else if (!methods.includes(method)) this.#refuse(exchange, methods);
    else this.#route(exchange);
  }

  #route(exchange: Exchange): void {
    const { method, path, request, response } = exchange;
    // What moleculer-web sees: it knows no HEAD, takes ids of any form, and parses queries into trees.
    request.method = method === "HEAD" ? "GET" : method;
    request.url = path;
    delete request.headers["x-correlation-id"];
    this.#router?.(request, response, (error) => {
      writeReply(response, this.#api.problem(exchange, error ?? new Fault("NOT_FOUND")), { closing: this.closing });
    });
  }

  /** They would hold up the end of the listener. */
  endStreams(): void {
    this.#jobEvents.close();
  }

  close(): void {
    this.#uploads.close();
  }

  #refuse(exchange: Exchange, methods: readonly string[]): void {
    const { method, response } = exchange;
    if (methods.length > 0) response.setHeader("Allow", methods.join(", "));
    const fault = methods.length > 0 ? new Fault("METHOD_NOT_ALLOWED", { method }) : new Fault("NOT_FOUND");
    writeReply(response, this.#api.problem(exchange, fault), { closing: this.closing });
  }
}

/** Of all but uploads: a body that is read has a deadline of its own, this is for those that nobody reads. */
const endLateBody = (request: IncomingMessage): void => {
  const { "content-length": length = "0", "transfer-encoding": coding } = request.headers;
  if (length === "0" && coding === undefined) return;
  const late = setTimeout(() => request.complete || request.destroy(), BODY_DEADLINE_MS).unref();
  request.once("close", () => clearTimeout(late));
};

/** Starts listening. Rejects with one clear line when the port is taken. */
export const startGateway = async (deps: GatewayDeps): Promise<Gateway> => {
  const { config, broker, log, ready } = deps;
  const front = new Front(deps);
  const unmount = front.mount(broker);
  const { host, port } = config;
  const handle = (request: IncomingMessage, response: ServerResponse) => front.handle(request, response);
  const place = { name: "gateway", host, port, portVariable: "PORT" };
  const listener = await openListener({ ...place, log, ready, handle, bodiesMayTakeLong: true }).catch(
    async (error) => {
      await unmount();
      throw error;
    },
  );
  return {
    port: listener.port,
    stop: async (graceMs = STOP_GRACE_MS) => {
      front.closing = true;
      front.endStreams();
      await listener.close(graceMs);
      front.close();
      await unmount();
    },
  };
};
