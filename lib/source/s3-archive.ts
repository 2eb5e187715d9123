/**
 * Objects in an archive class of S3 (GLACIER, DEEP_ARCHIVE, the archive tiers of INTELLIGENT_TIERING): a read is
 * refused with InvalidObjectState until RestoreObject has brought a copy back, minutes or hours later. Nobody waits for
 * that.
 */
import {
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  RestoreObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { LRUCache } from "lru-cache";
import { fail } from "../../contracts/errors.ts";
import type { Clock } from "../clock.ts";
import type { Log } from "../log/log.ts";
import { reasonOf } from "./faults.ts";
import type { S3Restore } from "./settings.ts";
import type { Watch } from "./watch.ts";

const REMEMBERED_MAX = 10_000; // paths of 200 bytes: 2 MB
/** As long as an archived object is not asked for again, however many viewers come. */
const REMEMBERED_MS = 30_000;
/** When to ask again; the documentation says 1–5 min, 3–5 h (12 h from DEEP_ARCHIVE) and 5–12 h (48 h). */
const RETRY_SECONDS = { Expedited: 60, Standard: 900, Bulk: 3600 } as const;
const UNSTARTED_RETRY_SECONDS = 3600;

interface Archive {
  readonly client: S3Client;
  readonly bucket: string;
  /** null: whatever is archived stays so. */
  readonly restore: S3Restore | null;
  readonly log: Log;
  readonly clock: Clock;
}

type Restoring = "asked" | "back" | "none";

/** `x-amz-restore`: `ongoing-request="true"`, or `ongoing-request="false", expiry-date="…"` once there is a copy. */
const restoringOf = (header: string | undefined): Restoring => {
  const ongoing = /ongoing-request="(true|false)"/.exec(header ?? "")?.[1];
  if (ongoing === undefined) return "none";
  return ongoing === "true" ? "asked" : "back";
};

const nameOf = (error: unknown): string => (error as { name?: string }).name ?? "";

export const isArchivedError = (error: unknown): boolean => nameOf(error) === "InvalidObjectState";

export class S3Archive {
  readonly #archive: Archive;
  readonly #retrySeconds: number;
  readonly #known: LRUCache<string, number>;

  constructor(archive: Archive) {
    this.#archive = archive;
    const perf = { now: () => archive.clock.nowMs() };
    this.#known = new LRUCache({ max: REMEMBERED_MAX, ttl: REMEMBERED_MS, ttlResolution: 0, perf });
    this.#retrySeconds = archive.restore === null ? UNSTARTED_RETRY_SECONDS : RETRY_SECONDS[archive.restore.tier];
  }

  /** SOURCE_ARCHIVED for what was found archived a moment ago. */
  check(path: string): void {
    const retryAfterSeconds = this.#known.get(path);
    if (retryAfterSeconds !== undefined) fail("SOURCE_ARCHIVED", { path, retryAfterSeconds });
  }

  /** After a read was refused: sees to it that the object comes back, and ends in SOURCE_ARCHIVED. */
  async refuse(path: string, key: string, watch: Watch): Promise<never> {
    // From now on, so that many viewers ask for one restoration.
    this.#known.set(path, this.#retrySeconds);
    const { client, bucket, restore, log } = this.#archive;
    const head = await watch.race(
      client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: watch.signal }),
    );
    const restoring = restoringOf(head.Restore);
    if (restoring === "none" && restore !== null) await this.#ask(path, key, head, restore, watch);
    if (restoring === "none" && restore === null) log.warn({ path }, "s3 source: archived, and nobody restores it");
    return fail("SOURCE_ARCHIVED", { path, retryAfterSeconds: this.#retrySeconds });
  }

  async #ask(path: string, key: string, head: HeadObjectCommandOutput, restore: S3Restore, watch: Watch) {
    const { client, bucket, log } = this.#archive;
    const GlacierJobParameters = { Tier: restore.tier };
    // From INTELLIGENT_TIERING an object moves back for good: a number of days is refused there.
    const isTiered = head.StorageClass === "INTELLIGENT_TIERING";
    const RestoreRequest = isTiered ? { GlacierJobParameters } : { Days: restore.days, GlacierJobParameters };
    const command = new RestoreObjectCommand({ Bucket: bucket, Key: key, RestoreRequest });
    try {
      await watch.race(client.send(command, { abortSignal: watch.signal }));
      log.info({ path, tier: restore.tier }, "s3 source: a restoration from the archive was asked for");
    } catch (error) {
      if (watch.signal.aborted) throw error;
      if (nameOf(error) === "RestoreAlreadyInProgress") return;
      // Not to be had now (no expedited capacity), or not allowed: the object is archived all the same.
      log.warn({ path, reason: reasonOf(error) }, "s3 source: a restoration from the archive was refused");
    }
  }
}
