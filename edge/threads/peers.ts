/**
 * One thread's ways to the others. Each key has one owner: it alone asks origins and keeps the object; the others ask
 * it, read the same memory, and answer by themselves for as long as it says. What it takes back is told before it is
 * used for anything else; bodies that are being sent stay as they are.
 */
import type { MessagePort } from "node:worker_threads";
import { LRUCache } from "lru-cache";
import type { HeaderLines } from "../../lib/http/exchange.ts";
import type { Log } from "../../lib/log/log.ts";
import type { Body, FillingBody } from "../cache/body.ts";
import type { Stored } from "../cache/stored.ts";
import type { Asked } from "../site/finder.ts";
import type { Verdict } from "../site/verdict.ts";
import { bufferOf, MirrorBody } from "./mirror-body.ts";
import { type AskMessage, ownerOf, type PeerMessage, type Progress, type SharedBytes, type Told } from "./protocol.ts";

export interface PeersDeps {
  readonly index: number;
  /** To the thread of each index; undefined at this thread's own. */
  readonly ports: readonly (MessagePort | undefined)[];
  /** What this thread has for a request: it owns the key. */
  readonly find: (asked: AskMessage & Asked) => Found | Promise<Found>;
  /** An address of this thread was changed through another one. */
  readonly invalidate: (key: string) => void;
  /** Answers to an address of this thread may be kept after all, another one has seen. */
  readonly cacheable: (key: string) => void;
  /** Something of this thread was used elsewhere. */
  readonly used: (key: string) => void;
  readonly log: Log;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/** Objects of other threads that are answered with here. They are the owners' memory: only the entries are ours. */
const VIEWS_MAX = 20_000;
const ASK_MS_MAX = 60_000;
const USED_MS = 500;
const USED_MAX = 1_000;

type BringNear = (start: number, end: number) => void;

/** What a thread finds for another; a redirect is of live media. */
export type Found = Verdict | { readonly kind: "redirect"; readonly location: string };

/** An object of another thread: its key there, and what decides whose it is. */
export interface Wanted {
  readonly key: string;
  readonly owner: string;
  /** Path and query, without a token. */
  readonly target: string;
}
type Asking = Asked & { readonly host: string };

interface Waiting {
  readonly resolve: (found: Found) => void;
  readonly timer: NodeJS.Timeout;
  /** Under which the answer may be kept. */
  readonly key: string;
}

export class Peers {
  readonly #deps: PeersDeps;
  readonly #waiting = new Map<number, Waiting>();
  readonly #asking = new Map<string, Promise<Found>>();
  readonly #views = new LRUCache<string, Stored>({ max: VIEWS_MAX });
  readonly #mirrors = new Map<string, MirrorBody>();
  /** Bodies of ours that others read along. */
  readonly #told = new Map<FillingBody, { readonly id: number; readonly readers: Set<number> }>();
  readonly #bringers = new Map<number, BringNear>();
  /** Which threads have which of our objects, and under which keys of theirs. */
  readonly #sharers = new LRUCache<string, Map<number, string>>({ max: 8 * VIEWS_MAX });
  /** Our keys of objects that were used here, and what decides whose they are. */
  readonly #used = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;
  #lastId = 0;

