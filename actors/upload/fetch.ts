/** The job that fetches a source: from a URL, or from a bucket. It goes on where it, or another node, was. */
import { z } from "zod";
import { codeOf, ERRORS, fail } from "../../contracts/errors.ts";
import { pause } from "../../lib/actor/contract.ts";
import type { Database } from "../../lib/db/database.ts";
import type { Hold, Locks } from "../../lib/db/locks.ts";
import type { OutgoingAgents } from "../../lib/http/outgoing-agents.ts";
import type { JobHandler, JobRun } from "../../lib/jobs/jobs.ts";
import type { Log } from "../../lib/log/log.ts";
import type { ContentSource } from "../../lib/source/port.ts";
import { fetchFrom } from "./fetch-http.ts";
import { fetchObject } from "./fetch-s3.ts";
import type { UploadJob } from "./finish.ts";
import { FirstBytes } from "./first-bytes.ts";
import type { Staging } from "./staging.ts";
import { advance, setEnded, setOrigin, takeOver, type UploadRow } from "./upload.store.ts";
import type { Uploads } from "./uploads.ts";

const Payload = z.object({ uploadId: z.uuid() });
const LOCK_WAIT_MS = 5_000;
/** Breaks of the connection in a row, without a byte between them, before the job gives up its slot for a while. */
const BREAKS_MAX = 4;
const BREAK_PAUSE_MS = 500;

export interface FetchDeps {
  readonly db: Database;
  readonly uploads: Uploads;
  readonly staging: Staging;
  readonly locks: Locks;
  readonly agents: OutgoingAgents;
  readonly openBucket: (bucket: string) => Promise<ContentSource>;
  readonly log: Log;
}

/** Bytes from `offset` on, and what is known of the whole. */
interface Incoming {
  readonly offset: number;
  readonly sizeBytes: number | null;
  readonly etag: string | null;
  readonly lastModified: string | null;
  readonly bytes: AsyncIterable<Buffer>;
  close(): Promise<void>;
}

interface Turn {
  readonly run: JobRun<UploadJob>;
  readonly row: UploadRow;
  readonly hold: Hold;
  readonly signal: AbortSignal;
}

class Fetcher {
  readonly #deps: FetchDeps;

  constructor(deps: FetchDeps) {
    this.#deps = deps;
  }

  async run(run: JobRun<UploadJob>): Promise<void> {
    const { uploads, locks } = this.#deps;
    const { uploadId } = Payload.parse(run.payload);
    const row = await uploads.read(run.tenantId, uploadId);
    if (row.state !== "receiving") return;
    const hold = await locks.acquire(uploadId, { waitMs: LOCK_WAIT_MS });
    try {
      await this.#untilWhole(run, hold);
    } catch (error) {
      const code = codeOf(error);
      if (code === undefined || ERRORS[code].retry) throw error;
      const state = code === "UPLOAD_REFUSED" ? "refused" : "failed";
      await uploads.end(row, { state, error: (error as Error).message });
    } finally {
      await hold.release();
    }
  }

