/** Files that are served as they are: a fixed list, read once, compressed once, revalidated by ETag. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  mjs: "text/javascript; charset=utf-8",
  json: "application/json",
  svg: "image/svg+xml",
  png: "image/png",
};
const GZIP_FROM_BYTES = 1024;

interface Content {
  readonly type: string;
  readonly etag: string;
  readonly plain: Buffer;
  readonly gzipped: Buffer | undefined;
}

const typeOf = (name: string): string => TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream";

const contentOf = async (name: string, plain: Buffer): Promise<Content> => {
  const type = typeOf(name);
  const worthIt = !type.startsWith("image/png") && plain.length >= GZIP_FROM_BYTES;
  return {
    type,
    etag: `"${createHash("sha256").update(plain).digest("base64url").slice(0, 22)}"`,
    plain,
    gzipped: worthIt ? await promisify(gzip)(plain) : undefined,
  };
};

const takesGzip = (request: IncomingMessage): boolean =>
  /(?:^|,)\s*gzip\s*(?:;\s*q=(?:1|0\.\d*[1-9]))?\s*(?:,|$)/.test(String(request.headers["accept-encoding"] ?? ""));

const isFresh = (request: IncomingMessage, etag: string): boolean =>
  (request.headers["if-none-match"] ?? "").split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag);

/** Answers one request with one content. `headers` may override what is set here. */
export const writeContent = (
  request: IncomingMessage,
  response: ServerResponse,
  { content, headers }: { content: Content; headers: Readonly<Record<string, string>> },
): void => {
  const common = {
    ETag: content.etag,
    "Cache-Control": "no-cache", // kept, but asked for again: a new version shows at once
    Vary: "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    ...headers,
  };
  if (isFresh(request, content.etag)) {
    response.writeHead(304, common).end();
    return;
  }
  const zipped = takesGzip(request) ? content.gzipped : undefined;
  const bytes = zipped ?? content.plain;
  response.writeHead(200, {
    ...common,
    "Content-Type": content.type,
    "Content-Length": bytes.length,
    ...(zipped ? { "Content-Encoding": "gzip" } : {}),
  });
  response.end(bytes);
};

/** Contents by name: files (name → place on disk) that are read when first asked for, and texts made by us. */
export class Contents {
  readonly #files: ReadonlyMap<string, string>;
  readonly #read = new Map<string, Promise<Content>>();

  constructor(files: Readonly<Record<string, string>>) {
    this.#files = new Map(Object.entries(files));
  }

  /** Undefined for a name that is not in the list: no path is ever built from a request. */
  find(name: string): Promise<Content> | undefined {
    const file = this.#files.get(name);
    return file === undefined ? undefined : this.#once(name, () => readFile(file));
  }

  /** The content of a text that does not change while we run. */
  text(name: string, make: () => string): Promise<Content> {
    return this.#once(name, async () => Buffer.from(make()));
  }

  #once(name: string, read: () => Promise<Buffer>): Promise<Content> {
    const known = this.#read.get(name);
    if (known) return known;
    const reading = read().then((plain) => contentOf(name, plain));
    this.#read.set(name, reading);
    reading.catch(() => this.#read.delete(name));
    return reading;
  }
}
