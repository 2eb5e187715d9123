/**
 * The origins of one site: which one is asked, what happens when it fails, and what is remembered of that. Parents
 * (shield edges) come first, each key at its own one; then the site's origins by order and weight; those that are down
 * last, the one that rested longest before the others.
 */
import { SourceOrigin } from "../../source/source-origin.ts";
import { UpstreamError } from "../upstream.ts";
import { RetryBudget } from "./budget.ts";
import type { AllowedNetworks } from "./connect.ts";
import {
  ORIGIN_TIMEOUTS,
  type Origin,
  type OriginAnswer,
  type OriginRequest,
  type OriginTimeouts,
} from "./contract.ts";
import { HttpOrigin, type HttpOriginOptions } from "./http-origin.ts";
import { Member, type MemberOptions } from "./member.ts";
import { byOrderAndWeight, byRendezvous } from "./order.ts";
import { Probes } from "./probes.ts";
import { Race } from "./race.ts";
import type {
  AskOptions,
  ContentOrigin,
  OriginHealth,
  OriginSetOptions,
  PackagerOrigin,
  UrlOrigin,
} from "./set-options.ts";

const HEDGE_MIN_MS = 50;
/** Packagers that are gone and still remembered: their address may come back, with what is known of it. */
const GONE_MAX = 32;

/** One line of the configuration: an origin, or the packagers that there are. */
interface Entry {
  readonly order: number;
  readonly weight: number;
  /** Those that may be asked, the best for the key first. */
  readonly membersFor: (key: string) => readonly Member[];
}

export class OriginSet {
  readonly #options: OriginSetOptions;
  readonly #timeouts: OriginTimeouts;
  readonly #budget: RetryBudget;
  readonly #probes: Probes;
  readonly #parents: readonly Member[];
  readonly #entries: readonly Entry[];
  /** By id: all but the parents. */
  readonly #members = new Map<string, Member>();
  #isClosed = false;

  constructor(options: OriginSetOptions) {
    const { origins, parents = [], site } = options;
    this.#options = options;
    this.#timeouts = { ...ORIGIN_TIMEOUTS, ...options.timeouts };
    this.#budget = new RetryBudget(options.nowMs());
    this.#probes = new Probes(options);
    const host = { from: "request", otherwise: site } as const;
    this.#parents = parents.map(({ id, url }) => {
      const place = { id: `parent:${id}`, kind: "parent" } as const;
      return new Member({ ...place, origin: this.#http({ id: place.id, url, host }) }, options.nowMs);
    });
    this.#entries = origins.map((origin) => this.#entry(origin));
  }

  /**
   * The head of an answer, and the way to its body. Rejects with the UpstreamError of the last origin when none
   * answers (`connect` when there is none to ask), or with the signal's reason.
   */
  async ask(request: OriginRequest, options: AskOptions = {}): Promise<OriginAnswer> {
    const { signal, only, firstByteMs = this.#timeouts.firstByteMs, hedge = true } = options;
    const { hedgeMinMs = HEDGE_MIN_MS, nowMs } = this.#options;
    if (this.#isClosed) throw new UpstreamError("busy", new Error("the site's origins are closed"));
    const members = only === undefined ? this.#inOrder(request, options.avoid) : this.#only(only);
    const mayHedge = hedge && members.length > 1 && !request.body && /^(?:GET|HEAD)$/.test(request.method);
    this.#budget.earn();
    if (only === undefined) this.#probes.probeDue(members, request);
    return new Race(request, {
      members,
      firstByteMs,
      hedgeMinMs: mayHedge ? hedgeMinMs : undefined,
      signal,
      spend: () => this.#budget.spend(nowMs()),
      nowMs,
    }).run();
  }

  /** What is known of each. */
  health(): readonly OriginHealth[] {
    return this.#all().map(({ id, kind, condition: { isUp, firstByteMs, usualMs } }) => ({
      ...{ id, kind, isUp, firstByteMs, usualMs },
    }));
  }

  /** Ends everything under way, and what is asked from now on. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#probes.close();
    await Promise.all(this.#all().map((member) => member.close()));
  }

  #all(): readonly Member[] {
    return [...this.#parents, ...this.#members.values()];
  }

  #only(id: string): readonly Member[] {
    const member = this.#members.get(id) ?? this.#parents.find((parent) => parent.id === id);
    return member ? [member] : [];
  }

  #inOrder({ key }: OriginRequest, avoid: ReadonlySet<string> | undefined): readonly Member[] {
    const entries = byOrderAndWeight(this.#entries, this.#options.random);
    const all = [...byRendezvous(this.#parents, key), ...entries.flatMap(({ membersFor }) => membersFor(key))];
    const asked = avoid ? all.filter(({ id }) => !avoid.has(id)) : all;
    if (asked.every(({ condition }) => condition.isUp)) return asked;
    const resting = asked.filter(({ condition }) => !condition.isUp);
    resting.sort((one, other) => one.condition.askedAtMs - other.condition.askedAtMs);
    return [...asked.filter(({ condition }) => condition.isUp), ...resting];
  }

  #entry(origin: UrlOrigin | ContentOrigin | PackagerOrigin): Entry {
    const place = { order: origin.order ?? 0, weight: origin.weight ?? 1 };
    if ("plexbd" in origin) return { ...place, membersFor: (key) => byRendezvous(this.#packagers(origin.id), key) };
    const member = this.#add({ id: origin.id, kind: "origin", origin: this.#placeOf(origin) });
    const { health } = this.#options;
    if (health && "url" in origin) this.#probes.check(member, health);
    return { ...place, membersFor: () => [member] };
  }

  #placeOf(origin: UrlOrigin | ContentOrigin): Origin {
    const { id } = origin;
    if ("source" in origin) return new SourceOrigin({ id, source: origin.source, nowMs: this.#options.nowMs });
    return this.#http({ id, url: origin.url, host: origin.hostHeader, ca: origin.ca });
  }

  /** Those of the moment. */
  #packagers(entryId: string): readonly Member[] {
    const urls = this.#options.packagers?.() ?? [];
    const ids = urls.map((url) => `${entryId}:${url}`);
    if (this.#members.size > urls.length + this.#entries.length + GONE_MAX) this.#forget(entryId, new Set(ids));
    return urls.map((url, at) => {
      const id = ids[at]!; // one for each URL
      return this.#members.get(id) ?? this.#add({ id, kind: "packager", origin: this.#http({ id, url }) });
    });
  }

  /** Who still reads from one that is gone reads on; its kept connections end by themselves. */
  #forget(entryId: string, ids: ReadonlySet<string>): void {
    for (const { id, kind } of this.#members.values()) {
      if (kind === "packager" && id.startsWith(`${entryId}:`) && !ids.has(id)) this.#members.delete(id);
    }
  }

  #add(options: MemberOptions): Member {
    const member = new Member(options, this.#options.nowMs);
    this.#members.set(member.id, member);
    return member;
  }

  #http(options: Pick<HttpOriginOptions, "id" | "url" | "host" | "ca">): HttpOrigin {
    const { allowPrivateSources = [], connectionsMax, nowMs, trusted } = this.#options;
    const allowed: AllowedNetworks = trusted ? null : allowPrivateSources;
    return new HttpOrigin({ ...options, allowed, connectionsMax, timeouts: this.#timeouts, nowMs });
  }
}
