/**
 * Hears what the database notifies (LISTEN). All listeners of a process on one database share one connection, which
 * comes back by itself when it breaks. What is said while it is away is not heard: listeners poll besides.
 */
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import { connectionConfig } from "./database.ts";

const AGAIN_MS = 1_000;
const GOODBYE_MS = 1_000; // a server that hangs never closes its end of the connection

export interface ListenerOptions {
  readonly url: string;
  /** A plain lower-case word: it stands in the statement as it is. */
  readonly channel: string;
  readonly onPayload: (payload: string) => void;
}

/** One ear on one channel. */
export class Listener {
  readonly #options: ListenerOptions;
  #line: Line | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Listens from now on, or, if the database is away, as soon as it is back. */
  async start(): Promise<void> {
    const { url } = this.#options;
    const line = lines.get(url) ?? new Line(url);
    lines.set(url, line);
    this.#line = line;
    await line.add(this.#options);
  }

  async stop(): Promise<void> {
    const { url } = this.#options;
    if (!this.#line?.remove(this.#options)) return;
    if (lines.get(url) === this.#line) lines.delete(url);
    await this.#line.close();
  }
}

/** By URL. */
const lines = new Map<string, Line>();

/** The connection that listeners share. */
class Line {
  readonly #url: string;
  readonly #listeners = new Set<ListenerOptions>();
  #client: pg.Client | undefined;
  #opening: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(url: string) {
    this.#url = url;
  }

  async add(listener: ListenerOptions): Promise<void> {
    this.#listeners.add(listener);
    const isOpen = this.#opening !== undefined;
    this.#opening ??= this.#open();
    await this.#opening;
    // A connection that is away, or breaks now, listens to every channel when it is back.
    if (isOpen) await this.#client?.query(`listen ${listener.channel}`).catch(() => {});
  }

  /** True: nobody listens any more. */
  remove(listener: ListenerOptions): boolean {
    return this.#listeners.delete(listener) && this.#listeners.size === 0;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const goodbye = this.#client?.end().catch(() => {});
    await Promise.race([goodbye, pause(GOODBYE_MS, undefined, { ref: false })]);
  }

  async #open(): Promise<void> {
    const client = new pg.Client(connectionConfig({ url: this.#url, applicationName: "castellan-listener" }));
    this.#client = client;
    client.on("error", () => {});
    client.once("end", () => this.#again());
    client.on("notification", ({ channel, payload }) => {
      for (const listener of this.#listeners) if (listener.channel === channel) listener.onPayload(payload ?? "");
    });
    try {
      await client.connect();
      const channels = new Set([...this.#listeners].map(({ channel }) => channel));
      for (const channel of channels) await client.query(`listen ${channel}`);
    } catch {
      await client.end().catch(() => {});
      this.#again();
    }
  }

  #again(): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#opening = this.#open();
    }, AGAIN_MS);
  }
}
