/**
 * The Idempotency-Key flow: claim the key, do the work, keep the answer. A repeat within 24 h gets the kept answer; one
 * that comes while the first still runs gets IDEMPOTENCY_RUNNING; another request under the same key
 * IDEMPOTENCY_MISMATCH.
 */
import { createHash } from "node:crypto";
import { codeOf, ERRORS, fail } from "../contracts/errors.ts";
import { badInput } from "./reply.ts";
import type { SealedFor } from "./seal.ts";
import { seal, unseal } from "./seal.ts";

const KEY = /^[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?$/;

/** The key of a request; undefined without one. Fails with BAD_INPUT. */
export const idempotencyKeyOf = (header: string | string[] | undefined): string | undefined => {
  if (header === undefined) return undefined;
  if (typeof header === "string" && KEY.test(header)) return header;
  throw badInput([{ path: "Idempotency-Key", message: "must be 1 to 255 visible ASCII characters" }]);
};

/** JSON with sorted keys: two bodies that mean the same give the same text. */
const canonical = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(",")}}`;
};

export interface Fingerprinted {
  readonly apiKeyId: string;
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}
/** 64 hex digits that stand for caller, address and body. */
export const fingerprintOf = ({ apiKeyId, method, path, body }: Fingerprinted): string =>
  createHash("sha256")
    .update([apiKeyId, method, path, canonical(body)].join("\n"))
    .digest("hex");

/** What is kept of an answer; the request id is each request's own. */
export interface Kept {
  readonly status: number;
  readonly document: Readonly<Record<string, unknown>>;
}
export interface Records {
  begin(record: { idempotencyKey: string; fingerprint: string }): Promise<{
    stored: { status: number; body: string } | null;
  }>;
  end(record: { idempotencyKey: string; answer: { status: number; body: string } | null }): Promise<unknown>;
}
export interface Once {
  readonly records: Records;
  readonly fingerprint: string;
  readonly sealedFor: SealedFor;
  /** Told when the answer could not be kept: the key stays claimed for a minute. */
  readonly notKept: (error: unknown) => void;
}

/** Deterministic refusals are kept too; what a second try may change is not. */
const isWorthKeeping = ({ status, document }: Kept): boolean => {
  const code = codeOf(document);
  return status < 500 && !(code && ERRORS[code].retry);
};

/** Runs `work` at most once per key. `work` never throws: its failures are answers. */
export const once = async (
  { records, fingerprint, sealedFor, notKept }: Once,
  work: () => Promise<Kept>,
): Promise<Kept & { replayed: boolean }> => {
  const { idempotencyKey } = sealedFor;
  const { stored } = await records.begin({ idempotencyKey, fingerprint });
  if (stored) {
    const text = unseal(stored.body, sealedFor) ?? fail("IDEMPOTENCY_MISMATCH");
    // Sealed by `once` below, so its shape is known.
    const document = JSON.parse(text) as Kept["document"];
    return { status: stored.status, document, replayed: true };
  }
  const kept = await work();
  const answer = isWorthKeeping(kept)
    ? { status: kept.status, body: seal(JSON.stringify(kept.document), sealedFor) }
    : null;
  await records.end({ idempotencyKey, answer }).catch(notKept);
  return { ...kept, replayed: false };
};
