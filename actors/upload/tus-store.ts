/**
 * The store behind @tus/server. The server checks the protocol and hands over what it found; the bytes come from the
 * request as Node has it, past the web streams that the server would put between (a third of the time of a request).
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { IncomingMessage } from "node:http";
import { DataStore, Upload } from "@tus/server";
import { codeOf, Fault, fail } from "../../contracts/errors.ts";
import type { Database } from "../../lib/db/database.ts";
import type { Hold } from "../../lib/db/locks.ts";
import { type Checksum, checksumIn } from "./checksum.ts";
import { FirstBytes } from "./first-bytes.ts";
import { describe, type Metadata } from "./metadata.ts";
import type { Staging } from "./staging.ts";
import { advance, takeOver, type UploadRow } from "./upload.store.ts";
import { type Holder, mustLive, type Uploads } from "./uploads.ts";

/** One request, as the parts of the server that know only an id need it. */
export interface TusRequest {
  readonly request: IncomingMessage;
  readonly holder: Holder;
  hold: Hold | null;
  /** What it is answered with, where that is an error. */
  error: unknown;
}

export const requests = new AsyncLocalStorage<TusRequest>();

const current = (): TusRequest => {
  const request = requests.getStore();
  if (!request) throw new Error("bug: the store was asked outside of a request");
  return request;
};

export interface TusStoreDeps {
  readonly db: Database;
  readonly uploads: Uploads;
  readonly staging: Staging;
  readonly expiresMs: number;
}

interface Taking {
  readonly row: UploadRow;
  readonly hold: Hold;
  readonly offset: number;
  readonly checksum: Checksum | null;
}

const tusUpload = (row: UploadRow): Upload =>
  new Upload({
    id: row.id,
    size: row.sizeBytes ?? 0,
    offset: row.offset,
    metadata: { ...row.metadata },
    // The server counts from here on; an upload expires so long after its last byte, not its first.
    creation_date: row.updatedAt.toISOString(),
  });

export class TusStore extends DataStore {
  readonly #deps: TusStoreDeps;
  override readonly extensions = ["creation", "creation-with-upload", "termination", "expiration", "checksum"];

  constructor(deps: TusStoreDeps) {
    super();
    this.#deps = deps;
  }

  override getExpiration(): number {
    return this.#deps.expiresMs;
  }

  override async create(upload: Upload): Promise<Upload> {
    const { holder } = current();
    const metadata: Metadata = { ...upload.metadata };
    if (!upload.size) return fail("UPLOAD_REFUSED", { reason: "it is empty" });
    const { filename, name, titleId, titleKind } = describe(metadata);
    const told = { id: upload.id, tenantId: holder.tenantId, kind: "tus", filename, name, titleId, titleKind } as const;
    await this.#deps.uploads.create(
      holder,
      { ...told, sizeBytes: upload.size, metadata, origin: null },
      async (_, row) => row,
    );
    return upload;
  }

  override async getUpload(id: string): Promise<Upload> {
    const row = await this.#deps.uploads.read(current().holder.tenantId, id);
    // What is fetched takes no bytes, and has no length before its server says it.
    if (row.kind !== "tus") return fail("UPLOAD_NOT_FOUND", { uploadId: id });
    mustLive(row);
    return tusUpload(row);
  }

  override async remove(id: string): Promise<void> {
    const row = await this.#deps.uploads.read(current().holder.tenantId, id);
    mustLive(row);
    if (row.state !== "receiving") fail("UPLOAD_STATE", { state: row.state });
    await this.#deps.uploads.end(row, { state: "terminated", error: null });
  }

  /** The offset that is kept for good; less than what was sent where the client has gone. */
  override async write(_: unknown, id: string, offset: number): Promise<number> {
    const { hold, holder, request } = current();
    if (!hold) throw new Error("bug: bytes are written without a lock");
    const row = await this.#deps.db.tenantTx(holder.tenantId, (tx) => takeOver(tx, id, hold.writer));
    if (!row) return fail("UPLOAD_NOT_FOUND", { uploadId: id });
    mustLive(row);
    if (row.sizeBytes === null || row.state !== "receiving") return row.offset;
    const checksum = checksumIn(request.headers["upload-checksum"]);
    const kept = await this.#take(request, { row, hold, offset, checksum });
    if (kept === row.sizeBytes) await this.#deps.uploads.whole(row, row.sizeBytes);
    return kept;
  }

  async #take(request: IncomingMessage, taking: Taking): Promise<number> {
    const { row, hold, checksum } = taking;
    const { db, staging, uploads } = this.#deps;
    let { offset } = taking;
    const move = async (to: number): Promise<void> => {
      const by = { id: row.id, writer: hold.writer, offset: to };
      if (!(await db.tenantTx(row.tenantId, (tx) => advance(tx, by)))) fail("UPLOAD_BUSY");
      offset = to;
    };
    let written = offset;
    const cut = () => void request.destroy();
    hold.signal.addEventListener("abort", cut, { once: true });
    try {
      await staging.write({
        place: { tenantId: row.tenantId, uploadId: row.id },
        offset,
        body: bodyOf(request, taking),
        // Bytes that may yet turn out to be others than the client meant are not told of.
        kept: async (to) => {
          written = to;
          if (!checksum) await move(to);
        },
      });
      if (checksum) {
        checksum.check();
        await move(written);
      }
      return offset;
    } catch (error) {
      if (codeOf(error) === "UPLOAD_REFUSED") await uploads.end(row, { state: "refused", error: messageIn(error) });
      if (codeOf(error) === undefined && request.destroyed) return offset; // the client has gone
      throw error;
    } finally {
      hold.signal.removeEventListener("abort", cut);
    }
  }
}

const messageIn = (error: unknown): string => (error as Error).message;

/** The bytes of a request, as many as the upload still takes. */
async function* bodyOf(request: IncomingMessage, { row, hold, offset, checksum }: Taking): AsyncGenerator<Buffer> {
  let left = (row.sizeBytes ?? 0) - offset;
  const first = offset === 0 ? new FirstBytes() : null;
  const body = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  for await (const chunk of body) {
    hold.touch();
    if (chunk.length > left) throw new Fault("UPLOAD_TOO_LARGE", { limitBytes: row.sizeBytes });
    left -= chunk.length;
    checksum?.update(chunk);
    first?.look(chunk, { isAll: left === 0 });
    yield chunk;
  }
}