  constructor(deps: PeersDeps) {
    this.#deps = deps;
    deps.ports.forEach((port, from) => {
      port?.on("message", (message: PeerMessage) => this.#came(from, message));
    });
    this.#timer = setInterval(() => this.#tellUsed(), USED_MS).unref();
  }

  get count(): number {
    return this.#deps.ports.length;
  }
  isOwn(key: string): boolean {
    return ownerOf(key, this.count) === this.#deps.index;
  }

  /** What the owner of an object has for the request. */
  find(request: Asking, wanted: Wanted): Found | Promise<Found> {
    const { key } = wanted;
    const view = this.#views.get(key);
    if (view && this.#deps.nowMs() < view.freshUntilMs) {
      if (this.#used.size < USED_MAX) this.#used.set(view.key, wanted.owner);
      return { kind: "hit", stored: view };
    }
    // A prefetch may be told that it is not worth it: no viewer's request waits for that.
    const isPlain = !request.isPrefetch && request.header("authorization") === undefined;
    const asking = isPlain ? this.#asking.get(key) : undefined;
    // What varies by the request may be another for this one.
    if (asking) return asking.then((found) => (isForOne(found) ? this.#ask(request, wanted) : found));
    const asked = this.#ask(request, wanted).finally(() => this.#asking.delete(key));
    if (isPlain) this.#asking.set(key, asked);
    return asked;
  }

  /** These are not ours to give any more. */
  gone(keys: readonly string[]): void {
    const byThread = new Map<number, string[]>();
    for (const key of keys) {
      for (const [index, asked] of this.#sharers.get(key) ?? []) {
        byThread.set(index, [...(byThread.get(index) ?? []), asked]);
      }
      this.#sharers.delete(key);
    }
    for (const [index, taken] of byThread) this.#say(index, { type: "gone", keys: taken });
  }

  /** What another thread has of an address is not what its origin has any more (RFC 9111 §4.4). */
  invalidate(key: string): void {
    this.#views.delete(key);
    this.#say(ownerOf(key, this.count), { type: "invalidate", key });
  }

  cacheable(key: string): void {
    this.#say(ownerOf(key, this.count), { type: "cacheable", key });
  }

  /**
   * Nothing that was shared is used any more: configuration or purges have changed what it stands for. The others hear
   * of that from this thread too, behind all that it has told them before: they may have learnt of the change sooner.
   */
  forget(): void {
    this.#views.clear();
    for (const port of this.#deps.ports) port?.postMessage({ type: "forget" } satisfies PeerMessage);
  }

  close(): void {
    clearInterval(this.#timer);
    for (const port of this.#deps.ports) port?.close();
    for (const { timer, resolve } of this.#waiting.values()) {
      clearTimeout(timer);
      resolve(BUSY);
    }
  }

  #say(index: number, message: PeerMessage): void {
    this.#deps.ports[index]?.postMessage(message);
  }

  #ask(request: Asking, { key, owner, target }: Wanted): Promise<Found> {
    const mark = target.indexOf("?");
    const path = mark === -1 ? target : target.slice(0, mark);
    const query = mark === -1 ? "" : target.slice(mark + 1);
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        resolve(BUSY);
      }, ASK_MS_MAX);
      this.#waiting.set(id, { resolve, timer, key });
      const { host, fields, isPrefetch = false } = request;
      this.#say(ownerOf(owner, this.count), { type: "ask", id, key, host, path, query, fields, isPrefetch });
    });
  }

  #came(from: number, message: PeerMessage): void {
    switch (message.type) {
      case "ask":
        void this.#answer(from, message);
        break;
      case "told":
        this.#heard(from, message.id, message.told);
        break;
      case "more":
        this.#more(from, message);
        break;
      case "near":
        this.#bringers.get(message.bodyId)?.(message.start, message.end);
        break;
      case "gone":
        for (const key of message.keys) this.#views.delete(key);
        break;
      case "forget":
        this.#views.clear();
        break;
      case "invalidate":
        this.#deps.invalidate(message.key);
        break;
      case "cacheable":
        this.#deps.cacheable(message.key);
        break;
      case "used":
        for (const key of message.keys) this.#deps.used(key);
        break;
    }
  }

