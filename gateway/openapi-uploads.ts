/** The routes of tus in the API reference: they speak in headers, so no contract declares them. */
import { problem } from "./openapi-problem.ts";
import type { JsonSchema } from "./openapi-schemas.ts";

const header = (name: string, description: string, schema: JsonSchema, required = true): JsonSchema => ({
  name,
  in: "header",
  required,
  description,
  schema,
});
const answer = (description: string, headers: Readonly<Record<string, string>> = {}): JsonSchema => ({
  description,
  headers: Object.fromEntries(
    Object.entries(headers).map(([name, text]) => [name, { description: text, schema: { type: "string" } }]),
  ),
});

const bytes: JsonSchema = { type: "integer", minimum: 0 };
const VERSION = header("Tus-Resumable", "The version of tus.", { type: "string", const: "1.0.0" });
const LENGTH = header("Upload-Length", "Bytes of the file.", { ...bytes, minimum: 1 });
const OFFSET = header("Upload-Offset", "Where the body's first byte belongs.", bytes);
const METADATA = header(
  "Upload-Metadata",
  "`key base64(value)`, by commas. Keys that are known: `filename`, `titleId` of the title that gets the source, else " +
    "`name` and `kind` (movie, episode, clip) of one that is made.",
  { type: "string" },
  false,
);
const CHECKSUM = header(
  "Upload-Checksum",
  "`sha1`, `sha256`, `md5` or `crc32`, a space, and the body's checksum in base64.",
  { type: "string" },
  false,
);
const ID: JsonSchema = { name: "uploadId", in: "path", required: true, schema: { type: "string", format: "uuid" } };
const BODY: JsonSchema = {
  content: { "application/offset+octet-stream": { schema: { type: "string", format: "binary" } } },
};
const OFFSET_BACK = { "Upload-Offset": "Bytes that are kept for good." };
const COMMON = {
  400: problem("The request is not of tus 1.0."),
  401: problem("`UNAUTHENTICATED`"),
  403: problem("`SCOPE_MISSING`"),
  412: answer("Tus-Resumable is missing."),
  503: problem("`UPLOAD_LISTENER_DOWN`, `OBJECT_STORE_DOWN`, `OBJECT_STORE_FULL`: go on later where it was."),
};
const OF_ONE = {
  ...COMMON,
  404: problem("`UPLOAD_NOT_FOUND`"),
  410: problem("`UPLOAD_GONE`: it was refused, has expired or was ended."),
  423: problem("`UPLOAD_BUSY`: another request is sending it; its offset will have moved."),
};

const operation = (id: string, summary: string, parts: JsonSchema): JsonSchema => ({
  operationId: id,
  tags: ["uploads"],
  summary,
  description: "tus 1.0 (https://tus.io/protocols/resumable-upload). Needs the scope `upload:write`.",
  security: [{ apiKey: ["upload:write"] }],
  ...parts,
});

/** By path below `/api/v1`; GET at the same paths comes from the contracts. */
export const TUS_PATHS: Readonly<Record<string, JsonSchema>> = {
  "/uploads": {
    post: operation("uploadCreate", "Begin an upload", {
      parameters: [VERSION, LENGTH, METADATA, CHECKSUM],
      requestBody: { ...BODY, description: "With that content type: the first bytes of the file." },
      responses: {
        201: answer("Made.", { Location: "Where its bytes go.", "Upload-Expires": "When it ends without a byte." }),
        413: problem("`UPLOAD_TOO_LARGE`, `QUOTA_EXCEEDED`"),
        422: problem("`BAD_INPUT`, `UPLOAD_REFUSED`"),
        ...COMMON,
        404: problem("`TITLE_NOT_FOUND`"),
      },
    }),
  },
  "/uploads/{uploadId}": {
    head: operation("uploadOffset", "How many bytes are there", {
      parameters: [ID, VERSION],
      responses: { 200: answer("How far it is.", { ...OFFSET_BACK, "Upload-Length": "Of the file." }), ...OF_ONE },
    }),
    patch: operation("uploadSend", "Send bytes", {
      parameters: [ID, VERSION, OFFSET, CHECKSUM],
      requestBody: { ...BODY, required: true },
      responses: {
        204: answer("They are kept.", OFFSET_BACK),
        409: answer("Upload-Offset is not where it is."),
        413: problem("There is more than was announced."),
        422: problem("`UPLOAD_REFUSED`: it is no film."),
        460: problem("`CHECKSUM_MISMATCH`"),
        ...OF_ONE,
      },
    }),
    delete: operation("uploadEnd", "End an upload and remove its bytes", {
      parameters: [ID, VERSION],
      responses: { 204: answer("It is gone."), 409: problem("`UPLOAD_STATE`: it is whole."), ...OF_ONE },
    }),
  },
};
