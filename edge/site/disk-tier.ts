/** Sites' objects on disk: what is kept of an answer beside its body, and how it comes back into memory. */
import type { Freshness } from "../../domain/http-cache/storability.ts";
import type { Log } from "../../lib/log/log.ts";
import type { Allocate } from "../cache/body.ts";
import type { DiskStore } from "../cache/disk/disk-store.ts";
import type { Stored } from "../cache/stored.ts";
import { describe, entryOf } from "./entry.ts";

export interface DiskTierDeps {
  readonly disk: DiskStore;
  readonly allocate: Allocate;
  readonly log: Log;
  readonly via: string;
  /** Monotonic. */
  readonly nowMs: () => number;
  /** Since 1970. */
  readonly wallMs: () => number;
}

/** An answer that is over sooner is not worth its writing. */
const LIFETIME_MS_MIN = 5_000;
const READ_BYTES = 1024 * 1024;
/** JSON of 32 KiB of fields at most. */
const META_BYTES_MAX = 64 * 1024;

/** What stands beside a body. */
interface Meta {
  readonly status: number;
  readonly fields: readonly string[];
  readonly freshness: Freshness;
  readonly varyNames: readonly string[];
  readonly site: string;
  readonly path: string;
  readonly primaryKey: string;
  readonly tags: readonly string[];
  readonly seq: number;
  /** Wall clock of the moment from which its age counts: the monotonic one ends with the process. */
  readonly bornWallMs: number;
}

/** An address whose answers depend on the request. */
export interface Varies {
  /** Lower-case names of fields. */
  readonly varies: readonly string[];
}

export class DiskTier {
  readonly #deps: DiskTierDeps;
  readonly #reading = new Map<string, Promise<Stored | Varies | undefined>>();

  constructor(deps: DiskTierDeps) {
    this.#deps = deps;
  }

  has(key: string): boolean {
    return this.#deps.disk.has(key);
  }
  used(key: string): void {
    this.#deps.disk.noteHit(key);
  }
  remove(key: string): void {
    this.#deps.disk.remove(key);
  }

  keep(stored: Stored): void {
    const { facts, key, body } = stored;
    if (!facts || facts.freshness.lifetimeMs < LIFETIME_MS_MIN) {
      this.#deps.disk.remove(key); // an older answer must not come back
      return;
    }
    const meta = this.#metaOf(stored);
    if (meta.length <= META_BYTES_MAX) void this.#deps.disk.put(key, meta, [body]);
    else this.#deps.disk.remove(key);
  }

  /** Answers of an address depend on these fields of the request: without this its variants are not found again. */
  keepVarying(primaryKey: string, names: readonly string[]): void {
    void this.#deps.disk.put(primaryKey, Buffer.from(JSON.stringify({ varies: names })), []);
  }

  /** It was found to hold still. */
  renewed(stored: Stored): void {
    if (this.#deps.disk.has(stored.key)) void this.#deps.disk.updateMeta(stored.key, this.#metaOf(stored));
  }

  /** Reads it once for all who want it; undefined when it is not there, or damaged. */
  read(key: string): Promise<Stored | Varies | undefined> {
    let reading = this.#reading.get(key);
    if (!reading) {
      reading = this.#read(key)
        .catch((error: unknown) => {
          this.#deps.log.debug({ err: error, key }, "an object on disk can't be read");
          return undefined;
        })
        .finally(() => this.#reading.delete(key));
      this.#reading.set(key, reading);
    }
    return reading;
  }

  async #read(key: string): Promise<Stored | Varies | undefined> {
    const object = await this.#deps.disk.open(key);
    if (!object) return undefined;
    try {
      const meta = JSON.parse(object.meta.toString()) as Meta | Varies; // written here, and verified by its checksum
      if ("varies" in meta) return meta;
      const body = this.#deps.allocate(object.sizeBytes);
      for (let at = 0; at < body.length; at += READ_BYTES) {
        await object.read(at, body.subarray(at, Math.min(body.length, at + READ_BYTES)));
      }
      this.#deps.disk.noteHit(key);
      return this.#storedOf(key, meta, body);
    } finally {
      object.close();
    }
  }

  #metaOf({ described, facts, purgeable, bornAtMs }: Stored): Buffer {
    if (!facts || !purgeable) throw new Error("bug: live media is not kept on disk");
    const { wallMs, nowMs } = this.#deps;
    const bornWallMs = Math.round(wallMs() - (nowMs() - bornAtMs));
    const { site, path, key, tags, seq } = purgeable;
    const meta: Meta = { status: described.status, ...facts, site, path, primaryKey: key, tags, seq, bornWallMs };
    return Buffer.from(JSON.stringify(meta));
  }

  #storedOf(key: string, meta: Meta, body: Buffer): Stored {
    const { via, nowMs, wallMs } = this.#deps;
    const { status, fields, varyNames, site, path, primaryKey, tags, seq, bornWallMs } = meta;
    // A clock that was set back must not make anything younger than it is.
    const initialAgeMs = Math.max(meta.freshness.initialAgeMs, wallMs() - bornWallMs);
    const freshness: Freshness = { ...meta.freshness, initialAgeMs };
    const described = describe(fields, { status, via, dateMs: bornWallMs });
    const purgeable = { site, path, key: primaryKey, tags, seq, checkedEpoch: 0 };
    return entryOf({ key, described, body, facts: { fields, freshness, varyNames }, purgeable }, nowMs());
  }
}
