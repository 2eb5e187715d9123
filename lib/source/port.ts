/**
 * ContentSource: where stored media comes from, for the packager and the edge alike. A source is one place (a folder, a
 * bucket, a server); paths in it are relative, with `/` between their parts, already decoded, never with `.`, `..`, an
 * empty part or a NUL (`checkedSourcePath` refuses those with PATH_REFUSED).
 *
 * Errors are of the catalogue: SOURCE_NOT_FOUND, SOURCE_DENIED, SOURCE_ARCHIVED (data: retryAfterSeconds),
 * SOURCE_FAILED, SOURCE_TIMEOUT, SOURCE_CHANGED (another version is there than the one that was opened),
 * SOURCE_TRUNCATED.
 */

export interface SourceStat {
  readonly sizeBytes: number;
  /** ms since 1970, null where the protocol does not tell. */
  readonly modifiedMs: number | null;
  /** A strong validator as the source gave it, null where it has none. */
  readonly etag: string | null;
  /**
   * Changes whenever the content may have: made from size, time, inode or ETag, whatever there is. Short printable
   * text.
   */
  readonly version: string;
}

export interface ReadOptions {
  /** Ends the wait with the signal's reason as it is; what was taken for it (a connection, a file) is free again. */
  readonly signal?: AbortSignal;
}

/** An opened object: all its bytes are of one version, or reading fails with SOURCE_CHANGED. */
export interface SourceObject {
  readonly stat: SourceStat;
  /**
   * Its ranges can't be had: `readRange` rejects, `fetchTo` is the way. So are all objects of a source without
   * `ranges`.
   */
  readonly wholeOnly?: true;
  /**
   * Fills the whole of `target` with the bytes from `offset` on; SOURCE_TRUNCATED when there are fewer. Once it has
   * settled, well or not, nothing is written to `target` any more.
   */
  readRange(offset: number, target: Uint8Array, options?: ReadOptions): Promise<void>;
  close(): Promise<void>;
}

export interface SourceEntry {
  /** Path from the source's root. */
  readonly path: string;
  readonly kind: "file" | "folder";
  readonly sizeBytes: number | null;
}

/** What a protocol can do besides reading whole objects. The contract suite names each one. */
export interface SourceCapabilities {
  /** Ranges are read without fetching the whole; without it the packager serves from its input cache. */
  readonly ranges: boolean;
  readonly list: boolean;
  /** A change while an object is open is always noticed (not only by size and time). */
  readonly strongVersion: boolean;
}

export interface ContentSource {
  /** `filesystem`, `http`, `s3`, `ftp`, `sftp`, `scp`, `rsync`. */
  readonly kind: string;
  readonly capabilities: SourceCapabilities;
  stat(path: string, options?: ReadOptions): Promise<SourceStat>;
  open(path: string, options?: ReadOptions): Promise<SourceObject>;
  /**
   * Entries of a folder by the UTF-8 bytes of their names, a folder as if its name ended in `/` (the order of S3);
   * SOURCE_NOT_FOUND when there is none; a source without `list` rejects.
   */
  list(path: string, options?: ReadOptions): AsyncIterable<SourceEntry>;
  /** Copies the whole object into a local file that does not exist yet; gives the stat of what was copied. */
  fetchTo(path: string, file: string, options?: ReadOptions): Promise<SourceStat>;
  close(): Promise<void>;
}