  async #answer(from: number, message: AskMessage): Promise<void> {
    const { fields, path } = message;
    const header = (name: string): string | undefined => fieldIn(fields, name);
    // The other side waits: whatever goes wrong here, it hears of an answer.
    const verdict = await Promise.resolve()
      .then(() => this.#deps.find({ ...message, header, path }))
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error, key: message.key }, "bug: what another thread asked for can't be found");
        return BUSY;
      });
    this.#say(from, { type: "told", id: message.id, told: this.#tell({ to: from, key: message.key }, verdict) });
  }

  #tell({ to, key }: { to: number; key: string }, verdict: Found): Told {
    const nowMs = this.#deps.nowMs();
    switch (verdict.kind) {
      case "hit": {
        const { stored } = verdict;
        const { described, body, bornAtMs, freshUntilMs } = stored;
        const shareMs = hasVary(described.lines) ? 0 : freshUntilMs - nowMs;
        if (shareMs > 0) this.#share(stored.key, to, key);
        const status = { hit: true, ttlMs: freshUntilMs - nowMs };
        const progress: Progress = { filledBytes: body.length, spans: [], state: "whole" };
        const told = { described, status, ageMs: nowMs - bornAtMs, bytes: shared(body), sizeBytes: body.length };
        const rest = { progress, bodyId: undefined, shareMs, key: stored.key, isAlone: false };
        return { kind: "content", result: "hit", ...told, ...rest };
      }
      case "content": {
        const { body, described, ageMs, status } = verdict.content;
        const { isAlone = false } = verdict;
        const told = { described, status, ageMs, shareMs: 0, key: "", isAlone };
        if (Buffer.isBuffer(body)) {
          const progress: Progress = { filledBytes: body.length, spans: [], state: "whole" };
          const bytes = { bytes: shared(body), sizeBytes: body.length };
          return { kind: "content", result: verdict.result, ...told, ...bytes, progress, bodyId: undefined };
        }
        const filling = body as FillingBody; // mirrors are of other threads' keys, and are not told on
        const bodyId = filling.state === "filling" ? this.#readAlong(filling, to, verdict.bringNear) : undefined;
        const { sizeBytes } = filling;
        const bytes = shared(filling.memory);
        return {
          kind: "content",
          result: verdict.result,
          ...told,
          bytes,
          sizeBytes,
          progress: progressOf(filling),
          bodyId,
        };
      }
      case "pass":
        verdict.answer?.drop();
        return { kind: "pass", status: verdict.status };
      case "problem":
      case "redirect":
        return verdict;
    }
  }

  #share(key: string, to: number, asked: string): void {
    const sharers = this.#sharers.get(key) ?? new Map<number, string>();
    sharers.set(to, asked);
    this.#sharers.set(key, sharers);
  }

  /** Tells a thread how a body comes along, until it is over; gives the body's name between the two. */
  #readAlong(body: FillingBody, to: number, bringNear: BringNear | undefined): number {
    let along = this.#told.get(body);
    if (!along) {
      this.#lastId += 1;
      along = { id: this.#lastId, readers: new Set() };
      this.#told.set(body, along);
      if (bringNear) this.#bringers.set(along.id, bringNear);
    }
    const { id, readers } = along;
    if (readers.has(to)) return id;
    readers.add(to);
    let memory = body.memory;
    const stop = body.onMore(() => {
      const bytes = body.memory === memory ? undefined : shared(body.memory);
      memory = body.memory;
      this.#say(to, { type: "more", bodyId: id, progress: progressOf(body), bytes });
      if (body.state === "filling") return;
      stop();
      this.#told.delete(body);
      this.#bringers.delete(id);
    });
    return id;
  }

  #heard(from: number, id: number, told: Told): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    waiting.resolve(this.#verdictOf(from, waiting.key, told));
  }

  #verdictOf(from: number, key: string, told: Told): Found {
    if (told.kind === "pass") return { ...told, answer: undefined };
    if (told.kind === "problem" || told.kind === "redirect") return told;
    const { described, ageMs, status, result, bodyId, shareMs, isAlone } = told;
    if (bodyId !== undefined) {
      const body = this.#mirror(`${from}/${bodyId}`, told);
      const bringNear = (start: number, end: number): void => this.#say(from, { type: "near", bodyId, start, end });
      return { kind: "content", result, isAlone, content: { described, body, ageMs, status }, bringNear };
    }
    if (told.progress.state === "broken") {
      // It broke off before it was told of: its readers must see that too.
      const broken = new MirrorBody(told.sizeBytes, told.bytes, told.progress);
      return { kind: "content", result, isAlone, content: { described, body: broken, ageMs, status } };
    }
    const body = bufferOf(told.bytes).subarray(0, told.progress.filledBytes);
    if (shareMs <= 0) return { kind: "content", result, isAlone, content: { described, body, ageMs, status } };
    const stored = this.#viewOf(told, body);
    this.#views.set(key, stored);
    return { kind: "hit", stored };
  }

  #viewOf({ described, ageMs, shareMs, key }: Extract<Told, { kind: "content" }>, body: Buffer): Stored {
    const nowMs = this.#deps.nowMs();
    const times = { bornAtMs: nowMs - ageMs, freshUntilMs: nowMs + shareMs, revalidateUntilMs: 0, staleUntilMs: 0 };
    const rest = { base: "", facts: undefined, purgeable: undefined, askAgainAtMs: 0, ready: undefined };
    return { key, described, body, ...times, ...rest };
  }

  #mirror(name: string, { sizeBytes, bytes, progress }: Extract<Told, { kind: "content" }>): Body {
    const known = this.#mirrors.get(name);
    if (known) return known;
    const mirror = new MirrorBody(sizeBytes, bytes, progress);
    this.#mirrors.set(name, mirror);
    return mirror;
  }

  #more(from: number, { bodyId, progress, bytes }: Extract<PeerMessage, { type: "more" }>): void {
    const name = `${from}/${bodyId}`;
    this.#mirrors.get(name)?.came(progress, bytes);
    if (progress.state !== "filling") this.#mirrors.delete(name);
  }

  #tellUsed(): void {
    const byThread = new Map<number, string[]>();
    for (const [key, decides] of this.#used) {
      const owner = ownerOf(decides, this.count);
      byThread.set(owner, [...(byThread.get(owner) ?? []), key]);
    }
    this.#used.clear();
    for (const [index, keys] of byThread) this.#say(index, { type: "used", keys });
  }
}

const BUSY: Verdict = { kind: "problem", result: "failed", refusal: { code: "EDGE_BUSY" } };
/** An answer that may be another for another request. */
const isForOne = (found: Found): boolean => {
  if (found.kind === "hit") return hasVary(found.stored.described.lines);
  return found.kind === "content" && (found.isAlone === true || hasVary(found.content.described.lines));
};
const hasVary = (lines: HeaderLines): boolean => /^vary:/im.test(lines);

const fieldIn = (fields: readonly string[], lowerName: string): string | undefined => {
  for (let at = 0; at < fields.length; at += 2) if (fields[at]?.toLowerCase() === lowerName) return fields[at + 1];
  return undefined;
};

const shared = (buffer: Buffer): SharedBytes =>
  buffer.buffer instanceof SharedArrayBuffer
    ? { memory: buffer.buffer, offset: buffer.byteOffset, length: buffer.length }
    : { memory: new Uint8Array(buffer), offset: 0, length: buffer.length };

const progressOf = ({ filledBytes, spans, state }: FillingBody): Progress => ({
  filledBytes,
  spans: spans.map(({ start, end }) => ({ start, end })),
  state,
});
