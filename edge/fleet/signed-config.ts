/** A signed configuration: whether to believe it, and its copy on the edge's own disk. */
import { join } from "node:path";
import type { EdgeConfig } from "../../contracts/edge-config.ts";
import { PublishedConfig, SignedConfig } from "../../contracts/fleet.ts";
import { isSignedBy } from "../../lib/crypto/ed25519.ts";
import { fieldErrors } from "../../lib/field-errors.ts";
import { ConfigRefused } from "../config/refused.ts";
import { configOf } from "./config-text.ts";
import { readKept, writeKept } from "./kept-file.ts";

const refused = (path: string, message: string): ConfigRefused => new ConfigRefused([{ path, message }]);

/** Who published what under which number; the configuration itself is not looked at yet. */
export const believed = (signed: SignedConfig, publicKey: string): PublishedConfig => {
  const { text, signature } = signed;
  if (!isSignedBy(publicKey, text, signature)) {
    const other = signed.publicKey === publicKey ? "" : "; it names another key than the one that this edge believes";
    throw refused("signature", `is not of this text by the key that counts${other}`);
  }
  const parsed = PublishedConfig.safeParse(JSON.parse(text)); // what was signed is JSON
  if (!parsed.success) throw new ConfigRefused(fieldErrors(parsed.error));
  return parsed.data;
};

export const customersIn = ({ customers }: PublishedConfig): EdgeConfig => configOf({ customers });

/** The number that a text claims, believed or not; 0 where it claims none. */
export const claimedRevision = ({ text }: SignedConfig): number => {
  try {
    const { revision } = JSON.parse(text) as { revision?: unknown };
    return typeof revision === "number" && Number.isSafeInteger(revision) && revision > 0 ? revision : 0;
  } catch {
    return 0;
  }
};

/** Where the edge keeps the last good configuration and the key that it believes. */
export class ConfigStore {
  readonly path: string;
  readonly keyPath: string;

  constructor(dataDir: string) {
    this.path = join(dataDir, "edge", "cdn-config.json");
    this.keyPath = join(dataDir, "edge", "cdn-config.key");
  }

  /** Undefined when there is none; rejects when it can't be read. */
  async read(): Promise<SignedConfig | undefined> {
    const text = await readKept(this.path);
    return text === undefined ? undefined : SignedConfig.parse(JSON.parse(text));
  }
  write(signed: SignedConfig): Promise<void> {
    return writeKept(this.path, JSON.stringify(signed));
  }

  /** The key that was believed first; undefined before that. A damaged one rejects: nothing is believed then. */
  async readKey(): Promise<string | undefined> {
    const text = await readKept(this.keyPath);
    if (text === undefined) return undefined;
    return SignedConfig.shape.publicKey.parse(text.trim());
  }
  writeKey(publicKey: string): Promise<void> {
    return writeKept(this.keyPath, `${publicKey}\n`);
  }
}
