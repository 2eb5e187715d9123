/**
 * A channel's creation as a persisted saga (P-04, P-05).
 *
 *   rows + saga + wanted placement  →  settle  →  some origin accepted: saga ends, 201 with failures
 *   (one transaction)                          →  none: channel marked deleted, saga ends, settle again → rows go, 502
 *
 * Whatever step a process dies at, another one finds the saga without its process, settles again and decides the same
 * way. A channel that is marked deleted needs no saga: its supervisor removes what is left, and its rows go with the
 * last origin.
 */
import { randomUUID } from "node:crypto";
import type { z } from "zod";
import { type Channel, channelDeleted, type createChannel, type Failure } from "../../contracts/channel.ts";
import { type OriginOutcome, supervisorKey } from "../../contracts/channel-supervisor.ts";
import { codeOf, fail } from "../../contracts/errors.ts";
import { streamIdOf } from "../../domain/slug/slug.ts";
import { wantPlacement } from "../../lib/actor/placement.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import { publishFact } from "../../lib/events/events.ts";
import type { Log } from "../../lib/log/log.ts";
import { originSource, unknownStreamer } from "./changes.ts";
import * as store from "./channel.store.ts";
import { announceChange, applyObserved, type ChannelRef, SUPERVISOR } from "./observation.ts";
import { readObserved } from "./observed.ts";
import { checkShape, checkSources, newSources, type SourceRules, sourcesOf, trustedUrlsOf } from "./sources.ts";
import { knownStreamers } from "./streamer-registry.store.ts";
import { channelView } from "./view.ts";

/** On whose behalf. */
export interface Who {
  readonly tenantId: string;
  readonly tenant: string;
  readonly requestId?: string | undefined;
}
export interface Written {
  readonly data: Channel;
  readonly failures: Failure[];
}
export type CreateInput = z.output<typeof createChannel.input>;

/** Asks the channel's supervisor to bring its origins to the rows. */
export type Settle = (
  who: Who,
  order: { channelId: number; push?: number[]; restart?: boolean },
) => Promise<readonly OriginOutcome[]>;

export interface CreationDeps {
  readonly db: Database;
  readonly log: Log;
  readonly settle: Settle;
  readonly sources: SourceRules;
  /** This process, as its lease has it; another one's sagas are taken over when its lease is gone. */
  readonly incarnation: () => string;
}

export const failuresOf = (outcomes: readonly OriginOutcome[]): Failure[] =>
  outcomes.flatMap(({ failure }) => (failure === null ? [] : [failure]));
/**
 * The streamer took the command; that its stream has already failed since, or that it was not heard of, is another
 * thing.
 */
const isAccepted = ({ failure }: OriginOutcome): boolean => failure === null;

/** Rows as they are now, for an answer; CHANNEL_NOT_FOUND when there are none (any more). */
export const viewOf = async (tx: Tx, channelId: number): Promise<Channel> => {
  const row = await store.channelById(tx, channelId);
  if (row === undefined || row.deletedAt !== null) return fail("CHANNEL_NOT_FOUND", { channelId });
  return channelView(row, await store.originsOf(tx, [channelId]));
};

/** Marks a channel deleted: from now on nobody sees it, and its supervisor takes its streams away. */
export const markDeleted = async (tx: Tx, ref: ChannelRef, version: number): Promise<void> => {
  await store.markDeleted(tx, ref.channelId);
  await store.endSaga(tx, ref.channelId);
  await publishFact(tx, channelDeleted, supervisorKey(ref), { ...ref, version: version + 1 });
};

export class Creation {
  readonly #deps: CreationDeps;
  /** Sagas that this process is at work on. */
  readonly #running = new Set<string>();

  constructor(deps: CreationDeps) {
    this.#deps = deps;
  }

