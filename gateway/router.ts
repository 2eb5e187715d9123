import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context, Service, ServiceBroker, ServiceSchema } from "moleculer";
import ApiGateway from "moleculer-web";
import { Fault } from "../contracts/errors.ts";
import type { Api } from "./api.ts";
import type { Exchange } from "./exchange.ts";
import type { writeReply } from "./reply.ts";
import { API_BASE, ROUTES, type Route } from "./routes.ts";

type Next = (error?: unknown) => void;
/** What moleculer-web hangs on a request; not in its types as they are used here. */
interface Routed extends IncomingMessage {
  $params?: { params?: Readonly<Record<string, string>> };
}
interface Alias {
  readonly method: string;
  readonly path: string;
}

export interface GatewayServiceDeps {
  readonly api: Api;
  readonly exchangeOf: (request: IncomingMessage) => Exchange;
  /** Writes a reply; knows whether connections are being closed. */
  readonly write: typeof writeReply;
}

const keyOf = ({ method, path }: Alias): string => `${method} ${path.replace(/^\//, "")}`;
const BY_ALIAS = new Map(ROUTES.map((route) => [keyOf(route.rest), route]));

const routeOf = (alias: Alias): Route => {
  const route = BY_ALIAS.get(keyOf(alias));
  if (!route) throw new Error(`bug: no route for ${alias.method} ${alias.path}`);
  return route;
};

const handlerOf =
  ({ api, exchangeOf, write }: GatewayServiceDeps, route: Route) =>
  (request: Routed, response: ServerResponse, next: Next): void => {
    const exchange = exchangeOf(request);
    api
      .answer(exchange, route, request.$params?.params ?? {})
      .then((reply) => write(response, reply))
      .catch(next);
  };

/** One moleculer-web route with one alias per REST route; nothing else can be reached through it. */
const apiRoute = (deps: GatewayServiceDeps) => ({
  path: API_BASE,
  mappingPolicy: "restrict" as const, // without it every published action is reachable, `$node.list` too
  authentication: true,
  authorization: true,
  // Its parsers run before authentication, and their errors carry no CORS headers: `Api` reads bodies itself.
  bodyParsers: false as const,
  mergeParams: false,
  logging: false,
  pathToRegexpOptions: { sensitive: true, trailing: false },
  aliases: Object.fromEntries(
    ROUTES.map((route) => [`${route.rest.method} ${route.rest.path}`, handlerOf(deps, route)]),
  ),
});

/** Not in Moleculer's type of settings, which knows only its own. */
const settingsOf = (deps: GatewayServiceDeps): Record<string, unknown> => ({
  server: false,
  routes: [apiRoute(deps)],
  logRequest: null,
  logRequestParams: null,
  logResponse: null,
  logRouteRegistration: null,
  $secureSettings: ["routes"], // functions, and nobody else's business: settings are sent to every node
});

/** Wiring of moleculer-web as a middleware behind our own listener. */
export const gatewayService = (deps: GatewayServiceDeps): ServiceSchema => {
  const { api, exchangeOf, write } = deps;
  const fail = (request: IncomingMessage, response: ServerResponse, error: unknown): void => {
    const exchange = exchangeOf(request);
    write(response, api.problem(exchange, undecodable(error) ? new Fault("NOT_FOUND") : error));
  };
  return {
    name: "gateway",
    mixins: [ApiGateway],
    settings: settingsOf(deps),
    // The mixin's own actions would let any node read and change the routes.
    actions: { listAliases: false, addRoute: false, removeRoute: false },
    methods: {
      authenticate(_: Context, __: unknown, request: IncomingMessage, ___: ServerResponse, alias: Alias) {
        routeOf(alias); // a route that is not in our table is entered by nobody
        return api.authenticate(exchangeOf(request));
      },
      authorize(_: Context, __: unknown, request: IncomingMessage, ___: ServerResponse, alias: Alias) {
        api.authorize(exchangeOf(request), routeOf(alias));
      },
      /** Called by moleculer-web for everything that its hooks throw; its own shows messages of plain errors. */
      errorHandler: fail,
    },
  };
};

/** A path with a broken percent-encoding names nothing. */
const undecodable = (error: unknown): boolean =>
  (error as { type?: unknown } | undefined)?.type === "UNABLE_DECODE_PARAM";

/** Handles a request, or calls `next` when there is no such route. */
export type Router = (request: IncomingMessage, response: ServerResponse, next: Next) => void;

/** Adds the service to the broker and gives its request handler. */
export const routerOn = (
  broker: ServiceBroker,
  deps: GatewayServiceDeps,
): { router: Router; remove(): Promise<void> } => {
  const service = broker.createService(gatewayService(deps)) as Service & { express(): Router };
  return { router: service.express(), remove: () => broker.destroyService(service) };
};
