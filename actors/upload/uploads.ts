/**
 * Uploads as rows.
 *
 *   receiving → checking → done        its source is a title's
 *       │           └────→ refused     it is no media
 *       ├→ refused, failed             its first bytes, or the server of a pull
 *       ├→ expired                     no byte came for UPLOAD_EXPIRES
 *       └→ terminated                  by its client
 *
 * What ends without a source loses its bytes at once; a sweep does it where that failed.
 */
import type { z } from "zod";
import { type ErrorCode, fail } from "../../contracts/errors.ts";
import type { listUploads as listAsk, UploadView } from "../../contracts/upload.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import { enqueueJob } from "../../lib/jobs/jobs.ts";
import type { ObjectName, ObjectStore } from "../../lib/objects/port.ts";
import { pageOf, uuidAfter } from "../../lib/page.ts";
import type { Staging } from "./staging.ts";
import {
  type Ending,
  insertUpload,
  listUploads,
  lockQuota,
  type NewUpload,
  readUpload,
  setCleaned,
  setEnded,
  setWhole,
  takenBytes,
  type UploadRow,
} from "./upload.store.ts";

export const FINISH_JOB = "upload.finish";
export const PULL_JOB = "upload.fetch";
/** A store or a catalog that is down comes back: with the pauses between them these are days. */
const ATTEMPTS_MAX = 100;
const LIST = "uploads";

export interface Holder {
  readonly tenantId: string;
  readonly tenant: string;
}

export interface UploadsDeps {
  readonly db: Database;
  readonly objects: ObjectStore;
  readonly staging: Staging;
  readonly bytesMax: number;
  readonly quotaBytes: number | null;
  /** Fails with TITLE_NOT_FOUND unless it is there. */
  readonly mustBeTitle: (holder: Holder, titleId: string) => Promise<void>;
}

export const viewOf = (row: UploadRow): UploadView => ({
  id: row.id,
  kind: row.kind,
  state: row.state,
  filename: row.filename,
  titleId: row.titleId,
  offset: row.offset,
  sizeBytes: row.sizeBytes,
  error: row.error,
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
});

/** The object that an upload becomes. */
export const sourceOf = ({ tenantId, id }: Pick<UploadRow, "tenantId" | "id">): ObjectName => ({
  bucket: "sources",
  key: `${tenantId}/${id}`,
});

export const jobOf = (row: Pick<UploadRow, "id" | "tenantId">, kind: string) => ({
  kind,
  tenantId: row.tenantId,
  payload: { uploadId: row.id },
  key: row.id,
  attemptsMax: ATTEMPTS_MAX,
  subject: { kind: "upload", id: row.id },
});

export class Uploads {
  readonly #deps: UploadsDeps;

  constructor(deps: UploadsDeps) {
    this.#deps = deps;
  }

  async get({ tenantId }: Holder, uploadId: string): Promise<{ data: UploadView }> {
    return { data: viewOf(await this.read(tenantId, uploadId)) };
  }

  async list({ tenantId }: Holder, input: z.output<typeof listAsk.input>): Promise<z.input<typeof listAsk.result>> {
    const { cursor, limit, state = null, titleId = null } = input;
    const wanted = { before: uuidAfter(LIST, cursor), limit, state, titleId };
    const found = await this.#deps.db.tenantTx(tenantId, (tx) => listUploads(tx, wanted));
    const { rows, nextCursor } = pageOf(LIST, found, limit);
    return { data: rows.map(viewOf), nextCursor };
  }

  /** Fails with UPLOAD_NOT_FOUND. */
  async read(tenantId: string, uploadId: string): Promise<UploadRow> {
    const row = await this.#deps.db.tenantTx(tenantId, (tx) => readUpload(tx, uploadId));
    return row ?? fail("UPLOAD_NOT_FOUND", { uploadId });
  }

  /** `also` runs in the transaction that makes the row. */
  async create<T>(holder: Holder, row: NewUpload, also: (tx: Tx, made: UploadRow) => Promise<T>): Promise<T> {
    const { db, staging } = this.#deps;
    this.mustFit(row.sizeBytes ?? 1);
    if (row.titleId !== null) await this.#deps.mustBeTitle(holder, row.titleId);
    const place = { tenantId: row.tenantId, uploadId: row.id };
    await staging.create(place);
    try {
      return await db.tenantTx(row.tenantId, async (tx) => {
        await this.mustHaveRoom(tx, row.tenantId, row.sizeBytes ?? 0);
        return await also(tx, await insertUpload(tx, row));
      });
    } catch (error) {
      await staging.remove(place).catch(() => {});
      throw error;
    }
  }

  /** Whether one may be so large. */
  fits(sizeBytes: number): boolean {
    return sizeBytes <= this.#deps.bytesMax;
  }

  /** Fails with UPLOAD_TOO_LARGE. */
  mustFit(sizeBytes: number): void {
    if (!this.fits(sizeBytes)) fail("UPLOAD_TOO_LARGE", { limitBytes: this.#deps.bytesMax });
  }

  /** For so many bytes more than the tenant has by now. Fails with QUOTA_EXCEEDED. */
  async mustHaveRoom(tx: Tx, tenantId: string, bytes: number): Promise<void> {
    const { quotaBytes } = this.#deps;
    if (quotaBytes === null) return;
    await lockQuota(tx, tenantId);
    if ((await takenBytes(tx)) + bytes > quotaBytes) fail("QUOTA_EXCEEDED", { quotaBytes });
  }

  /** All bytes are there: from now on it is a job's. */
  async whole({ id, tenantId }: UploadRow, sizeBytes: number): Promise<void> {
    await this.#deps.db.tenantTx(tenantId, async (tx) => {
      if (await setWhole(tx, id, sizeBytes)) await enqueueJob(tx, jobOf({ id, tenantId }, FINISH_JOB));
    });
  }

  /** Ends one without a source, and removes its bytes. False: it had ended before, or has gone on. */
  async end({ id, tenantId }: UploadRow, ending: Omit<Ending, "id">): Promise<boolean> {
    const hasEnded = await this.#deps.db.tenantTx(tenantId, (tx) => setEnded(tx, { id, ...ending }));
    if (hasEnded) await this.clean({ id, tenantId });
    return hasEnded;
  }

  /** Removes the bytes of one that has ended without a source. */
  async clean({ id, tenantId }: Pick<UploadRow, "id" | "tenantId">): Promise<void> {
    const { db, objects, staging } = this.#deps;
    const { bucket, key } = sourceOf({ id, tenantId });
    await staging.remove({ tenantId, uploadId: id });
    await objects.delete(bucket, [key]);
    await db.tenantTx(tenantId, (tx) => setCleaned(tx, id));
  }
}

const GONE: readonly UploadRow["state"][] = ["refused", "failed", "expired", "terminated"];

/** Fails with UPLOAD_GONE for one that ended without a source. */
export const mustLive = (row: UploadRow): void => {
  const code: ErrorCode = "UPLOAD_GONE";
  if (GONE.includes(row.state)) fail(code, { uploadId: row.id, state: row.state });
};