  async create(who: Who, input: CreateInput): Promise<Written> {
    if (input.origins.length === 0) fail("NO_ORIGINS");
    const streamId = streamIdOf(input.name) ?? fail("CHANNEL_SLUG_EMPTY", { name: input.name });
    const earlier = await this.#earlier(who, input.idempotencyKey);
    if (earlier !== undefined) return this.#resume(who, sameRequest(earlier, streamId));
    const trustedUrls = trustedUrlsOf(input);
    checkShape({ ...input, trustedUrls });
    await checkSources(newSources(sourcesOf({ ...input, trustedUrls }), []), this.#deps.sources);
    const sagaId = randomUUID();
    this.#running.add(sagaId);
    try {
      const saved = await this.#deps.db.tenantTx(who.tenantId, (tx) =>
        this.#save(tx, who, { input, streamId, sagaId }),
      );
      if ("repeated" in saved) return await this.#resume(who, saved.repeated);
      return await this.#complete(who, saved.channelId, saved.unknown);
    } finally {
      this.#running.delete(sagaId);
    }
  }

  /** Finishes or undoes what other processes, and broken-off requests of this one, have left. */
  async sweep(tenant: { id: string; slug: string }): Promise<void> {
    const taken = { incarnation: this.#deps.incarnation(), running: [...this.#running] };
    const sagas = await this.#deps.db.tenantTx(tenant.id, (tx) => store.takeSagas(tx, taken));
    for (const { id, channelId } of sagas) {
      this.#running.add(id);
      try {
        await this.#complete({ tenantId: tenant.id, tenant: tenant.slug }, channelId, []);
        this.#deps.log.info({ channelId }, "channel: an interrupted creation was finished");
      } catch (error) {
        const undone = codeOf(error) === "ALL_ORIGINS_FAILED";
        if (undone) this.#deps.log.info({ channelId }, "channel: an interrupted creation was undone");
        else this.#deps.log.warn({ err: error, channelId }, "channel: an interrupted creation waits");
      } finally {
        this.#running.delete(id);
      }
    }
  }

  #earlier(who: Who, key: string | undefined): Promise<store.ChannelRow | undefined> {
    if (key === undefined) return Promise.resolve(undefined);
    return this.#deps.db.tenantTx(who.tenantId, async (tx) => {
      await store.freeOldKey(tx, key);
      return store.channelByIdempotencyKey(tx, key);
    });
  }

  async #save(
    tx: Tx,
    who: Who,
    { input, streamId, sagaId }: { input: CreateInput; streamId: string; sagaId: string },
  ): Promise<{ channelId: number; unknown: Failure[] } | { repeated: store.ChannelRow }> {
    const { tenantId } = who;
    const idempotencyKey = input.idempotencyKey ?? null;
    const channel = await store.insertChannel(tx, { tenantId, streamId, idempotencyKey, fields: fieldsOf(input) });
    if (channel === undefined) {
      const repeated = idempotencyKey === null ? undefined : await store.channelByIdempotencyKey(tx, idempotencyKey);
      return repeated === undefined ? slugTaken(tx, streamId) : { repeated: sameRequest(repeated, streamId) };
    }
    const ids = input.origins.map(({ streamerId }) => streamerId);
    const known = await knownStreamers(tx, ids);
    const unknown = ids.filter((id) => !known.has(id)).map(unknownStreamer);
    if (known.size === 0) return fail("ALL_ORIGINS_FAILED", { failures: unknown });
    const channelId = channel.id;
    const sources = { ingestConfig: input.ingestConfig, trustedUrls: trustedUrlsOf(input) };
    for (const origin of input.origins.filter((o) => known.has(o.streamerId))) {
      const { streamerId } = origin;
      await store.insertOrigin(tx, { tenantId, channelId, streamId, streamerId, ...originSource(sources, origin) });
    }
    await store.insertSaga(tx, { id: sagaId, channelId, tenantId, incarnation: this.#deps.incarnation() });
    await wantPlacement(tx, SUPERVISOR, supervisorKey({ tenantId, channelId }));
    await announceChange(tx, { tenantId, channelId }, channel.version);
    return { channelId, unknown };
  }

  /** A repeat of a request whose first answer got lost. */
  async #resume(who: Who, channel: store.ChannelRow): Promise<Written> {
    const left = await this.#deps.db.tenantTx(who.tenantId, async (tx) => ({
      running: await store.hasSaga(tx, channel.id),
      seen: readObserved((await store.runtimeOf(tx, channel.id))?.observed),
      data: await viewOf(tx, channel.id),
    }));
    if (left.running) return this.#complete(who, channel.id, []);
    return { data: left.data, failures: [...left.seen.values()].flatMap(({ failure }) => failure ?? []) };
  }

  async #complete(who: Who, channelId: number, unknown: readonly Failure[]): Promise<Written> {
    let outcomes: readonly OriginOutcome[];
    try {
      outcomes = await this.#deps.settle(who, { channelId });
    } catch (error) {
      // Nobody could tell what became of it: the caller gets an error, so nothing of it may stay.
      await this.#undo(who, channelId);
      throw error;
    }
    const failures = [...unknown, ...failuresOf(outcomes)];
    const data = outcomes.some(isAccepted) ? await this.#finish(who, channelId) : await this.#undo(who, channelId);
    return data === undefined ? fail("ALL_ORIGINS_FAILED", { failures }) : { data, failures };
  }

  #finish(who: Who, channelId: number): Promise<Channel> {
    const ref = { tenantId: who.tenantId, channelId };
    return this.#deps.db.tenantTx(who.tenantId, async (tx) => {
      await store.endSaga(tx, channelId);
      await applyObserved(tx, ref);
      return viewOf(tx, channelId);
    });
  }

  /** Undefined, or the channel where another process has finished it meanwhile. */
  async #undo(who: Who, channelId: number): Promise<Channel | undefined> {
    const { db, log, settle } = this.#deps;
    const ref = { tenantId: who.tenantId, channelId };
    const finished = await db.tenantTx(who.tenantId, async (tx) => {
      const channel = await store.lockChannel(tx, channelId);
      if (channel === undefined || channel.deletedAt !== null) return undefined;
      if (!(await store.endSaga(tx, channelId))) return viewOf(tx, channelId);
      await markDeleted(tx, ref, channel.version);
      return undefined;
    });
    if (finished !== undefined) return finished;
    try {
      await settle(who, { channelId });
      await db.tenantTx(who.tenantId, (tx) => applyObserved(tx, ref));
    } catch (error) {
      log.info({ err: error, channelId }, "channel: what a failed creation left is removed later");
    }
    return undefined;
  }
}

