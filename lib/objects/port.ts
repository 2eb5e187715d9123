/**
 * ObjectStore: where uploads, rungs and pictures are kept. Buckets are named without the operator's prefix (`segments`,
 * `thumbnails`, `trailers`, `sources`); keys are relative paths with `/` between their parts, never with `.`, `..`, an
 * empty part, a backslash or a control character (PATH_REFUSED).
 *
 * An object appears whole or not at all, and once `put` has resolved neither a kill nor a power loss takes it away.
 * Errors are of the catalogue: OBJECT_NOT_FOUND, OBJECT_CHANGED (a condition does not hold), OBJECT_STORE_DOWN (may be
 * tried again), OBJECT_STORE_FULL (likewise, once there is room).
 */
import type { Readable } from "node:stream";
import type { ContentSource } from "../source/port.ts";

export const BUCKETS = ["sources", "segments", "thumbnails", "trailers"] as const;
export type Bucket = (typeof BUCKETS)[number];

export interface ObjectName {
  readonly bucket: Bucket;
  readonly key: string;
}

export interface ObjectStat {
  readonly key: string;
  readonly sizeBytes: number;
  /** Strong: other bytes have another one. */
  readonly etag: string;
  readonly modifiedMs: number;
  /** Null where the store does not keep it. */
  readonly contentType: string | null;
}

/** What is said of any ask. */
export interface Asked {
  readonly signal?: AbortSignal;
}

export interface PutOptions extends Asked {
  readonly contentType?: string;
  /** Only where there is no such object yet. */
  readonly ifAbsent?: true;
  /** Only where the object has this ETag. Not a lock between writers: that is PostgreSQL's part. */
  readonly ifMatch?: string;
}

export interface PutFileOptions extends PutOptions {
  /** Nothing is written to the file any more: on the same file system a folder takes it as it is, without a copy. */
  readonly isFinal?: true;
}

export interface ByteRange {
  readonly offset: number;
  readonly lengthBytes: number;
}

export interface GetOptions extends Asked {
  readonly range?: ByteRange;
  readonly ifMatch?: string;
}

export interface ListOptions {
  readonly prefix?: string;
  readonly after?: string;
}

/** An object that becomes a part of another one. */
export type PartStat = Pick<ObjectStat, "key" | "sizeBytes" | "etag">;

/** Objects of a bucket, one behind the other. */
export interface Composition {
  readonly bucket: Bucket;
  readonly parts: readonly PartStat[];
}

/** How a program that reads files by itself (ffmpeg) reaches an object: a path, or an address good for a day. */
export interface ObjectInput {
  readonly url: string;
  /** For ffmpeg's `-protocol_whitelist`. */
  readonly protocols: readonly string[];
}

export interface ObjectStore {
  readonly kind: "filesystem" | "s3";
  /**
   * A stream of any length is taken; memory stays bounded. What the stream fails with is what `put` fails with, and a
   * `put` that fails destroys it.
   */
  put(name: ObjectName, body: Uint8Array | Readable, options?: PutOptions): Promise<ObjectStat>;
  /** The same from a local file; where it broke off, it goes on with the parts that are there (S3). */
  putFile(name: ObjectName, file: string, options?: PutFileOptions): Promise<ObjectStat>;
  /** Null: there is none. */
  head(name: ObjectName, asked?: Asked): Promise<ObjectStat | null>;
  /**
   * Bytes of one version; the stream fails with OBJECT_CHANGED rather than mix two. Of a range comes what the object
   * has of it, maybe nothing.
   */
  get(name: ObjectName, options?: GetOptions): Promise<{ readonly stat: ObjectStat; readonly body: Readable }>;
  /** A small object at once; PATH_REFUSED when it is larger than `bytesMax`. */
  getBytes(
    name: ObjectName,
    options: Asked & { readonly bytesMax: number },
  ): Promise<{ readonly stat: ObjectStat; readonly bytes: Buffer }>;
  /** Into a local file that does not exist yet; errors of that file are an errno. */
  fetchTo(name: ObjectName, file: string, asked?: Asked): Promise<ObjectStat>;
  /**
   * One object of others (a copy, where it is one). Where the store can do that, their bytes don't pass through here.
   * OBJECT_CHANGED when one of them is no longer what its stat says.
   */
  compose(from: Composition, to: ObjectName, asked?: Asked): Promise<ObjectStat>;
  /** Those that are not there count as deleted. */
  delete(bucket: Bucket, keys: readonly string[]): Promise<void>;
  /** In ascending order of the keys' UTF-8 bytes. */
  list(bucket: Bucket, options?: ListOptions): AsyncIterable<ObjectStat>;
  input(name: ObjectName): Promise<ObjectInput>;
  /** A bucket for those who read ranges (packager, edge). It is the store's: its `close` leaves it open to others. */
  source(bucket: Bucket): ContentSource;
  /** Throws OBJECT_STORE_DOWN unless it answers; makes the buckets where they are missing. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
