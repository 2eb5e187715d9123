/**
 * Keys of titles, from the key server. What was told is kept, and used for as long as nobody tells anything else: a
 * packager goes on without the control plane.
 */
import { LRUCache } from "lru-cache";
import type { ServiceBroker } from "moleculer";
import { fail } from "../../../contracts/errors.ts";
import { contentKey as askForKey, FORMER_KEYS_MAX } from "../../../contracts/keyserver.ts";
import { send } from "../../../lib/actor/contract.ts";
import type { Clock } from "../../../lib/clock.ts";
import { type ContentKey, constantIv } from "../../../lib/crypto/content-keys.ts";

export interface TitleKey {
  /** Number of the key: part of its address. */
  readonly generation: number;
  readonly key: ContentKey;
  /** For `cbcs`. */
  readonly constantIv: Buffer;
}

export interface TitleName {
  readonly tenantId: string;
  readonly contentId: string;
}

/** Where keys come from. */
export interface ContentKeys {
  keyOf(title: TitleName): Promise<ToldKeys>;
}
export type NumberedKey = Pick<TitleKey, "generation" | "key">;
/** The present key, and what is known of former ones, the latest first. */
export interface ToldKeys extends NumberedKey {
  readonly former?: readonly NumberedKey[];
}

/** What is known of a title's keys, the present one first. */
export interface KnownKeys {
  readonly keys: readonly [TitleKey, ...TitleKey[]];
  seenMs: number;
}

const KEPT_MS = 600_000;
/** For who asks for what was made with a key that is not known here. */
const ANEW_MS = 5_000;
const TITLES_MAX = 20_000;

export class KeptKeys {
  readonly #source: ContentKeys;
  readonly #clock: Clock;
  readonly #known = new LRUCache<string, KnownKeys>({ max: TITLES_MAX });
  readonly #going = new Map<string, Promise<KnownKeys>>();

  constructor(source: ContentKeys, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** Without waiting; what is old is asked for again meanwhile. */
  recent(title: TitleName): KnownKeys | undefined {
    const known = this.#known.get(nameOf(title));
    if (known && this.#isOlder(known, KEPT_MS)) this.#renew(title).catch(() => {}); // the known one goes on
    return known;
  }

  /** Rejects as the source does where none is known. */
  async keysOf(title: TitleName): Promise<KnownKeys> {
    return this.recent(title) ?? this.#renew(title);
  }

  /** Asked for again, unless that was done just now. */
  async anew(title: TitleName): Promise<KnownKeys> {
    const known = this.#known.get(nameOf(title));
    if (!known || this.#isOlder(known, ANEW_MS)) return this.#renew(title).catch((error: unknown) => or(known, error));
    return known;
  }

  #isOlder({ seenMs }: KnownKeys, ms: number): boolean {
    return this.#clock.nowMs() - seenMs > ms;
  }

  #renew(title: TitleName): Promise<KnownKeys> {
    const name = nameOf(title);
    const joined = this.#going.get(name);
    if (joined) return joined;
    const going = this.#ask(title).finally(() => this.#going.delete(name));
    this.#going.set(name, going);
    return going;
  }

  async #ask(title: TitleName): Promise<KnownKeys> {
    const name = nameOf(title);
    const before = this.#known.get(name);
    if (before) before.seenMs = this.#clock.nowMs(); // whatever comes of it: not at each request
    const { generation, key, former: told = [] } = await this.#source.keyOf(title);
    const seenMs = this.#clock.nowMs();
    const [present] = before?.keys ?? [];
    if (before && present?.generation === generation && present.key.key.equals(key.key)) {
      before.seenMs = seenMs;
      return before;
    }
    const made = (one: NumberedKey): TitleKey => ({ ...one, constantIv: constantIv(one.key, title.contentId) });
    const all = [...(before?.keys ?? []), ...told.map(made)];
    const former = new Map(all.filter((one) => one.generation !== generation).map((one) => [one.generation, one]));
    const latest = [...former.values()].toSorted((a, b) => b.generation - a.generation).slice(0, FORMER_KEYS_MAX);
    const known: KnownKeys = { keys: [made({ generation, key }), ...latest], seenMs };
    this.#known.set(name, known);
    return known;
  }
}

const nameOf = ({ tenantId, contentId }: TitleName): string => `${tenantId} ${contentId}`;

const or = (known: KnownKeys | undefined, error: unknown): KnownKeys => {
  if (known) return known;
  throw error;
};

/** Keys as the platform's key server tells them; without a bus there are none. */
export const keysOverBus = (broker: ServiceBroker | null): ContentKeys => ({
  async keyOf({ tenantId, contentId }) {
    if (broker === null) return fail("STARTING", { what: "A key server" });
    const { former = [], ...present } = await send(broker, askForKey, { tenantId, contentId });
    return { ...keyIn(present), former: former.map(keyIn) };
  },
});

const keyIn = (told: { readonly generation: number; readonly key: string; readonly keyId: string }): NumberedKey => ({
  generation: told.generation,
  key: { key: Buffer.from(told.key, "base64"), keyId: Buffer.from(told.keyId, "base64") },
});
