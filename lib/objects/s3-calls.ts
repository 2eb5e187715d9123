/** What is asked of an S3 server: each call with a deadline, and what goes wrong in the words of the catalogue. */
import type { S3Client } from "@aws-sdk/client-s3";
import { codeOf, type ErrorCode, Fault } from "../../contracts/errors.ts";
import type { Log } from "../log/log.ts";
import { reasonOf } from "../source/faults.ts";
import { type NetworkLimits, Watch } from "../source/watch.ts";
import { ForeignError } from "./faults.ts";
import { textOf } from "./keys.ts";
import type { ObjectName } from "./port.ts";

/** A line on which 8 MiB take longer than two minutes is taken for dead. */
const BYTES_PER_SECOND_MIN = 64 * 1024;

const CODES: Readonly<Record<string, ErrorCode>> = {
  NoSuchKey: "OBJECT_NOT_FOUND",
  NotFound: "OBJECT_NOT_FOUND",
  PreconditionFailed: "OBJECT_CHANGED",
  ConditionalRequestConflict: "OBJECT_CHANGED",
  QuotaExceeded: "OBJECT_STORE_FULL",
  InsufficientStorage: "OBJECT_STORE_FULL",
  InsufficientCapacity: "OBJECT_STORE_FULL",
  XMinioStorageFull: "OBJECT_STORE_FULL",
  XMinioAdminBucketQuotaExceeded: "OBJECT_STORE_FULL",
};
const CODES_OF_STATUS: Readonly<Record<number, ErrorCode>> = { 412: "OBJECT_CHANGED", 507: "OBJECT_STORE_FULL" };

interface SdkError {
  readonly name?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

export const statusOf = (error: unknown): number => (error as SdkError | null)?.$metadata?.httpStatusCode ?? 0;
export const sdkNameOf = (error: unknown): string => (error as SdkError | null)?.name ?? "";

const codeOfSdk = (error: unknown): ErrorCode =>
  CODES[sdkNameOf(error)] ?? CODES_OF_STATUS[statusOf(error)] ?? "OBJECT_STORE_DOWN";

const isBug = (error: unknown): boolean =>
  error instanceof TypeError || error instanceof RangeError || reasonOf(error).startsWith("bug:");

export interface Call {
  readonly name: ObjectName;
  readonly signal: AbortSignal | undefined;
  /** What is sent with it, or what the server has to move before it answers: adds to its time. */
  readonly bytes?: number;
}

export class S3Calls {
  readonly client: S3Client;
  readonly #log: Log;
  readonly #limits: NetworkLimits;
  readonly #running = new Set<Watch>();
  #isClosed = false;

  constructor(client: S3Client, { log, limits }: { readonly log: Log; readonly limits: NetworkLimits }) {
    this.client = client;
    this.#log = log;
    this.#limits = limits;
  }

  /** One request. `work` is given the signal that ends it; after its end the answer's body is the caller's. */
  async ask<T>(call: Call, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const watch = this.#begin(call);
    try {
      return await watch.race(work(watch.signal));
    } catch (error) {
      throw this.fault(watch.signal.aborted ? watch.signal.reason : error, call);
    } finally {
      this.#end(watch);
    }
  }

  /** Several requests and what is between them, as one: errors are told alike, deadlines are those of each request. */
  async attempt<T>(call: Call, work: () => Promise<T>): Promise<T> {
    try {
      call.signal?.throwIfAborted();
      return await work();
    } catch (error) {
      throw this.fault(error, call);
    }
  }

  /** What the caller is told of an error; the log has the reason, which may name hosts. */
  fault(error: unknown, { name, signal }: Call): unknown {
    if (signal?.aborted) return signal.reason;
    if (error instanceof ForeignError) return error.error;
    const known = codeOf(error);
    if (known !== undefined && known !== "SOURCE_TIMEOUT") return error;
    if (isBug(error)) return error;
    const code = known === "SOURCE_TIMEOUT" ? "OBJECT_STORE_DOWN" : codeOfSdk(error);
    if (code === "OBJECT_STORE_DOWN" || code === "OBJECT_STORE_FULL") {
      this.#log.warn({ object: textOf(name), reason: reasonOf(error) }, `object store: ${code}`);
    }
    return new Fault(code, { key: name.key });
  }

  close(): void {
    this.#isClosed = true;
    for (const watch of this.#running) watch.abort(new Error("the object store is closed"));
  }

  #begin({ name, signal, bytes = 0 }: Call): Watch {
    signal?.throwIfAborted();
    const { connectTimeoutMs, idleTimeoutMs } = this.#limits;
    // The client tells of nothing before the head of the answer: all that comes before it is one wait.
    const waitMs = connectTimeoutMs + idleTimeoutMs + (bytes / BYTES_PER_SECOND_MIN) * 1000;
    const watch = new Watch({ path: name.key, signal, bytes: null }, { ...this.#limits, connectTimeoutMs: waitMs });
    this.#running.add(watch);
    if (this.#isClosed) watch.abort(new Error("the object store is closed"));
    return watch;
  }

  #end(watch: Watch): void {
    this.#running.delete(watch);
    watch.end();
  }

  /** The next piece of a body, or OBJECT_STORE_DOWN where none comes: a reader who is slow costs it nothing. */
  next<T>(call: Call, body: AsyncIterator<T>): Promise<IteratorResult<T>> {
    return this.ask(call, () => body.next());
  }
}
