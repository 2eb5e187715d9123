/** Uploads: how sources come in. Its bytes come over HTTP, by way of a gateway. Pool actor. */
import { z } from "zod";
import { TitleId } from "./catalog.ts";
import { Instant, NextCursor, Page } from "./ids.ts";
import { ask, fact } from "./kit.ts";

export const UPLOAD_STATES = ["receiving", "checking", "done", "refused", "failed", "expired", "terminated"] as const;
export const UPLOAD_FILENAME_MAX = 255;

/** For a gateway that has a request of an authenticated tenant: where its bytes go, and what they go with. */
export const uploadTicket = ask("upload.ticket", {
  input: z.object({}),
  result: z.object({
    /** Base URL of an upload listener. */
    url: z.string(),
    /** Goes along as `X-Castellan-Ticket`: tells the listener whose request it is; good for a minute. */
    ticket: z.string(),
  }),
  deadlineMs: 3_000,
  errors: ["DATABASE_DOWN"],
  retriable: true,
});

export const Upload = z.object({
  id: z.uuid(),
  /** `tus`: sent by a client; `pull`: fetched from a URL; `s3`: fetched from a bucket. */
  kind: z.enum(["tus", "pull", "s3"]),
  /** `checking`: whole, and looked at; `done`: it is the source of its title. */
  state: z.enum(UPLOAD_STATES),
  filename: z.string(),
  titleId: TitleId.nullable(),
  /** Bytes that are kept for good. */
  offset: z.int(),
  /** Null until it is known (a pull). */
  sizeBytes: z.int().nullable(),
  /** Why it ended without a source. */
  error: z.string().nullable(),
  createdAt: Instant,
  updatedAt: Instant,
});
export type UploadView = z.output<typeof Upload>;

export const getUpload = ask("upload.get", {
  input: z.strictObject({ uploadId: z.uuid() }),
  result: z.object({ data: Upload }),
  deadlineMs: 3_000,
  errors: ["UPLOAD_NOT_FOUND", "DATABASE_DOWN"],
  retriable: true,
  rest: {
    method: "GET",
    path: "/uploads/:uploadId",
    scope: "upload:write",
    summary: "Shows how far an upload is and what became of it.",
    tag: "uploads",
  },
});

export const listUploads = ask("upload.list", {
  input: z.strictObject({ ...Page, state: z.enum(UPLOAD_STATES).optional(), titleId: TitleId.optional() }),
  result: z.object({ data: z.array(Upload), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["BAD_CURSOR", "DATABASE_DOWN"],
  retriable: true,
  rest: {
    method: "GET",
    path: "/uploads",
    scope: "upload:write",
    summary: "Lists uploads, the newest first.",
    tag: "uploads",
  },
});

const SourceUrl = z
  .string()
  .max(4_000)
  .refine((text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ""), "must be an http or https URL");

/** A job fetches the file; where the connection breaks it goes on with the version that it began with. */
export const pullSource = ask("upload.pull", {
  input: z.strictObject({
    titleId: TitleId,
    url: SourceUrl,
    filename: z.string().trim().min(1).max(UPLOAD_FILENAME_MAX).optional(),
    trusted: z.boolean().default(false),
  }),
  result: z.object({ data: z.object({ jobId: z.string(), upload: Upload }) }),
  deadlineMs: 5_000,
  errors: ["TITLE_NOT_FOUND", "SOURCE_URL_REFUSED", "DATABASE_DOWN"],
  rest: {
    method: "POST",
    path: "/titles/:titleId/source",
    status: 202,
    scope: "upload:write",
    summary: "Fetches a title's source from a URL.",
    tag: "uploads",
    idempotent: true,
  },
});

const S3_KEYS_MAX = 1_000;
/** A job per object. The bucket is one that the operator's own S3 settings (S3_ENDPOINT and so on) reach. */
export const importBucket = ask("upload.import", {
  input: z.strictObject({
    bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "must be a bucket's name"),
    prefix: z.string().max(500).default(""),
    /** Lists what would come. */
    dryRun: z.boolean().default(false),
    limit: z.int().min(1).max(S3_KEYS_MAX).default(S3_KEYS_MAX),
  }),
  result: z.object({
    data: z.object({
      objects: z.array(
        z.object({
          key: z.string(),
          sizeBytes: z.int(),
          /** Null in a dry run, and of what is left out. */
          uploadId: z.uuid().nullable(),
          /** An object of this key, size and place came before. Told of in a dry run, or with a reason. */
          isKnown: z.boolean(),
          /** Why it is left out: it was refused before, or is too large. */
          reason: z.string().nullable(),
        }),
      ),
      /** There are more: the same call again takes the next ones. */
      isTruncated: z.boolean(),
    }),
  }),
  deadlineMs: 25_000,
  errors: [
    ...(["BAD_INPUT", "PATH_REFUSED", "SOURCE_NOT_FOUND", "SOURCE_DENIED", "SOURCE_FAILED"] as const),
    ...(["SOURCE_TIMEOUT", "QUOTA_EXCEEDED", "OBJECT_STORE_DOWN", "OBJECT_STORE_FULL", "DATABASE_DOWN"] as const),
  ],
  rest: {
    method: "POST",
    path: "/uploads/imports",
    status: 202,
    scope: "platform:admin",
    summary: "Imports the media files below a prefix of an S3 bucket.",
    tag: "uploads",
  },
});

/** Hint: somebody waits for an upload whose sender may have gone without a word. */
export const uploadAwaited = fact("upload.awaited", z.object({ uploadId: z.uuid() }));