/** The gateway compares whole requests; what the row can tell is compared here as well. */
const sameRequest = (earlier: store.ChannelRow, streamId: string): store.ChannelRow =>
  earlier.streamId === streamId ? earlier : fail("IDEMPOTENCY_MISMATCH");

const slugTaken = async (tx: Tx, streamId: string): Promise<never> => {
  const holder = await store.channelByStreamId(tx, streamId);
  if (holder !== undefined && holder.deletedAt === null)
    return fail("CHANNEL_SLUG_TAKEN", { streamId, channelId: holder.id });
  // Nobody sees that channel any more; it may have gone between the two statements.
  const left = holder === undefined ? [] : await store.originsOf(tx, [holder.id]);
  const streamers = left.map(({ streamerId, message }) => `${streamerId}${message ? ` (${message})` : ""}`).join(", ");
  return fail("CHANNEL_SLUG_LEAVING", { streamId, streamers: streamers || "none, any moment" });
};

export const fieldsOf = (input: Omit<CreateInput, "origins" | "idempotencyKey">): store.ChannelFields => ({
  name: input.name,
  sid: input.sid ?? null,
  quality: input.quality ?? null,
  sourceType: input.sourceType,
  ingestConfig: input.ingestConfig,
  transcodeConfig: input.transcodeConfig ?? null,
});
