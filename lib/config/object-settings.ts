import { join } from "node:path";
import type { ObjectSettings } from "../objects/open.ts";
import type { Settings } from "./config.ts";

type Said = Pick<
  Settings,
  | "objectStore"
  | "objectsDir"
  | "objectS3Endpoint"
  | "objectS3Region"
  | "objectS3AccessKeyId"
  | "objectS3SecretAccessKey"
  | "objectS3PathStyle"
  | "bucketPrefix"
  | "dataDir"
>;

/** Which object store a configuration means. */
export const objectSettings = (said: Said): ObjectSettings => {
  const { objectS3Endpoint: endpoint, objectS3AccessKeyId: id, objectS3SecretAccessKey: secret, bucketPrefix } = said;
  const kind = said.objectStore ?? (endpoint === null ? "filesystem" : "s3");
  if (kind === "filesystem") return { kind, root: said.objectsDir ?? join(said.dataDir, "objects"), bucketPrefix };
  return {
    kind,
    endpoint,
    region: said.objectS3Region,
    credentials: id !== null && secret !== null ? { accessKeyId: id, secretAccessKey: secret } : null,
    pathStyle: said.objectS3PathStyle ?? endpoint !== null,
    bucketPrefix,
  };
};
