/**
 * The master key: what other keys are wrapped with at rest (AES-256-GCM, NIST SP 800-38D). The first one given is the
 * present one and wraps; further ones are former keys that still open what they wrapped.
 *
 * A file of them is read again when it changes, so that a new key counts without a restart.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { fail } from "../../contracts/errors.ts";
import { ConfigError } from "../config/config-error.ts";

export interface Wrapped {
  /** Nonce, ciphertext, tag. */
  readonly bytes: Buffer;
  /** Which master key opens it. */
  readonly masterKeyId: string;
}
export interface MasterKeyPlace {
  /** 64 hexadecimal digits; null: the first one in the file. */
  readonly masterKey: string | null;
  /** One key a line, the present one first. */
  readonly file: string;
  /** Where there is no such file, one is made with a new key. */
  readonly mayMake: boolean;
}

const KEY = /^[0-9a-fA-F]{64}$/;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEYS_MAX = 100;

interface MasterKey {
  readonly id: string;
  readonly key: Buffer;
}

const masterKeyOf = (hex: string): MasterKey => {
  const key = Buffer.from(hex, "hex");
  const id = createHash("sha256").update("castellan master key id\0").update(key).digest("hex").slice(0, 16);
  return { id, key };
};

/** A new key, as its file has it. */
export const newMasterKeyText = (): string => randomBytes(32).toString("hex");

/** The keys in a file's text; throws a ConfigError that names the line and never shows what stands in it. */
export const masterKeyLines = (text: string, file: string): string[] => {
  const lines = text.split("\n").flatMap((line, index) => {
    const words = line.replace(/#.*/, "").trim();
    if (words === "") return [];
    if (KEY.test(words)) return [words.toLowerCase()];
    throw new ConfigError("MASTER_KEY_FILE", `line ${index + 1} of ${file} is no key of 64 hexadecimal digits`);
  });
  if (lines.length > KEYS_MAX) throw new ConfigError("MASTER_KEY_FILE", `${file} has more than ${KEYS_MAX} keys`);
  return lines;
};

const writeWhole = (file: string, text: string): void => {
  const handle = openSync(file, "w", 0o600);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
};

const syncFolder = (dir: string): void => {
  const folder = openSync(dir, "r");
  fsyncSync(folder);
  closeSync(folder);
};

/** Puts a text into a file that is not there yet, whole and synced; another one's that came first stays. */
const makeFile = (file: string, text: string): void => {
  mkdirSync(dirname(file), { recursive: true });
  const part = `${file}.${process.pid}.part`;
  writeWhole(part, text);
  try {
    linkSync(part, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    rmSync(part, { force: true });
  }
  syncFolder(dirname(file));
};

/** An operator's command may run as another user than those who read the file: it stays theirs. */
const giveTo = (file: string, { uid, gid, mode }: Stats): void => {
  const own = statSync(file);
  if (own.uid !== uid || own.gid !== gid) chownSync(file, uid, gid);
  chmodSync(file, mode & 0o777);
};

/**
 * Puts a new key before those of a file, which is whole at any moment and keeps its owner. One at a time: of two, the
 * later would leave out the key of the other, and all that is wrapped by it would be lost. Throws a ConfigError where
 * another one is at it, or the file is full.
 */
export const addMasterKey = (name: string): void => {
  const file = realpathSync(name);
  const part = `${file}.next`;
  const handle = openExclusively(part, file);
  try {
    const text = readFileSync(file, "utf8");
    if (masterKeyLines(text, file).length === KEYS_MAX) {
      throw new ConfigError("MASTER_KEY_FILE", `${file} has ${KEYS_MAX} keys: take away those that wrap nothing`);
    }
    writeSync(handle, `${newMasterKeyText()}\n${text}`);
    fsyncSync(handle);
    giveTo(part, statSync(file));
    renameSync(part, file);
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  } finally {
    closeSync(handle);
  }
  syncFolder(dirname(file));
};

const openExclusively = (part: string, file: string): number => {
  try {
    return openSync(part, "wx", 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const reason = `another process puts a key into ${file} at this moment; if none does, remove ${part}`;
    throw new ConfigError("MASTER_KEY_FILE", reason);
  }
};

export class MasterKeys {
  readonly #place: MasterKeyPlace;
  #keys: readonly MasterKey[] = [];
  /** Of the file that was read: its time of change and size. */
  #stamp = "";

  /** Throws a ConfigError when there is no key, or one that can't be used. */
  constructor(place: MasterKeyPlace) {
    this.#place = place;
    if (place.masterKey !== null && !KEY.test(place.masterKey)) {
      throw new ConfigError("MASTER_KEY", "must be 64 hexadecimal digits");
    }
    if (place.masterKey === null && place.mayMake && this.#stampNow() === "") {
      makeFile(place.file, `${newMasterKeyText()}\n`);
    }
    this.#read();
    if (this.#keys.length === 0) throw new ConfigError("MASTER_KEY_FILE", `there is no key in ${place.file}`);
  }

  /** Of the key that wraps from now on. */
  get presentId(): string {
    this.#readAgain();
    return this.#keys[0]!.id; // the constructor has seen one, and a file without any is not taken
  }

  has(masterKeyId: string): boolean {
    return this.#find(masterKeyId) !== undefined;
  }

  /** `label`: what it is the key of; unwrapped as anything else it is refused. */
  wrap(plain: Uint8Array, label: string): Wrapped {
    this.#readAgain();
    const { id, key } = this.#keys[0]!; // as above
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(`${id}\0${label}`));
    return {
      masterKeyId: id,
      bytes: Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]),
    };
  }

  /** Fails with MASTER_KEY_MISSING; throws when the bytes are not what was wrapped as this. */
  unwrap({ bytes, masterKeyId }: Wrapped, label: string): Buffer {
    const key = this.#find(masterKeyId)?.key ?? fail("MASTER_KEY_MISSING", { masterKeyId });
    const body = bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES);
    const opener = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    opener.setAAD(Buffer.from(`${masterKeyId}\0${label}`)).setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
    return Buffer.concat([opener.update(body), opener.final()]);
  }

  #find(masterKeyId: string): MasterKey | undefined {
    const known = (): MasterKey | undefined => this.#keys.find(({ id }) => id === masterKeyId);
    const found = known();
    if (found) return found;
    this.#readAgain();
    return known();
  }

  #stampNow(): string {
    const stat = statSync(this.#place.file, { throwIfNoEntry: false });
    return stat ? `${stat.ino} ${stat.mtimeMs} ${stat.size}` : "";
  }

  /** A file that is away, broken or not to be read meanwhile changes nothing. */
  #readAgain(): void {
    try {
      if (this.#stampNow() !== this.#stamp) this.#read();
    } catch (error) {
      const isOfFile = error instanceof ConfigError || (error as NodeJS.ErrnoException).syscall !== undefined;
      if (!isOfFile) throw error;
    }
  }

  #read(): void {
    const { masterKey, file } = this.#place;
    const stamp = this.#stampNow();
    const lines = stamp === "" ? [] : masterKeyLines(readFileSync(file, "utf8"), file);
    const texts = [...new Set([...(masterKey === null ? [] : [masterKey.toLowerCase()]), ...lines])];
    if (texts.length === 0) return;
    this.#keys = texts.map(masterKeyOf);
    this.#stamp = stamp;
  }
}
