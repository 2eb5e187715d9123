/** What the thread that started the others says to them, and what they say to it. */
import type { MessagePort } from "node:worker_threads";
import type { Snapshot } from "../../contracts/fleet.ts";
import type { AccountDelta } from "../../domain/accounting/columns.ts";
import type { AdmissionNews } from "../../lib/crypto/admission-news.ts";
import type { Readiness } from "../../lib/http/health.ts";
import type { LogLevel } from "../../lib/log/log.ts";
import type { Purge } from "../cache/purges/purge-table.ts";
import type { NodeConfig } from "../node/node.ts";

/** What a thread begins with. */
export interface ThreadStart {
  readonly index: number;
  /** To the thread of each index; undefined at its own. */
  readonly ports: readonly (MessagePort | undefined)[];
  readonly config: NodeConfig;
  /** Where its part of the disk tier is, and how large. */
  readonly stores: { readonly folder: string; readonly maxBytes: number };
  /** There are live channels. */
  readonly hasDirectory: boolean;
  readonly ticketKeys: Uint8Array;
  readonly log: { readonly level: LogLevel; readonly format: "json" | "pretty"; readonly nodeId: string };
}

export type Order =
  | { readonly type: "listen"; readonly port: number; readonly tlsPort: number | null }
  | { readonly type: "sites"; readonly config: unknown; readonly texts: ReadonlyMap<string, string> }
  | { readonly type: "snapshot"; readonly snapshot: Snapshot }
  | { readonly type: "admission"; readonly news: AdmissionNews }
  | { readonly type: "looked"; readonly id: number }
  | { readonly type: "readiness"; readonly readiness: Readiness }
  | { readonly type: "count"; readonly id: number }
  | { readonly type: "metrics"; readonly id: number; readonly text: string }
  | { readonly type: "purge"; readonly id: number; readonly purge: Purge }
  | { readonly type: "close"; readonly graceMs: number };

export type Report =
  | { readonly type: "listening"; readonly port: number; readonly tlsPort: number | null }
  /** `variable`: what is wrong is the configuration's. */
  | { readonly type: "failed"; readonly message: string; readonly variable: string | undefined }
  | { readonly type: "accounts"; readonly deltas: readonly AccountDelta[] }
  /** Somebody asked for a channel that is not known. */
  | { readonly type: "missed"; readonly id: number }
  | { readonly type: "counted"; readonly id: number; readonly metrics: object[] }
  | { readonly type: "metrics"; readonly id: number }
  /** `error` when it could not be kept; it counts until the process ends. */
  | { readonly type: "purged"; readonly id: number; readonly error: string | undefined }
  | { readonly type: "closed" };
