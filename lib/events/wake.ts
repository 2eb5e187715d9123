/** Listens for new events on a connection of its own, and comes back when it breaks; pollers cover what it misses. */
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import { connectionConfig } from "../db/database.ts";

const CHANNEL = "castellan_event"; // publish_event notifies it
const AGAIN_MS = 1_000;
const GOODBYE_MS = 1_000; // a server that hangs never closes its end of the connection

export class Wake {
  readonly #url: string;
  readonly #onName: (name: string) => void;
  #client: pg.Client | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(url: string, onName: (name: string) => void) {
    this.#url = url;
    this.#onName = onName;
  }

  async start(): Promise<void> {
    const client = new pg.Client(connectionConfig({ url: this.#url, applicationName: "castellan-events" }));
    this.#client = client;
    client.on("error", () => {});
    client.once("end", () => this.#again());
    client.on("notification", ({ payload }) => this.#onName(payload ?? ""));
    try {
      await client.connect();
      await client.query(`listen ${CHANNEL}`);
    } catch {
      await client.end().catch(() => {});
      this.#again();
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const goodbye = this.#client?.end().catch(() => {});
    await Promise.race([goodbye, pause(GOODBYE_MS, undefined, { ref: false })]);
  }

  #again(): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => void this.start(), AGAIN_MS);
  }
}
