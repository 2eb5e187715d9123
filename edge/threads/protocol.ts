/** What threads of one edge say to each other. All of it is copied but for SharedArrayBuffers, which are shared. */
import type { CacheStatusParts } from "../../domain/http-cache/cache-status.ts";
import type { Refusal } from "../../lib/http/problem.ts";
import type { Described } from "../cache/stored.ts";
import type { Result } from "../node/metrics.ts";

/** Bytes that all threads see, or a copy where the owner has them in memory of its own. */
export interface SharedBytes {
  readonly memory: SharedArrayBuffer | Uint8Array;
  readonly offset: number;
  readonly length: number;
}

/** How far a body has come. */
export interface Progress {
  readonly filledBytes: number;
  readonly spans: readonly { readonly start: number; readonly end: number }[];
  readonly state: "filling" | "whole" | "broken";
}

/** A reader's thread asks the owner of a key. */
export interface AskMessage {
  readonly type: "ask";
  readonly id: number;
  /** Under which the asking thread keeps what it may. */
  readonly key: string;
  readonly host: string;
  /** Path and query, without a token. */
  readonly path: string;
  readonly query: string;
  /** Of the request, as sent. */
  readonly fields: readonly string[];
  readonly isPrefetch: boolean;
}

export type Told =
  | {
      readonly kind: "content";
      readonly result: Result;
      readonly described: Described;
      readonly status: CacheStatusParts;
      readonly ageMs: number;
      readonly bytes: SharedBytes;
      readonly sizeBytes: number | undefined;
      readonly progress: Progress;
      /** Names a body that is still filling: what comes of it is told. */
      readonly bodyId: number | undefined;
      /** It is for the request that was asked for, and no other. */
      readonly isAlone: boolean;
      /** How long the asking thread may answer with it by itself; 0: not at all. */
      readonly shareMs: number;
      /** Under which it is taken back. */
      readonly key: string;
    }
  | { readonly kind: "redirect"; readonly location: string }
  | { readonly kind: "pass"; readonly status: CacheStatusParts }
  | { readonly kind: "problem"; readonly result: Result; readonly refusal: Refusal };

export type PeerMessage =
  | AskMessage
  | { readonly type: "told"; readonly id: number; readonly told: Told }
  | {
      readonly type: "more";
      readonly bodyId: number;
      readonly progress: Progress;
      /** Given when the body has moved into other memory. */
      readonly bytes: SharedBytes | undefined;
    }
  /** Bytes far ahead of the front are wanted. */
  | { readonly type: "near"; readonly bodyId: number; readonly start: number; readonly end: number }
  /** What was shared under these keys is not to be used any more. */
  | { readonly type: "gone"; readonly keys: readonly string[] }
  /** Nothing that was shared until now is to be used any more. */
  | { readonly type: "forget" }
  /** A request through another thread changed what this address stands for. */
  | { readonly type: "invalidate"; readonly key: string }
  /** An answer through another thread may be kept after all. */
  | { readonly type: "cacheable"; readonly key: string }
  /** These were used: they are of use to the cache. */
  | { readonly type: "used"; readonly keys: readonly string[] };

/** The thread that has an object: FNV-1a of its key (of 32 bits), so that it is the same in each. */
export const ownerOf = (key: string, threadCount: number): number => {
  if (threadCount === 1) return 0;
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at += 1) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  return (hash >>> 0) % threadCount;
};
