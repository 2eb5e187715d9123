/**
 * What was purged, by generations: a purge notes the number that it has in the order of purges, and each object carries
 * the number of the last purge before it was fetched. Nothing is looked up or touched when something is purged, however
 * many objects it concerns; an object is checked when it is hit, once after each purge.
 *
 * Bounded: beyond the limit the oldest purge is folded into one of its whole site, and that of a site into one of
 * everything. This purges more than was asked for, never less.
 */

/** Hard: the object is gone. Soft: it counts as stale, so it may be validated, and serve while an origin is down. */
export type PurgeMode = "soft" | "hard";

/** What is purged, of one site. */
export type PurgeTarget =
  | { readonly kind: "site" }
  | { readonly kind: "tag"; readonly tag: string }
  /** `/a` means `/a` and what is below `/a/`, not `/ab`; `/a*` means all that begins with `/a`; `/a/` what is below. */
  | { readonly kind: "prefix"; readonly prefix: string }
  | { readonly kind: "key"; readonly key: string };

export interface Purge {
  readonly site: string;
  readonly target: PurgeTarget;
  readonly mode: PurgeMode;
}

/** Tags of an object that count. */
export const TAGS_MAX = 32;

/** What an object must say of itself. */
export interface Purgeable {
  readonly site: string;
  /** Path of the URL, without the query. */
  readonly path: string;
  /** The cache key without what tells variants apart. */
  readonly key: string;
  readonly tags: readonly string[];
  /** `Purges.seq` when it was asked of the origin, or when it was last validated; it survives restarts. */
  readonly seq: number;
  /** The memory of `verdict`: 0 at first, and for an object that comes from the disk. */
  checkedEpoch: number;
}

export type Verdict = "valid" | "stale" | "gone";

/** The number of the last purge of each mode; 0 for none. */
interface Generations {
  soft: number;
  hard: number;
}

interface Site {
  readonly whole: Generations;
  readonly tags: Map<string, Generations>;
  readonly keys: Map<string, Generations>;
  /** Whole paths. */
  readonly paths: Map<string, Generations>;
  /** Prefixes that end with a slash: looked up at each slash of a path that one is as long as. */
  readonly folders: ByLength;
  /** Other beginnings: as many look-ups as there are lengths. */
  readonly beginnings: ByLength;
}

/** By length first: to cut a piece of a path out and hash it costs more than all else. */
type ByLength = Map<number, Map<string, Generations>>;

/** More lengths of `/a*` prefixes than this in one site are folded: each costs every check a look-up. */
const BEGINNING_LENGTHS_MAX = 32;

/** A place where a generation is looked up. */
interface Cell {
  readonly map: Map<string, Generations>;
  readonly name: string;
}

/** A purge with its number. */
export interface NumberedPurge extends Purge {
  readonly seq: number;
}

/** The tag, prefix or key; empty for a site. */
export const nameOf = (target: PurgeTarget): string => {
  if (target.kind === "tag") return target.tag;
  if (target.kind === "prefix") return target.prefix;
  return target.kind === "key" ? target.key : "";
};
/** The same for two purges when the later one makes the earlier one superfluous. */
const idOf = ({ site, target, mode }: Purge): string => JSON.stringify([site, target.kind, nameOf(target), mode]);

export class PurgeTable {
  readonly #purgesMax: number;
  readonly #sites = new Map<string, Site>();
  readonly #everything: Generations;
  /** Every purge that counts, the oldest first but for sites that others were folded into. */
  readonly #purges = new Map<string, NumberedPurge>();
  #epoch: number;

  /** `everything`: purges of all sites, as they were kept; `epoch`: the last purge's number. */
  constructor(options: { purgesMax: number; epoch: number; everything: Readonly<Generations> }) {
    this.#purgesMax = options.purgesMax;
    this.#epoch = options.epoch;
    this.#everything = { ...options.everything };
  }

  /** The number of the last purge. */
  get epoch(): number {
    return this.#epoch;
  }
  get everything(): Readonly<Generations> {
    return this.#everything;
  }
  /** All that must be kept to be what it is, beside `everything` and `epoch`. */
  get purges(): Iterable<NumberedPurge> {
    return this.#purges.values();
  }
  get purgeCount(): number {
    return this.#purges.size;
  }

