/** A file layer over another one, whose operations a test can fail, delay or change the results of. */
import type { FileLayer, OpenFile } from "./files.ts";

export type Operation = "create" | "open" | "unlink" | "read" | "write" | "sync" | "truncate" | "syncFolder";

export interface Hooks {
  /** Runs before each operation: throw to fail it, wait to delay it. */
  before?: (operation: Operation, path: string) => void | Promise<void>;
  /** Runs on what was read. */
  afterRead?: (bytes: Uint8Array, path: string) => void;
}

/** `hooks` may be changed while it is in use. */
export const hookedFiles = (inner: FileLayer, hooks: Hooks): FileLayer => {
  const hooked = (file: OpenFile, path: string): OpenFile => ({
    async read(target, position) {
      await hooks.before?.("read", path);
      const gotBytes = await file.read(target, position);
      hooks.afterRead?.(target.subarray(0, gotBytes), path);
      return gotBytes;
    },
    async write(bytes, position) {
      await hooks.before?.("write", path);
      await file.write(bytes, position);
    },
    async sync() {
      await hooks.before?.("sync", path);
      await file.sync();
    },
    async truncate(sizeBytes) {
      await hooks.before?.("truncate", path);
      await file.truncate(sizeBytes);
    },
    sizeBytes: () => file.sizeBytes(),
    close: () => file.close(),
  });
  return {
    async create(path) {
      await hooks.before?.("create", path);
      return hooked(await inner.create(path), path);
    },
    async open(path) {
      await hooks.before?.("open", path);
      return hooked(await inner.open(path), path);
    },
    async unlink(path) {
      await hooks.before?.("unlink", path);
      await inner.unlink(path);
    },
    rename: (from, to) => inner.rename(from, to),
    list: (folder) => inner.list(folder),
    makeFolder: (folder) => inner.makeFolder(folder),
    async syncFolder(folder) {
      await hooks.before?.("syncFolder", folder);
      await inner.syncFolder(folder);
    },
  };
};
