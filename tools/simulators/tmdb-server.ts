/**
 * A simulator of The Movie Database, API version 3, written from its public documentation (developer.themoviedb.org:
 * "Authentication", "Errors", "Rate Limiting", "Languages", "Image Languages", "Image Basics", "Append To Response",
 * "Search & Query For Details" and the reference). The API is below `/3`, pictures are below `/t/p`.
 *
 * It can be told to misbehave: `misbehave()` here, or PUT /simulator/mood with the same words.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import * as answers from "./tmdb-answers.ts";
import { MOVIES, readPicturePath, SERIES, sizeOfShape } from "./tmdb-data.ts";
import { jpegOf, pngOf } from "./tmdb-pictures.ts";

export interface Mood {
  /** Every answer comes so late. */
  readonly slowMs?: number;
  /** 500, 503, 429 … for everything. */
  readonly status?: number;
  /** With 429 and 503. */
  readonly retryAfterSeconds?: number;
  /** Status 200 with bytes that are no JSON and no picture. */
  readonly garbage?: boolean;
  /** For so many answers; then all is well. */
  readonly times?: number;
}
export interface SimulatorOptions {
  readonly token: string;
  readonly port?: number;
  /** More requests per second than these are answered with 429; none unless told. */
  readonly requestsPerSecond?: number;
}
export interface TmdbSimulator {
  /** For TMDB_URL. */
  readonly url: string;
  /** For TMDB_IMAGE_URL. */
  readonly imageUrl: string;
  misbehave(mood: Mood): void;
  /** Method-less request targets so far, oldest first. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

const REQUESTS_KEPT = 10_000;
const BODY_BYTES_MAX = 10_000;
const PARTS_MAX = 20; // "The maximum number of remote calls is 20."
/** Of the page "Errors". */
const ERRORS = {
  invalidService: [501, 2, "Invalid service: this service does not exist."],
  invalidId: [404, 6, "Invalid id: The pre-requisite id is invalid or not found."],
  invalidKey: [401, 7, "Invalid API key: You must be granted a valid key."],
  internal: [500, 11, "Internal error: Something went wrong, contact TMDB."],
  invalidPage: [400, 22, "Invalid page: Pages start at 1 and max at 500. They are expected to be an integer."],
  overLimit: [429, 25, "Your request count is over the allowed limit."],
  tooManyParts: [400, 27, "Too many append to response objects: The maximum number of remote calls is 20."],
  notFound: [404, 34, "The resource you requested could not be found."],
  offline: [503, 9, "Service offline: This service is temporarily offline, try again later."],
  method: [405, 42, "This resource does not support this request method."],
} as const;
type ErrorName = keyof typeof ERRORS;

interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}
const errorReply = (name: ErrorName): Reply => {
  const [status, status_code, status_message] = ERRORS[name];
  return { status, body: { success: false, status_code, status_message } };
};
const moodReply = (status: number, retryAfterSeconds?: number): Reply => {
  const name = status === 429 ? "overLimit" : status === 503 ? "offline" : "internal";
  const headers = retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) };
  return { ...errorReply(name), status, headers };
};
const found = (body: unknown): Reply => (body === undefined ? errorReply("notFound") : { status: 200, body });

const askedOf = (query: URLSearchParams): answers.Asked => {
  const language = (query.get("language") ?? "en-US").slice(0, 2).toLowerCase();
  const pictures = query.get("include_image_language")?.split(",");
  return {
    language,
    // Without the parameter the language filters pictures; without a language there is no filter.
    pictureLanguages: pictures
      ? pictures.map((one) => (one === "null" ? null : one))
      : query.has("language")
        ? [language]
        : ["en", "de", null],
    parts: (query.get("append_to_response") ?? "").split(",").filter(Boolean),
  };
};

const search = (query: URLSearchParams, asked: answers.Asked, kind: "movie" | "tv"): Reply => {
  const year =
    kind === "movie" ? (query.get("primary_release_year") ?? query.get("year")) : query.get("first_air_date_year");
  const wanted = { query: query.get("query") ?? "", year };
  const all = kind === "movie" ? answers.foundMovies(wanted, asked) : answers.foundSeries(wanted, asked);
  const page = answers.pageOf(all, Number(query.get("page") ?? 1));
  return page ? { status: 200, body: page } : errorReply("invalidPage");
};

const seriesReply = (id: number, rest: readonly string[], asked: answers.Asked): Reply => {
  const series = SERIES.find((one) => one.id === id);
  if (!series) return errorReply("notFound");
  const [word, season, episodeWord, episode] = rest;
  if (word === undefined) return found(answers.seriesIn(series, asked));
  if (word !== "season" || season === undefined) return errorReply("notFound");
  if (episodeWord === undefined) return found(answers.seasonIn(series, Number(season), asked));
  if (episodeWord !== "episode") return errorReply("notFound");
  return found(answers.oneEpisode(series, { season: Number(season), episode: Number(episode) }, asked));
};

