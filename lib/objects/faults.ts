/** What goes wrong in a folder, in the words of the catalogue. */
import { codeOf, type ErrorCode, Fault } from "../../contracts/errors.ts";
import type { Log } from "../log/log.ts";
import { reasonOf } from "../source/faults.ts";
import { textOf } from "./keys.ts";
import type { ObjectName } from "./port.ts";

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: "OBJECT_NOT_FOUND",
  ENOTDIR: "OBJECT_NOT_FOUND",
  ENOSPC: "OBJECT_STORE_FULL",
  EDQUOT: "OBJECT_STORE_FULL",
  EFBIG: "OBJECT_STORE_FULL",
};

const REFUSED = new Set(["EISDIR", "ENOTEMPTY", "ELOOP", "ENAMETOOLONG"]);

export const errnoOf = (error: unknown): string => {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
};

/** An error that is not the store's: of the body that was given, or of a local file. It goes back as it is. */
export class ForeignError extends Error {
  readonly error: unknown;
  constructor(error: unknown) {
    super("not of the object store", { cause: error });
    this.error = error;
  }
}

export const asForeign = (error: unknown): never => {
  throw error instanceof ForeignError ? error : new ForeignError(error);
};

interface Attempt {
  readonly name: ObjectName;
  readonly log: Log;
  readonly signal: AbortSignal | undefined;
}

/** What a caller sees of an error; the reason is in the log alone, since it may name paths and hosts. */
export const asObjectFault = (error: unknown, { name, log, signal }: Attempt): unknown => {
  if (signal?.aborted) return signal.reason;
  if (error instanceof ForeignError) return error.error;
  if (codeOf(error) !== undefined) return error;
  const errno = errnoOf(error);
  if (errno === "" || errno.startsWith("ERR_")) return error; // a bug
  if (REFUSED.has(errno)) return new Fault("PATH_REFUSED", { path: name.key, reason: "it can't be a file here" });
  const code = CODES[errno] ?? "OBJECT_STORE_DOWN";
  if (code !== "OBJECT_NOT_FOUND") log.warn({ object: textOf(name), reason: reasonOf(error) }, `object store: ${code}`);
  return new Fault(code, { key: name.key });
};
