/** Reads a JSON body: bounded in bytes, in depth and in time, and free of what no actor can store. */
import type { IncomingMessage } from "node:http";
import { Fault, type FieldError, fail } from "../contracts/errors.ts";
import { drain } from "../lib/http/drain.ts";
import { jsonIn } from "../lib/http/json-body.ts";
import { badInput } from "./reply.ts";

export const BODY_BYTES_MAX = 256 * 1024; // a channel with 16 origins and a ladder is under 50 kB
const DEPTH_MAX = 32; // configurations nest four deep; parsers behind us recurse
const READ_DEADLINE_MS = 20_000;
const JSON_TYPE = /^application\/(?:merge-patch\+)?json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?;?$/i;

const checkType = (request: IncomingMessage): void => {
  const encoding = request.headers["content-encoding"]?.toLowerCase() ?? "identity";
  if (encoding !== "identity") fail("UNSUPPORTED_MEDIA_TYPE");
  if (!JSON_TYPE.test(request.headers["content-type"]?.trim() ?? "")) fail("UNSUPPORTED_MEDIA_TYPE");
};

const isEmpty = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] === undefined && Number(headers["content-length"] ?? 0) === 0;

const tooLarge = (request: IncomingMessage, limitBytes: number): Fault => {
  drain(request);
  return new Fault("BODY_TOO_LARGE", { limitBytes });
};

export interface BodyLimits {
  readonly limitBytes?: number;
  readonly deadlineMs?: number;
}

/** Of any type. Fails with BODY_TOO_LARGE, BODY_LATE, or, where the client has gone, with BAD_JSON. */
export const readBytes = (
  request: IncomingMessage,
  { limitBytes = BODY_BYTES_MAX, deadlineMs = READ_DEADLINE_MS }: BodyLimits,
): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    const settle = (act: () => void): void => {
      clearTimeout(late);
      request.removeAllListeners("data");
      act();
    };
    const late = setTimeout(() => {
      settle(() => reject(new Fault("BODY_LATE", { seconds: deadlineMs / 1000 })));
    }, deadlineMs);
    request.on("data", (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes > limitBytes) settle(() => reject(tooLarge(request, limitBytes)));
      else chunks.push(chunk);
    });
    request.once("end", () => settle(() => resolve(Buffer.concat(chunks))));
    // The client went away: nobody reads the answer.
    request.once("error", () => settle(() => reject(new Fault("BAD_JSON"))));
  });

/** What PostgreSQL refuses in text and jsonb: U+0000 and halves of surrogate pairs. */
export const isStorable = (text: string): boolean => !text.includes("\u0000") && text.isWellFormed();
export const NOT_STORABLE = "must not contain U+0000 or half a surrogate pair";

const complaintAt = (value: unknown, path: string, depth: number): FieldError | undefined => {
  if (typeof value === "string") {
    return isStorable(value) ? undefined : { path, message: NOT_STORABLE };
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (depth >= DEPTH_MAX) return { path: path.slice(0, 100), message: `must not nest deeper than ${DEPTH_MAX}` };
  for (const [key, inner] of Object.entries(value)) {
    const at = path === "" ? key : `${path}.${key}`;
    if (key === "__proto__" || !isStorable(key)) return { path, message: "has a key that is not allowed" };
    const complaint = complaintAt(inner, at, depth + 1);
    if (complaint) return complaint;
  }
  return undefined;
};

/** The fields of a parsed body. Fails with BAD_INPUT when it is no object or holds what must not go further. */
export const fieldsOfBody = (value: unknown): Readonly<Record<string, unknown>> => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw badInput([{ path: "", message: "the body must be a JSON object" }]);
  }
  const complaint = complaintAt(value, "", 0);
  if (complaint) throw badInput([complaint]);
  return value as Record<string, unknown>;
};

/**
 * The fields of a request's JSON body, none for an empty one. Fails with UNSUPPORTED_MEDIA_TYPE, BODY_TOO_LARGE,
 * BAD_JSON, BAD_INPUT or (a body that never ends) BODY_LATE.
 */
export const readBody = async (
  request: IncomingMessage,
  deadlineMs = READ_DEADLINE_MS,
): Promise<Readonly<Record<string, unknown>>> => {
  if (isEmpty(request)) return {};
  checkType(request);
  if (Number(request.headers["content-length"] ?? 0) > BODY_BYTES_MAX) throw tooLarge(request, BODY_BYTES_MAX);
  const bytes = await readBytes(request, { deadlineMs });
  return bytes.length === 0 ? {} : fieldsOfBody(jsonIn(bytes));
};
