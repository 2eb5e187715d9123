/** Files and texts that are served as they are: a fixed list, read once, compressed once, each with its ETag. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
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

/** One of them, in memory. */
export interface Content {
  readonly type: string;
  /** With its quotes (RFC 9110 §8.8.3). */
  readonly etag: string;
  readonly plain: Buffer;
  /** Undefined where it would not be smaller. */
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
