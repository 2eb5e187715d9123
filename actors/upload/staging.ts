/**
 * Where the bytes of an upload are until it is whole. An offset that `kept` was told has been made durable before: no
 * kill and no power loss takes those bytes away, and any node that sees the object store can go on behind them.
 */
import type { Readable } from "node:stream";
import type { ObjectName, ObjectStat, ObjectStore } from "../../lib/objects/port.ts";
import { FileStaging } from "./file-staging.ts";
import { PartStaging } from "./part-staging.ts";

export interface Place {
  readonly tenantId: string;
  readonly uploadId: string;
}

export interface Writing {
  readonly place: Place;
  /** Where the first byte of the body belongs; what is behind it is overwritten. */
  readonly offset: number;
  /** What comes is taken until it ends or throws. */
  readonly body: AsyncIterable<Buffer>;
  /** Called one after the other, with growing offsets. What it throws ends the writing. */
  readonly kept: (offset: number) => Promise<void>;
}

export interface Finishing {
  readonly place: Place;
  readonly to: ObjectName;
  readonly sizeBytes: number;
  readonly signal: AbortSignal;
}

export interface Staging {
  create(place: Place): Promise<void>;
  /**
   * All of a body that breaks off is kept before its error is thrown. Errors of the store: OBJECT_STORE_DOWN,
   * OBJECT_STORE_FULL; what came before them is kept as well.
   */
  write(writing: Writing): Promise<void>;
  /** Makes the object of it. A second time after a kill is as good as the first. */
  finish(finishing: Finishing): Promise<ObjectStat>;
  /** What is not there counts as removed. */
  remove(place: Place): Promise<void>;
  /** Places that nothing was written to for so long: of some a kill may have kept the row from being made. */
  idle(forMs: number): Promise<readonly Place[]>;
}

export type Bytes = Readable | AsyncIterable<Buffer>;

/** Files beside the buckets where the store is a folder, else objects. */
export const openStaging = (objects: ObjectStore, folder: string): Staging =>
  objects.kind === "filesystem" ? new FileStaging(objects, folder) : new PartStaging(objects);
