/** Phase "answer": a body, whole or still filling, to one viewer. */
import type { CacheStatusParts } from "../../domain/http-cache/cache-status.ts";
import type { BodyWriter, RawExchange } from "../../lib/http/exchange.ts";
import { prepare } from "../../lib/http/raw-prepared.ts";
import type { Body } from "../cache/body.ts";
import type { Described, Stored } from "../cache/stored.ts";
import { sendRanges } from "./byteranges.ts";
import { ownLines } from "./headers.ts";

/** How much of a filling body is handed to a connection at once: what a slow one holds back is no more than this. */
const WRITE_BYTES_MAX = 256 * 1024;

export interface Content {
  readonly described: Described;
  readonly body: Buffer | Body;
  readonly ageMs: number;
  readonly status: CacheStatusParts;
}

const EMPTY = Buffer.alloc(0);
const hasContent = ({ status }: Described): boolean => status !== 204 && status !== 304;

/** The hot path: what a plain GET of a fresh object gets is made once a second, not once a request. */
export const answerHit = (exchange: RawExchange, stored: Stored, nowMs: number): void => {
  const second = Math.floor(nowMs / 1_000);
  let { ready } = stored;
  if (ready?.second !== second) {
    const { status, lines: told, cacheStatus: previous } = stored.described;
    const lines = ownLines(nowMs - stored.bornAtMs, { hit: true, ttlMs: stored.freshUntilMs - nowMs, previous });
    ready = { answer: prepare(status, told + lines, stored.body), second };
    stored.ready = ready;
  }
  const { headers, status } = ready.answer;
  if (exchange.isConditional && status === 200 && sendRanges(exchange, headers, stored.body)) return;
  exchange.sendPrepared(ready.answer);
};

/** Answers with it; resolves, where that takes time, when the last byte has been handed over or the viewer has left. */
export const answerWith = (exchange: RawExchange, content: Content): Promise<void> | undefined => {
  const { described, body, ageMs, status } = content;
  const lines = described.lines + ownLines(ageMs, { ...status, previous: described.cacheStatus });
  if (Buffer.isBuffer(body) || body.state === "whole") {
    const bytes = Buffer.isBuffer(body) ? body : body.view();
    if (described.status === 200 && sendRanges(exchange, lines, bytes)) return undefined;
    // The whole rest in one write: the kernel takes what it can, the cached bytes are only referred to.
    exchange.send(described.status, lines, hasContent(described) ? bytes : EMPTY);
    return undefined;
  }
  if (described.status !== 200 || body.sizeBytes === undefined) {
    const writer = exchange.begin(described.status, lines, body.sizeBytes ?? null);
    return read(exchange, { writer, body, start: 0, end: body.sizeBytes });
  }
  const part = exchange.beginPart(lines, body.sizeBytes);
  return part && read(exchange, { ...part, body });
};

interface Wanted {
  readonly writer: BodyWriter;
  readonly body: Body;
  readonly start: number;
  /** Exclusive; undefined: to the end, wherever that will be. */
  readonly end: number | undefined;
}

const read = (exchange: RawExchange, wanted: Wanted): Promise<void> => {
  if (exchange.method === "HEAD" || exchange.isGone) return wanted.writer.end().catch(() => {});
  return new Reading(exchange, wanted).run();
};

/** One viewer's way through a filling body. */
class Reading {
  readonly #exchange: RawExchange;
  readonly #writer: BodyWriter;
  readonly #body: Body;
  readonly #end: number;
  #offset: number;
  #isBlocked = false;
  #isOver = false;
  #finish: () => void = () => {};

  constructor(exchange: RawExchange, { writer, body, start, end = Number.POSITIVE_INFINITY }: Wanted) {
    this.#exchange = exchange;
    this.#writer = writer;
    this.#body = body;
    this.#offset = start;
    this.#end = end;
  }

  run(): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.#body.onMore(() => this.#pump());
      this.#finish = () => {
        this.#isOver = true;
        stop();
        resolve();
      };
      this.#pump();
    });
  }

  #pump(): void {
    const body = this.#body;
    if (this.#isOver) return;
    if (this.#exchange.isGone) {
      this.#finish();
      return;
    }
    while (!this.#isBlocked) {
      const to = Math.min(body.reach(this.#offset), this.#end, this.#offset + WRITE_BYTES_MAX);
      if (to <= this.#offset) break;
      const piece = body.view(this.#offset, to);
      this.#offset = to;
      if (!this.#writer.offer(piece)) this.#await();
    }
    this.#settle();
  }

  #await(): void {
    this.#isBlocked = true;
    this.#writer.onDrain(() => {
      this.#isBlocked = false;
      this.#pump();
    });
  }

  #settle(): void {
    if (this.#isOver || this.#isBlocked) return;
    const { state, filledBytes } = this.#body;
    if (this.#offset >= this.#end || (state === "whole" && this.#offset >= filledBytes)) {
      this.#writer.end().then(this.#finish, this.#finish);
      this.#isOver = true;
    } else if (state === "broken") {
      // Not a clean end: a short answer must never look like a whole one.
      this.#writer.abort();
      this.#finish();
    }
  }
}