  async #untilWhole(run: JobRun<UploadJob>, hold: Hold): Promise<void> {
    const { db, log } = this.#deps;
    const signal = AbortSignal.any([run.signal, hold.signal]);
    for (let breaks = 0, last = -1; ; ) {
      const row = await db.tenantTx(run.tenantId, (tx) => takeOver(tx, hold.id, hold.writer));
      if (row?.state !== "receiving") return;
      breaks = row.offset > last ? 0 : breaks + 1;
      last = row.offset;
      try {
        return await this.#once({ run, row, hold, signal });
      } catch (error) {
        const isBroken = ["SOURCE_FAILED", "SOURCE_TIMEOUT", "SOURCE_TRUNCATED"].includes(codeOf(error) ?? "");
        if (!isBroken || breaks >= BREAKS_MAX || signal.aborted) throw error;
        log.info({ upload: row.id, offset: row.offset, reason: (error as Error).message }, "a source broke off");
        await pause(BREAK_PAUSE_MS * 2 ** breaks);
      }
    }
  }

  async #once(turn: Turn): Promise<void> {
    const { row, hold, run } = turn;
    const { db, staging, uploads } = this.#deps;
    const incoming = await this.#open(turn);
    try {
      await this.#admit(row, incoming);
      let offset = incoming.offset;
      const kept = async (to: number): Promise<void> => {
        const by = { id: row.id, writer: hold.writer, offset: to };
        const isOurs = await db.tenantTx(row.tenantId, async (tx) => {
          // Of a size that nobody told room is taken as it comes.
          if (incoming.sizeBytes === null) await uploads.mustHaveRoom(tx, row.tenantId, to - offset);
          return advance(tx, by);
        });
        if (!isOurs) fail("UPLOAD_BUSY");
        offset = to;
        if (incoming.sizeBytes) run.progress({ percent: (100 * to) / incoming.sizeBytes, note: "fetching" });
      };
      const place = { tenantId: row.tenantId, uploadId: row.id };
      await staging.write({ place, offset, body: this.#checked(incoming, hold), kept });
      if (incoming.sizeBytes !== null && offset < incoming.sizeBytes) fail("SOURCE_TRUNCATED", { path: row.filename });
      if (offset === 0) fail("UPLOAD_REFUSED", { reason: "it is empty" });
      await uploads.whole(row, offset);
    } finally {
      await incoming.close();
    }
  }

  async #open({ row, signal }: Turn): Promise<Incoming> {
    const { agents, openBucket } = this.#deps;
    const origin = row.origin ?? {};
    if (row.kind === "pull") {
      const trusted = origin.trusted === true;
      const { body, ...told } = await fetchFrom({ origin, offset: row.offset, agents, trusted, signal });
      return { ...told, bytes: broken(body, row.filename), close: async () => void body.destroy() };
    }
    const source = await openBucket(origin.bucket ?? "");
    const object = await fetchObject(source, origin.key ?? "", signal).catch(async (error: unknown) => {
      await source.close();
      throw error;
    });
    const { sizeBytes, etag } = object;
    const offset = origin.etag === etag ? row.offset : 0;
    const close = () => object.close().finally(() => source.close());
    return { offset, sizeBytes, etag, lastModified: null, bytes: object.bytes(offset), close };
  }

  /** Whether it fits, by what is known of it now; another version than the one before begins from the start. */
  async #admit(row: UploadRow, { offset, sizeBytes, etag, lastModified }: Incoming): Promise<void> {
    const { db, uploads } = this.#deps;
    if (sizeBytes === 0) fail("UPLOAD_REFUSED", { reason: "it is empty" });
    uploads.mustFit(sizeBytes ?? 1);
    await db.tenantTx(row.tenantId, async (tx) => {
      const more = (sizeBytes ?? row.offset) - (row.sizeBytes ?? row.offset);
      if (more > 0) await uploads.mustHaveRoom(tx, row.tenantId, more);
      await setOrigin(tx, { id: row.id, origin: { ...row.origin, etag, lastModified }, sizeBytes, offset });
    });
  }

  async *#checked(incoming: Incoming, hold: Hold): AsyncGenerator<Buffer> {
    const { uploads } = this.#deps;
    const first = incoming.offset === 0 ? new FirstBytes() : null;
    let taken = incoming.offset;
    for await (const chunk of incoming.bytes) {
      taken += chunk.length;
      if (incoming.sizeBytes === null) uploads.mustFit(taken);
      else if (taken > incoming.sizeBytes) fail("SOURCE_TRUNCATED", { path: "the source" });
      first?.look(chunk, { isAll: taken === incoming.sizeBytes });
      hold.touch();
      yield chunk;
    }
  }
}

/** A connection that ends too soon is the source's fault, and tried again. */
async function* broken(body: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer> {
  try {
    yield* body;
  } catch {
    fail("SOURCE_FAILED", { path });
  }
}

export const fetchHandler = (deps: FetchDeps): JobHandler<UploadJob> => {
  const fetcher = new Fetcher(deps);
  return {
    async run(job) {
      await fetcher.run(job);
      return {};
    },
    async ended(tx, { payload, reason }) {
      await setEnded(tx, { id: Payload.parse(payload).uploadId, state: "failed", error: reason });
    },
  };
};