  /** Notes a purge; its number. */
  add(purge: Purge): NumberedPurge {
    const numbered = { ...purge, seq: this.#epoch + 1 };
    this.restore(numbered);
    return numbered;
  }

  /** Notes a purge that has its number already. */
  restore(purge: NumberedPurge): void {
    this.#epoch = Math.max(this.#epoch, purge.seq);
    this.#note(purge);
    while (this.#purges.size > this.#purgesMax) {
      const [oldest] = this.#purges.values();
      if (oldest) this.#fold(oldest);
    }
  }

  /** What purges mean for an object. One comparison when nothing was purged since it was last found valid. */
  verdict(object: Purgeable): Verdict {
    if (object.checkedEpoch === this.#epoch) return "valid";
    const { soft, hard } = this.#lastFor(object);
    if (object.seq < hard) return "gone";
    if (object.seq < soft) return "stale";
    object.checkedEpoch = this.#epoch;
    return "valid";
  }

  #lastFor({ site: name, tags, path, key }: Purgeable): Generations {
    const last = { ...this.#everything };
    const site = this.#sites.get(name);
    if (!site) return last;
    const take = (generations: Generations | undefined): void => {
      if (!generations) return;
      last.soft = Math.max(last.soft, generations.soft);
      last.hard = Math.max(last.hard, generations.hard);
    };
    take(site.whole);
    if (site.keys.size > 0) take(site.keys.get(key));
    if (site.paths.size > 0) take(site.paths.get(path));
    if (site.tags.size > 0) for (const tag of tags) take(site.tags.get(tag));
    if (site.folders.size > 0) {
      for (let end = path.indexOf("/") + 1; end > 0; end = path.indexOf("/", end) + 1) {
        const folders = site.folders.get(end);
        if (folders) take(folders.get(path.slice(0, end)));
      }
    }
    for (const [length, beginnings] of site.beginnings) {
      if (length <= path.length) take(beginnings.get(path.slice(0, length)));
    }
    return last;
  }

  #note(purge: NumberedPurge): void {
    const { site: name, target, mode, seq } = purge;
    const id = idOf(purge);
    this.#purges.delete(id); // so that it moves to the end
    this.#purges.set(id, purge);
    const site = this.#siteOf(name);
    if (target.kind === "site") site.whole[mode] = Math.max(site.whole[mode], seq);
    for (const { map, name: cell } of cellsOf(site, target)) {
      const generations = map.get(cell) ?? { soft: 0, hard: 0 };
      map.set(cell, generations);
      generations[mode] = Math.max(generations[mode], seq);
    }
    if (site.beginnings.size > BEGINNING_LENGTHS_MAX) this.#foldOldestBeginning(name);
  }

  #siteOf(name: string): Site {
    const known = this.#sites.get(name);
    if (known) return known;
    const site: Site = {
      whole: { soft: 0, hard: 0 },
      tags: new Map(),
      keys: new Map(),
      paths: new Map(),
      folders: new Map(),
      beginnings: new Map(),
    };
    this.#sites.set(name, site);
    return site;
  }

  /** All purges are looked at, as it is rare: an operator does not think in 33 lengths. */
  #foldOldestBeginning(site: string): void {
    const oldest = [...this.#purges.values()].find((purge) => purge.site === site && isBeginning(purge.target));
    if (oldest) this.#fold(oldest);
  }

  #fold(purge: NumberedPurge): void {
    const { site: name, target, mode, seq } = purge;
    this.#purges.delete(idOf(purge));
    if (target.kind === "site") {
      this.#everything[mode] = Math.max(this.#everything[mode], seq);
      return;
    }
    const site = this.#siteOf(name);
    for (const { map, name: cell } of cellsOf(site, target)) {
      const generations = map.get(cell);
      // Another purge may have raised it since: `/a` and `/a/` have a cell in common.
      if (generations?.[mode] === seq) generations[mode] = 0;
      if (generations?.soft === 0 && generations.hard === 0) map.delete(cell);
    }
    for (const byLength of [site.folders, site.beginnings]) {
      for (const [length, ofLength] of byLength) if (ofLength.size === 0) byLength.delete(length);
    }
    if (site.whole[mode] < seq) this.#note({ site: name, target: { kind: "site" }, mode, seq });
  }
}

const isBeginning = (target: PurgeTarget): boolean => target.kind === "prefix" && target.prefix.endsWith("*");

/** Where a purge of less than a site is looked up. */
const cellsOf = (site: Site, target: PurgeTarget): Cell[] => {
  if (target.kind === "tag") return [{ map: site.tags, name: target.tag }];
  if (target.kind === "key") return [{ map: site.keys, name: target.key }];
  if (target.kind === "site") return [];
  const { prefix } = target;
  if (prefix.endsWith("*")) return [cellOf(site.beginnings, prefix.slice(0, -1))];
  if (prefix.endsWith("/")) return [cellOf(site.folders, prefix)];
  return [{ map: site.paths, name: prefix }, cellOf(site.folders, `${prefix}/`)];
};

const cellOf = (byLength: ByLength, name: string): Cell => {
  const map = byLength.get(name.length) ?? new Map<string, Generations>();
  byLength.set(name.length, map);
  return { map, name };
};
