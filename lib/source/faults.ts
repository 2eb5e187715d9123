/** How what goes wrong in a protocol becomes an error of the catalogue. */
import { codeOf, type ErrorCode, Fault, fail } from "../../contracts/errors.ts";
import type { Log } from "../log/log.ts";
import { isOfOurDisk } from "./copy.ts";

export interface Attempt {
  readonly kind: string;
  readonly path: string;
  readonly log: Log;
  readonly signal: AbortSignal | undefined;
}

export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * What a caller sees of an error. The reason of the caller's own abort goes back as it is; `known` gives the code of an
 * error that the protocol explains; a disk of ours that is full stays an errno; all else is SOURCE_FAILED. The log has
 * the reason, the caller never: it may name hosts.
 */
export const asFault = (
  error: unknown,
  { kind, path, log, signal }: Attempt,
  known: (error: unknown) => ErrorCode | undefined = () => undefined,
): unknown => {
  if (signal?.aborted) return signal.reason;
  if (codeOf(error) !== undefined || isOfOurDisk(error)) return error;
  const code = known(error) ?? "SOURCE_FAILED";
  if (code !== "SOURCE_NOT_FOUND") log.warn({ path, reason: reasonOf(error) }, `${kind} source: ${code}`);
  return new Fault(code, { path });
};

/** What `readRange` of an object that is had whole only ends with. */
export const refuseRange = (kind: string, path: string): never =>
  fail("SOURCE_FAILED", { path, reason: `${kind} gives this file whole only: fetchTo is the way` });

/** What `list` of a source that has no listing ends with. */
export const refuseList = (kind: string, path: string): never =>
  fail("SOURCE_FAILED", { path, reason: `${kind} has no listing` });
