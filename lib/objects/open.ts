/** The one place where a kind of object store is chosen. */
import { type Clock, systemClock } from "../clock.ts";
import type { Log } from "../log/log.ts";
import type { ObjectStore } from "./port.ts";

export type ObjectSettings =
  | { readonly kind: "filesystem"; readonly root: string; readonly bucketPrefix: string }
  | {
      readonly kind: "s3";
      readonly endpoint: string | null;
      readonly region: string;
      readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | null;
      readonly pathStyle: boolean;
      readonly bucketPrefix: string;
    };

export interface ObjectTools {
  readonly log: Log;
  /** The system's unless told. */
  readonly clock?: Clock;
  /** S3: above it a copy is made in parts; the 5 GiB that S3 copies at once unless told. */
  readonly copyBytesMax?: number;
  /** S3, in ms: until a connection stands, and without a byte of an answer; 10 s each unless told. */
  readonly connectTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
}

/** A folder is made and swept; of S3 nothing is connected yet, and its client is loaded only here. */
export const openObjects = async (settings: ObjectSettings, tools: ObjectTools): Promise<ObjectStore> => {
  const told = { ...tools, clock: tools.clock ?? systemClock };
  if (settings.kind === "s3") return new (await import("./s3.ts")).S3Store(settings, told);
  const { FilesystemStore } = await import("./filesystem.ts");
  const store = new FilesystemStore(settings, told);
  try {
    await store.makeBuckets();
  } catch (error) {
    // A disk that is not mounted yet is no reason to end here: each ask of the store says so.
    tools.log.warn({ reason: (error as Error).message }, "object store: its folder can't be made");
  }
  await store.sweep();
  return store;
};
