/** Every ask of the platform in one list, and the REST routes that the contracts declare. */
import { z } from "zod";
import * as artwork from "../contracts/artwork.ts";
import * as catalog from "../contracts/catalog.ts";
import * as channel from "../contracts/channel.ts";
import * as channelSupervisor from "../contracts/channel-supervisor.ts";
import * as contentSet from "../contracts/content-set.ts";
import * as edgeConfig from "../contracts/edge-config.ts";
import * as fleet from "../contracts/fleet.ts";
import * as genre from "../contracts/genre.ts";
import * as keyserver from "../contracts/keyserver.ts";
import type { Ask, Rest } from "../contracts/kit.ts";
import * as libraries from "../contracts/libraries.ts";
import * as packager from "../contracts/packager.ts";
import * as people from "../contracts/people.ts";
import * as playback from "../contracts/playback.ts";
import * as scheduler from "../contracts/scheduler.ts";
import * as streamer from "../contracts/streamer.ts";
import * as tenant from "../contracts/tenant.ts";
import * as transcoder from "../contracts/transcoder.ts";
import * as upload from "../contracts/upload.ts";

/** The contract modules by file name; a test holds the list equal to the folder. */
export const CONTRACTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  artwork,
  catalog,
  channel,
  "channel-supervisor": channelSupervisor,
  "content-set": contentSet,
  "edge-config": edgeConfig,
  fleet,
  genre,
  keyserver,
  libraries,
  packager,
  people,
  playback,
  scheduler,
  streamer,
  tenant,
  transcoder,
  upload,
};

export const API_BASE = "/api/v1";

const isAsk = (value: unknown): value is Ask =>
  typeof value === "object" && value !== null && (value as { kind?: unknown }).kind === "ask";

export const ASKS: readonly Ask[] = Object.values(CONTRACTS).flatMap((module) => Object.values(module).filter(isAsk));

/** Fields of an ask's input that the gateway fills; never taken from a body or a query. */
export const FILLED_FIELDS = ["trusted", "callerScopes", "idempotencyKey", "ifVersion"] as const;
export type FilledField = (typeof FILLED_FIELDS)[number];

export interface Route {
  readonly ask: Ask;
  readonly rest: Rest;
  /** `GET /api/v1/channels/:channelId`: the name of the route in logs and metrics without its method. */
  readonly template: string;
  /** The fields of the ask's input. */
  readonly shape: Readonly<Record<string, z.ZodType>>;
  readonly pathParams: readonly string[];
  /** The input's fields that a client gives in the body or the query. */
  readonly clientFields: readonly string[];
  readonly filledFields: readonly FilledField[];
  readonly hasBody: boolean;
}

const objectOf = (ask: Ask): z.ZodObject => {
  if (ask.input instanceof z.ZodObject) return ask.input;
  throw new Error(`bug: the input of ${ask.name} is not an object, and it has a REST route`);
};

const routeOf = (ask: Ask, rest: Rest): Route => {
  // zod's own type of a shape's members is wider than what its schemas are.
  const shape = objectOf(ask).shape as Record<string, z.ZodType>;
  const fields = Object.keys(shape);
  const pathParams = [...rest.path.matchAll(/:(\w+)/g)].map(([, name]) => name ?? "");
  const stray = pathParams.find((name) => !fields.includes(name));
  if (stray) throw new Error(`bug: ${ask.name} has no input field for :${stray}`);
  return {
    ask,
    rest,
    template: API_BASE + rest.path,
    shape,
    pathParams,
    clientFields: fields.filter((name) => !pathParams.includes(name) && !isFilled(name)),
    filledFields: FILLED_FIELDS.filter((name) => fields.includes(name)),
    hasBody: rest.method === "POST" || rest.method === "PUT" || rest.method === "PATCH",
  };
};

export const isFilled = (name: string): boolean => (FILLED_FIELDS as readonly string[]).includes(name);

/** Collections before their resources, and reading before writing: the order of the API reference. */
const METHOD_ORDER = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const inOrder = (a: Route, b: Route): number =>
  a.template.localeCompare(b.template) || METHOD_ORDER.indexOf(a.rest.method) - METHOD_ORDER.indexOf(b.rest.method);

export const ROUTES: readonly Route[] = ASKS.flatMap((ask) => (ask.rest ? [routeOf(ask, ask.rest)] : [])).sort(inOrder);

/** Paths of single resources: a 201 at their parent points there. */
const RESOURCE_PATHS = new Set(
  ROUTES.filter(({ rest }) => rest.method === "GET").map(({ template }) => template.replace(/\/:\w+$/, "/:")),
);

/** Whether what a success of this route makes has an address of its own, for `Location`. */
export const makesResource = ({ rest, template }: Route): boolean =>
  rest.status === 201 && RESOURCE_PATHS.has(`${template}/:`);

const segmentsMatch = (template: readonly string[], path: readonly string[]): boolean =>
  template.length === path.length && template.every((part, index) => part.startsWith(":") || part === path[index]);

/** By the number of their parts and the first one below the base: requests are many, and routes too. */
const placeOf = (segments: readonly string[]): string => `${segments.length} ${segments[BASE_DEPTH]}`;
const BASE_DEPTH = API_BASE.split("/").length;
const byPlace = new Map<string, { readonly route: Route; readonly parts: readonly string[] }[]>();
for (const route of ROUTES) {
  const parts = route.template.split("/");
  byPlace.set(placeOf(parts), [...(byPlace.get(placeOf(parts)) ?? []), { route, parts }]);
}

/** The routes at this path, whatever their method; `path` is absolute, without query and trailing slash. */
export const routesAt = (path: string): readonly Route[] => {
  const segments = path.split("/");
  if (segments.includes("", 1)) return [];
  const near = byPlace.get(placeOf(segments)) ?? [];
  return near.filter(({ parts }) => segmentsMatch(parts, segments)).map(({ route }) => route);
};

/** Methods for `Allow`: HEAD comes with GET, OPTIONS with everything. Empty for an unknown path. */
export const methodsAt = (path: string): readonly string[] => {
  const methods = routesAt(path).map(({ rest }) => rest.method as string);
  if (methods.length === 0) return [];
  return [...methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])), "OPTIONS"];
};
