import { join } from "node:path";
import type { Config } from "../../lib/config/config.ts";
import type { MasterKeyPlace } from "../../lib/crypto/master-keys.ts";

/** Where the master key of a node is. */
export const masterKeyPlace = (config: Pick<Config, "masterKey" | "masterKeyFile" | "dataDir">): MasterKeyPlace => ({
  masterKey: config.masterKey,
  file: config.masterKeyFile ?? join(config.dataDir, "run", "master-key"),
  // A file that is named is the operator's: a new one in its place would open nothing that is there.
  mayMake: config.masterKeyFile === null,
});
