/**
 * The words that actors share: an ask is an order with an answer, a fact is news without one.
 * Validation, types, REST routes, OpenAPI and the ask graph all come from these declarations.
 */
import type { z } from "zod";
import type { ErrorCode } from "./errors.ts";

export type Scope =
  | "channel:read"
  | "channel:write"
  | "streamer:read"
  | "streamer:write"
  | "key:read"
  | "key:write"
  | "title:read"
  | "title:write"
  | "upload:write"
  | "job:read"
  | "job:write"
  | "playback:read"
  | "playback:write"
  | "platform:admin";

export interface Rest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path below `/api/v1`, parameters as `:name`. */
  readonly path: string;
  /** Status of success; 200 unless told. */
  readonly status?: 200 | 201 | 202;
  /** Scope that the key must have. */
  readonly scope: Scope;
  /** One sentence for the API reference. */
  readonly summary: string;
  /** Section of the API reference. */
  readonly tag: string;
  /** `Idempotency-Key` is honoured. */
  readonly idempotent?: true;
  /** `If-Match` is passed on as the parameter `ifVersion`; `data.version` comes back as `ETag`, here as everywhere. */
  readonly versioned?: true;
}

export interface Ask<I extends z.ZodType = z.ZodType, O extends z.ZodType = z.ZodType> {
  readonly kind: "ask";
  readonly name: string;
  readonly input: I;
  /** Of an ask with a REST route: an object with `data` (and `nextCursor`, `failures`); the gateway adds `success`. */
  readonly result: O;
  readonly deadlineMs: number;
  readonly errors: readonly ErrorCode[];
  readonly rest?: Rest;
  /** A call that failed because its node went away may be sent again. */
  readonly retriable?: true;
  /** Key of the actor that must answer; asks of keyed actors only. */
  readonly key?: (input: z.output<I>) => string;
}

export interface Fact<P extends z.ZodType = z.ZodType> {
  readonly kind: "fact";
  readonly name: string;
  readonly payload: P;
}

export const ask = <I extends z.ZodType, O extends z.ZodType>(
  name: string,
  spec: Omit<Ask<I, O>, "name" | "kind">,
): Ask<I, O> => ({ kind: "ask", name, ...spec });

export const fact = <P extends z.ZodType>(name: string, payload: P): Fact<P> => ({ kind: "fact", name, payload });
