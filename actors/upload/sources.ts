/** Sources that are fetched instead of sent: from a URL, and from a bucket. */
import { randomUUIDv7 } from "node:crypto";
import type { z } from "zod";
import { fail } from "../../contracts/errors.ts";
import type { importBucket, pullSource } from "../../contracts/upload.ts";
import { isMediaFile, titleFields, titleOfFile } from "../../domain/media-files.ts";
import type { Database } from "../../lib/db/database.ts";
import { enqueueJob } from "../../lib/jobs/jobs.ts";
import type { ContentSource, SourceEntry } from "../../lib/source/port.ts";
import { guardHost, type Resolve } from "../../lib/source-guard.ts";
import { shownUrl } from "./fetch-http.ts";
import { plainNameOf } from "./metadata.ts";
import { isImported, knownObjects, type NewUpload } from "./upload.store.ts";
import { type Holder, jobOf, PULL_JOB, type Uploads, viewOf } from "./uploads.ts";

const FILENAME_OTHERWISE = "source";
const FOLDERS_MAX = 1_000; // a request each, within the deadline of an import
const ENTRIES_AT_ONCE = 500;
const TAKING_MS = 15_000; // of the 25 s that are waited for an answer
const TOO_LARGE = "it is larger than an upload may be";

export interface SourcesDeps {
  readonly db: Database;
  readonly uploads: Uploads;
  readonly allowPrivateSources: readonly string[];
  readonly openBucket: (bucket: string) => Promise<ContentSource>;
  readonly resolve?: Resolve;
}

const fileNameIn = (url: string): string => {
  const path = URL.parse(url)?.pathname ?? "";
  try {
    return plainNameOf(decodeURIComponent(path));
  } catch {
    return plainNameOf(path);
  }
};

type Import = z.output<typeof importBucket.input>;
type Imported = z.output<typeof importBucket.result>;
type Listed = Imported["data"]["objects"][number];
interface Looked extends Pick<Listed, "isKnown" | "reason"> {
  readonly entry: SourceEntry;
}

export class Sources {
  readonly #deps: SourcesDeps;

  constructor(deps: SourcesDeps) {
    this.#deps = deps;
  }

  /** Looks at the address now, so that the caller hears of it; the job looks again at every connection. */
  async pull(holder: Holder, input: z.output<typeof pullSource.input>): Promise<z.input<typeof pullSource.result>> {
    const { allowPrivateSources, resolve, uploads } = this.#deps;
    const { titleId, url, trusted } = input;
    const rules = { allowPrivateSources, trusted, ...(resolve ? { resolve } : {}) };
    const guarded = await guardHost(new URL(url).hostname, rules);
    if (!guarded.ok) return fail("SOURCE_URL_REFUSED", { url: shownUrl(url), reason: guarded.reason });
    const filename = plainNameOf(input.filename ?? "") || fileNameIn(url) || FILENAME_OTHERWISE;
    const row = newRow(holder, { kind: "pull", filename, titleId, origin: { url, trusted } });
    return uploads.create(holder, row, async (tx, made) => {
      const { jobId } = await enqueueJob(tx, jobOf(made, PULL_JOB));
      return { data: { jobId, upload: viewOf(made) } };
    });
  }

  /** New objects are taken as they are found; of those that are left out it tells as many as there is room for. */
  async importFrom(holder: Holder, { bucket, limit, dryRun, prefix }: Import): Promise<Imported> {
    const endsAt = performance.now() + TAKING_MS;
    const source = await this.#deps.openBucket(bucket);
    const taken: Listed[] = [];
    const leftOut: Listed[] = [];
    const answer = (isTruncated: boolean): Imported => ({
      data: { objects: [...taken, ...leftOut].slice(0, limit), isTruncated },
    });
    try {
      for await (const entries of mediaBelow(source, prefix)) {
        for (const { entry, isKnown, reason } of await this.#looked(holder, bucket, entries)) {
          const found = { key: entry.path, sizeBytes: entry.sizeBytes ?? 0, isKnown, reason };
          if (isKnown || reason !== null) {
            const isTold = leftOut.length < limit && (dryRun || reason !== null);
            if (isTold) leftOut.push({ ...found, uploadId: null });
            continue;
          }
          const isLate = performance.now() > endsAt && taken.length > 0;
          if (taken.length === limit || isLate) return answer(true);
          const uploadId = dryRun ? null : await this.#take(holder, bucket, entry);
          if (dryRun || uploadId !== null) taken.push({ ...found, uploadId });
        }
      }
      return answer(false);
    } finally {
      await source.close();
    }
  }

  /** Which of them came before, and why one does not come. */
  async #looked(holder: Holder, bucket: string, entries: readonly SourceEntry[]): Promise<Looked[]> {
    const { db, uploads } = this.#deps;
    const keys = entries.map(({ path }) => path);
    const known = await db.tenantTx(holder.tenantId, (tx) => knownObjects(tx, bucket, keys));
    const before = new Map(known.map(({ key, sizeBytes, reason }) => [`${sizeBytes} ${key}`, reason]));
    return entries.map((entry) => {
      const reason = before.get(`${entry.sizeBytes} ${entry.path}`);
      if (reason !== undefined) return { entry, isKnown: true, reason };
      return { entry, isKnown: false, reason: uploads.fits(entry.sizeBytes ?? 0) ? null : TOO_LARGE };
    });
  }

  /** The upload's id; null: another import has taken it since it was looked at. */
  async #take(holder: Holder, bucket: string, { path, sizeBytes }: SourceEntry): Promise<string | null> {
    const filename = plainNameOf(path) || FILENAME_OTHERWISE;
    const title = titleOfFile(path);
    const told = { kind: "s3", filename, titleId: null, origin: { bucket, key: path } } as const;
    const { name, kind: titleKind } = title;
    const row = { ...newRow(holder, told), sizeBytes, name, titleKind, metadata: titleFields(title) };
    const taken = this.#deps.uploads.create(holder, row, async (tx, made) => {
      if (await isImported(tx, made)) throw new Taken();
      await enqueueJob(tx, jobOf(made, PULL_JOB));
      return made.id;
    });
    return taken.catch((error: unknown) => {
      if (error instanceof Taken) return null;
      throw error;
    });
  }
}

/** Takes a row back that is another import's. */
class Taken extends Error {}

const newRow = (
  { tenantId }: Holder,
  told: Pick<NewUpload, "kind" | "filename" | "titleId" | "origin">,
): NewUpload => ({
  id: randomUUIDv7(),
  tenantId,
  name: null,
  titleKind: "movie",
  sizeBytes: null,
  metadata: {},
  ...told,
});

/** Some of the films at a time. Fails with BAD_INPUT below a prefix of too many folders. */
async function* mediaBelow(source: ContentSource, prefix: string): AsyncGenerator<SourceEntry[]> {
  const folders = [prefix.split("/").filter(Boolean).join("/")];
  let found: SourceEntry[] = [];
  for (let at = 0; at < folders.length; at += 1) {
    if (at === FOLDERS_MAX) {
      const message = `has more than ${FOLDERS_MAX} folders below it: name one of them`;
      return fail("BAD_INPUT", { errors: [{ path: "prefix", message }] });
    }
    for await (const entry of source.list(folders[at] ?? "")) {
      if (entry.kind === "folder") folders.push(entry.path.replace(/\/$/, ""));
      else if (isMediaFile(entry.path) && (entry.sizeBytes ?? 0) > 0) found.push(entry);
      if (found.length < ENTRIES_AT_ONCE) continue;
      yield found;
      found = [];
    }
    if (found.length > 0) yield found;
    found = [];
  }
}