const apiReply = (path: string, query: URLSearchParams, imageUrl: string): Reply => {
  const asked = askedOf(query);
  if (asked.parts.length > PARTS_MAX) return errorReply("tooManyParts");
  const [what = "", id = "", ...rest] = path.split("/").filter(Boolean);
  if (what === "configuration") return found(answers.configuration(`${imageUrl}/`));
  if (what === "search") return id === "movie" || id === "tv" ? search(query, asked, id) : errorReply("notFound");
  if (!/^\d+$/.test(id)) return errorReply(["movie", "tv", "person"].includes(what) ? "invalidId" : "invalidService");
  if (what === "tv") return seriesReply(Number(id), rest, asked);
  if (rest.length > 0) return errorReply("notFound");
  if (what === "movie") {
    const movie = MOVIES.find((one) => one.id === Number(id));
    return found(movie && answers.movieIn(movie, asked));
  }
  const person = what === "person" ? answers.personOf(Number(id)) : undefined;
  return found(person && answers.personPage(person, asked));
};

/** `w500` is so wide, `h632` so high, `original` as it is. */
const pictureReply = (path: string): { type: string; bytes: Buffer } | undefined => {
  const [, size = "", file = ""] = /^\/(original|[wh]\d{2,4})(\/[^/]+)$/.exec(path) ?? [];
  const picture = readPicturePath(file);
  if (!picture) return undefined;
  const whole = sizeOfShape(picture.shape);
  const share = size === "original" ? 1 : Number(size.slice(1)) / (size.startsWith("w") ? whole.width : whole.height);
  const scale = Math.min(1, share);
  const shape = { width: Math.round(whole.width * scale), height: Math.round(whole.height * scale) };
  return file.endsWith(".png")
    ? { type: "image/png", bytes: pngOf(shape, picture.seed) }
    : { type: "image/jpeg", bytes: jpegOf(shape, picture.seed) };
};

class Simulator {
  readonly requests: string[] = [];
  readonly #options: SimulatorOptions;
  readonly #timers = new Set<NodeJS.Timeout>();
  #mood: Mood = {};
  #moodLeft = 0;
  #second = 0;
  #inSecond = 0;
  imageUrl = "";

  constructor(options: SimulatorOptions) {
    this.#options = options;
  }

  misbehave(mood: Mood): void {
    this.#mood = mood;
    this.#moodLeft = mood.times ?? Number.POSITIVE_INFINITY;
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", "http://simulator");
    if (url.pathname === "/simulator/mood") {
      this.#takeMood(request, response);
      return;
    }
    this.requests.push(`${url.pathname}${url.search}`);
    if (this.requests.length > REQUESTS_KEPT) this.requests.shift();
    const mood = this.#moodLeft > 0 ? this.#mood : {};
    this.#moodLeft -= 1;
    const reply = () => this.#reply(request, response, { url, mood });
    if (mood.slowMs === undefined) {
      reply();
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      reply();
    }, mood.slowMs);
    this.#timers.add(timer);
  }

  #reply(request: IncomingMessage, response: ServerResponse, { url, mood }: { url: URL; mood: Mood }): void {
    if (mood.garbage) response.writeHead(200, { "content-type": "text/html" }).end("<html>\0\xff not this");
    else if (mood.status !== undefined) json(response, moodReply(mood.status, mood.retryAfterSeconds));
    else if (request.method !== "GET") json(response, errorReply("method"));
    else if (url.pathname.startsWith("/t/p/")) this.#picture(response, url.pathname.slice(4));
    else json(response, this.#apiReply(request, url));
  }

  #apiReply(request: IncomingMessage, url: URL): Reply {
    if (request.headers.authorization !== `Bearer ${this.#options.token}`) return errorReply("invalidKey");
    if (this.#isOverLimit()) return { ...errorReply("overLimit"), headers: { "retry-after": "1" } };
    if (!url.pathname.startsWith("/3/")) return errorReply("invalidService");
    return apiReply(url.pathname.slice(2), url.searchParams, this.imageUrl);
  }

  #picture(response: ServerResponse, path: string): void {
    const picture = pictureReply(path);
    const head = picture
      ? { "content-type": picture.type, "content-length": picture.bytes.length }
      : { "content-type": "text/html" };
    response.writeHead(picture ? 200 : 404, head).end(picture?.bytes ?? "Not Found");
  }

  #isOverLimit(): boolean {
    const { requestsPerSecond = Number.POSITIVE_INFINITY } = this.#options;
    const second = Math.floor(Date.now() / 1_000);
    if (second !== this.#second) this.#inSecond = 0;
    this.#second = second;
    this.#inSecond += 1;
    return this.#inSecond > requestsPerSecond;
  }

  #takeMood(request: IncomingMessage, response: ServerResponse): void {
    let text = "";
    request.on("data", (chunk: Buffer) => {
      text += chunk;
      if (text.length > BODY_BYTES_MAX) request.destroy();
    });
    request.on("end", () => {
      try {
        this.misbehave(JSON.parse(text) as Mood);
        response.writeHead(204).end();
      } catch {
        response.writeHead(400).end();
      }
    });
  }

  end(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}

const json = (response: ServerResponse, { status, body, headers = {} }: Reply): void => {
  response.writeHead(status, { "content-type": "application/json;charset=utf-8", ...headers });
  response.end(JSON.stringify(body));
};

/** Listens on 127.0.0.1. */
export const startTmdbSimulator = async (options: SimulatorOptions): Promise<TmdbSimulator> => {
  const simulator = new Simulator(options);
  const server = createServer((request, response) => simulator.handle(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // a TCP listener always has one
  simulator.imageUrl = `${base}/t/p`;
  return {
    url: `${base}/3`,
    imageUrl: `${base}/t/p`,
    requests: simulator.requests,
    misbehave: (mood) => simulator.misbehave(mood),
    close: () =>
      new Promise((resolve) => {
        simulator.end();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
