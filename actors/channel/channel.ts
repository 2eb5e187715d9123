/** What a channel does: its rows in one transaction, then its supervisor brings the streamers to them. */
import type { z } from "zod";
import type {
  addOrigin,
  ChannelStatus,
  Failure,
  Playback,
  patchChannel,
  removeOrigin,
  replaceChannel,
} from "../../contracts/channel.ts";
import type { OriginOutcome } from "../../contracts/channel-supervisor.ts";
import { codeOf, ERRORS, type FieldError, fail } from "../../contracts/errors.ts";
import { IngestConfig, TranscodeConfig } from "../../contracts/streamer.ts";
import { mergePatch } from "../../domain/payload/payload.ts";
import { dashUrlOf } from "../../domain/payload/playback-url.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import { idAfter, pageOf } from "../../lib/page.ts";
import { type ChannelState, planOrigins, stateOf } from "./changes.ts";
import * as store from "./channel.store.ts";
import { failuresOf, fieldsOf, markDeleted, type Settle, viewOf, type Who, type Written } from "./creation.ts";
import { announceChange, applyObserved } from "./observation.ts";
import { readObserved, type Seen } from "./observed.ts";
import {
  badFields,
  checkShape,
  checkSources,
  type NamedSource,
  neededUrl,
  newSources,
  type SourceRules,
  sourcesOf,
  trustedUrlsOf,
} from "./sources.ts";
import { knownStreamers, ownStreamers } from "./streamer-registry.store.ts";
import { channelView, type Live } from "./view.ts";

export interface ChannelsDeps {
  readonly db: Database;
  readonly settle: Settle;
  readonly sources: SourceRules;
  /** What an edge's URLs begin with, without a trailing slash. */
  readonly edgePublicUrl: string;
  /** What a streamer of ours said last about a stream; undefined where it was not heard of lately. */
  readonly heard: (
    streamer: { nodeId: string; ordinal: number },
    stream: { tenant: string; streamId: string },
  ) => Live | undefined;
}
type Ref = { readonly channelId: number; readonly ifVersion?: number | undefined };
interface Change {
  /** Pure: it may be made several times. */
  readonly compute: (now: ChannelState) => ChannelState;
  /** What else must hold, in the transaction that writes. */
  readonly check?: (tx: Tx) => Promise<void>;
}
type Changed = { readonly touched: number[]; readonly unknown: readonly Failure[] };

const LIST = "channels";
/** A change gives up when others bring sources that it has to look at as often as this. */
const CHANGE_TRIES_MAX = 10;

export class Channels {
  readonly #deps: ChannelsDeps;

  constructor(deps: ChannelsDeps) {
    this.#deps = deps;
  }

  list(
    who: Who,
    page: { cursor?: string | undefined; limit: number; status?: z.output<typeof ChannelStatus> | undefined },
  ) {
    const afterId = idAfter(LIST, page.cursor);
    return this.#deps.db.tenantTx(who.tenantId, async (tx) => {
      const found = await store.channelPage(tx, { afterId, rowCount: page.limit + 1, status: page.status ?? null });
      const { rows, nextCursor } = pageOf(LIST, found, page.limit);
      const ids = rows.map(({ id }) => id);
      const origins = ids.length === 0 ? [] : await store.originsOf(tx, ids);
      return { data: rows.map((row) => channelView(row, origins)), nextCursor };
    });
  }

  get(who: Who, { channelId }: Ref) {
    return this.#deps.db.tenantTx(who.tenantId, async (tx) => {
      const channel = await this.#visible(tx, channelId);
      const origins = await store.originsOf(tx, [channelId]);
      const seenOf = readObserved((await store.runtimeOf(tx, channelId))?.observed);
      const own = await ownStreamers(
        tx,
        origins.map(({ streamerId }) => streamerId),
      );
      const live = new Map<number, Live>();
      for (const origin of origins) {
        const streamer = own.find(({ id }) => id === origin.streamerId);
        const heard = streamer && this.#deps.heard(streamer, { tenant: who.tenant, streamId: origin.streamId });
        const word = heard ?? liveOf(seenOf.get(origin.id));
        if (word) live.set(origin.id, word);
      }
      return { data: channelView(channel, origins, live) };
    });
  }

  playback(who: Who, { channelId }: Ref): Promise<{ data: z.output<typeof Playback> }> {
    return this.#deps.db.tenantTx(who.tenantId, async (tx) => {
      const { id, streamId, status, origins } = await viewOf(tx, channelId);
      const base = `${this.#deps.edgePublicUrl.replace(/\/+$/, "")}/live/${who.tenant}/${streamId}`;
      const own = await ownStreamers(
        tx,
        origins.map(({ streamerId }) => streamerId),
      );
      return {
        data: {
          ...{ channelId: id, streamId, status },
          hls: `${base}/master.m3u8`,
          dash: `${base}/manifest.mpd`,
          origins: origins.map(({ id: originId, streamerId, status: originStatus, playbackUrl: hls }) => {
            // The document knows no DASH on castis nodes.
            const isOwn = own.some((streamer) => streamer.id === streamerId);
            return { originId, streamerId, status: originStatus, hls, dash: hls && isOwn ? dashUrlOf(hls) : null };
          }),
        },
      };
    });
  }

  replace(who: Who, input: z.output<typeof replaceChannel.input>): Promise<Written> {
    const compute = (now: ChannelState) => ({
      fields: fieldsOf(input),
      origins: input.origins,
      trustedUrls: trustedUrlsOf(input, now.trustedUrls),
    });
    return this.#change(who, input, { compute });
  }

  patch(who: Who, input: z.output<typeof patchChannel.input>): Promise<Written> {
    const compute = (now: ChannelState): ChannelState => {
      const { fields } = now;
      const ingestConfig = mergePatch(fields.ingestConfig, input.ingestConfig ?? {});
      const transcoded = input.transcodeConfig === undefined ? {} : input.transcodeConfig;
      const transcodeConfig =
        fields.transcodeConfig === null && input.transcodeConfig === undefined
          ? null
          : mergePatch(fields.transcodeConfig, transcoded);
      return {
        fields: {
          name: input.name ?? fields.name,
          sid: input.sid === undefined ? fields.sid : input.sid,
          quality: input.quality === undefined ? fields.quality : input.quality,
          sourceType: input.sourceType ?? fields.sourceType,
          ingestConfig: parsed(IngestConfig, "ingestConfig", ingestConfig),
          transcodeConfig:
            transcodeConfig === null ? null : parsed(TranscodeConfig, "transcodeConfig", transcodeConfig),
        },
        origins: input.origins ?? now.origins,
        trustedUrls: trustedUrlsOf(input, now.trustedUrls),
      };
    };
    return this.#change(who, input, { compute });
  }

  async delete(who: Who, input: Ref): Promise<{ data: { id: number; leftovers: Failure[] } }> {
    const { channelId } = input;
    const ref = { tenantId: who.tenantId, channelId };
    await this.#deps.db.tenantTx(who.tenantId, async (tx) => {
      const channel = await this.#locked(tx, input);
      await markDeleted(tx, ref, channel.version);
    });
    const id = channelId;
    try {
      const outcomes = await this.#deps.settle(who, { channelId });
      await this.#deps.db.tenantTx(who.tenantId, (tx) => applyObserved(tx, ref));
      return { data: { id, leftovers: failuresOf(outcomes) } };
    } catch (error) {
      // It is deleted all the same: whoever owns it next removes its streams, or has done so meanwhile.
      const left = await this.#deps.db.tenantTx(who.tenantId, (tx) => store.originsOf(tx, [channelId]));
      return { data: { id, leftovers: left.map(({ streamerId }) => silence(streamerId, error)) } };
    }
  }

  start(who: Who, { channelId }: Ref): Promise<Written> {
    return this.#turn(who, channelId, "running");
  }

  stop(who: Who, { channelId }: Ref): Promise<Written> {
    return this.#turn(who, channelId, "stopped");
  }

  async restart(who: Who, { channelId }: Ref): Promise<Written> {
    await this.#deps.db.tenantTx(who.tenantId, (tx) => this.#visible(tx, channelId));
    const outcomes = await this.#deps.settle(who, { channelId, restart: true });
    return { data: await this.#applied(who, channelId), failures: failuresOf(outcomes) };
  }

  addOrigin(who: Who, input: z.output<typeof addOrigin.input>): Promise<Written> {
    const { channelId, streamerId, ingestUrl, trusted } = input;
    const compute = (now: ChannelState): ChannelState => {
      if (now.origins.some((origin) => origin.streamerId === streamerId))
        return fail("ORIGIN_TAKEN", { channelId, streamerId });
      neededUrl({ ingestConfig: now.fields.ingestConfig, ingestUrl: ingestUrl ?? null }, "ingestUrl");
      return {
        ...now,
        origins: [...now.origins, { streamerId, ingestUrl }],
        trustedUrls: trustedUrlsOf({ trusted, origins: [{ ingestUrl }] }, now.trustedUrls),
      };
    };
    const check = async (tx: Tx): Promise<void> => {
      if (!(await knownStreamers(tx, [streamerId])).has(streamerId)) fail("STREAMER_NOT_FOUND", { streamerId });
    };
    return this.#change(who, { channelId }, { compute, check });
  }

  async removeOrigin(who: Who, input: z.output<typeof removeOrigin.input>): Promise<Written> {
    const { channelId, originId } = input;
    await this.#deps.db.tenantTx(who.tenantId, async (tx) => {
      const { version } = await this.#locked(tx, { channelId });
      const present = (await store.originsOf(tx, [channelId])).filter(({ wanted }) => wanted === "present");
      if (!present.some(({ id }) => id === originId)) return fail("ORIGIN_NOT_FOUND", { channelId, originId });
      if (present.length === 1) return fail("LAST_ORIGIN");
      await store.wantAbsent(tx, [originId]);
      await store.touchChannel(tx, channelId);
      await announceChange(tx, { tenantId: who.tenantId, channelId }, version + 1);
    });
    return this.#settled(who, channelId, [originId]);
  }

  async #visible(tx: Tx, channelId: number): Promise<store.ChannelRow> {
    const channel = await store.channelById(tx, channelId);
    return channel === undefined || channel.deletedAt !== null ? fail("CHANNEL_NOT_FOUND", { channelId }) : channel;
  }

  async #locked(tx: Tx, { channelId, ifVersion }: Ref): Promise<store.ChannelRow> {
    const channel = await store.lockChannel(tx, channelId);
    if (channel === undefined || channel.deletedAt !== null) return fail("CHANNEL_NOT_FOUND", { channelId });
    if (ifVersion !== undefined && ifVersion !== channel.version)
      return fail("VERSION_CONFLICT", { version: channel.version });
    return channel;
  }

  /**
   * Computed and written with the channel locked: of changes at once each is made, one after the other. Sources that
   * the channel does not have yet are looked at outside of any transaction, as host names are resolved.
   */
  async #change(who: Who, ref: Ref, change: Change): Promise<Written> {
    const checked: NamedSource[] = [];
    for (let tries = 1; tries <= CHANGE_TRIES_MAX; tries += 1) {
      const result = await this.#deps.db.tenantTx(who.tenantId, (tx) => this.#try(tx, who, { ref, change, checked }));
      if ("touched" in result) return this.#settled(who, ref.channelId, result.touched, result.unknown);
      await checkSources(result.unchecked, this.#deps.sources);
      checked.push(...result.unchecked);
    }
    return fail("MAILBOX_FULL", { key: `channel ${ref.channelId}` });
  }

  async #try(
    tx: Tx,
    who: Who,
    { ref, change, checked }: { ref: Ref; change: Change; checked: readonly NamedSource[] },
  ): Promise<Changed | { readonly unchecked: NamedSource[] }> {
    const channel = await this.#locked(tx, ref);
    const origins = await store.originsOf(tx, [channel.id]);
    const now = stateOf(channel, origins);
    const next = change.compute(now);
    if (next.origins.length === 0) return fail("NO_ORIGINS");
    checkShape({ ...next.fields, ...next });
    const had = sourcesOf({ ...now.fields, ...now });
    const unchecked = newSources(sourcesOf({ ...next.fields, ...next }), [...had, ...checked]);
    if (unchecked.length > 0) return { unchecked };
    await change.check?.(tx);
    return this.#write(tx, who, { channel, origins, next });
  }

  async #write(
    tx: Tx,
    { tenantId }: Who,
    { channel, origins, next }: { channel: store.ChannelRow; origins: store.OriginRow[]; next: ChannelState },
  ): Promise<Changed> {
    const { id: channelId, streamId } = channel;
    const known = await knownStreamers(
      tx,
      next.origins.map(({ streamerId }) => streamerId),
    );
    const after = { ...next, configs: next.fields };
    const { kept, removed, added, unknown } = planOrigins({ configs: channel, origins }, after, known);
    if (kept.length + added.length === 0) return fail("NO_ORIGINS", { failures: unknown });
    await store.updateChannel(tx, channelId, next.fields);
    for (const origin of kept) await store.updateOrigin(tx, origin);
    await store.wantAbsent(tx, removed);
    const fresh: number[] = [];
    for (const origin of added) fresh.push(await store.insertOrigin(tx, { tenantId, channelId, streamId, ...origin }));
    await announceChange(tx, { tenantId, channelId }, channel.version + 1);
    const touched = kept.filter((origin) => origin.touched).map(({ id }) => id);
    return { touched: [...touched, ...removed, ...fresh], unknown };
  }

  async #turn(who: Who, channelId: number, wanted: store.ChannelRow["wanted"]): Promise<Written> {
    const push = await this.#deps.db.tenantTx(who.tenantId, async (tx) => {
      const { version } = await this.#locked(tx, { channelId });
      await store.setWanted(tx, channelId, wanted);
      await announceChange(tx, { tenantId: who.tenantId, channelId }, version + 1);
      return (await store.originsOf(tx, [channelId])).map(({ id }) => id);
    });
    return this.#settled(who, channelId, push);
  }

  /** After a change of rows: pushes what it touched. The change stands even if nobody can be told of it now. */
  async #settled(
    who: Who,
    channelId: number,
    ...[touched, unknown = []]: [touched: number[], unknown?: readonly Failure[]]
  ): Promise<Written> {
    if (touched.length === 0) {
      const data = await this.#deps.db.tenantTx(who.tenantId, (tx) => viewOf(tx, channelId));
      return { data, failures: [...unknown] };
    }
    const failures = await this.#pushed(who, channelId, touched);
    return { data: await this.#applied(who, channelId), failures: [...unknown, ...failures] };
  }

  async #pushed(who: Who, channelId: number, touched: number[]): Promise<Failure[]> {
    let outcomes: readonly OriginOutcome[];
    try {
      outcomes = await this.#deps.settle(who, { channelId, push: touched });
    } catch (error) {
      const origins = await this.#deps.db.tenantTx(who.tenantId, (tx) => store.originsOf(tx, [channelId]));
      return origins.filter(({ id }) => touched.includes(id)).map(({ streamerId }) => silence(streamerId, error));
    }
    return failuresOf(outcomes.filter(({ originId }) => touched.includes(originId)));
  }

  #applied(who: Who, channelId: number) {
    return this.#deps.db.tenantTx(who.tenantId, async (tx) => {
      await applyObserved(tx, { tenantId: who.tenantId, channelId });
      return viewOf(tx, channelId);
    });
  }
}

/** The supervisor did not answer; what it would have done is done as soon as there is one again. */
const silence = (streamerId: number, error: unknown): Failure => {
  const code = codeOf(error);
  if (code === undefined || !ERRORS[code].retry) throw error;
  return { streamerId, status: 0, message: `not told yet: ${(error as Error).message}` };
};

/** Castis nodes say no more than that a stream is there. */
const STATE_OF_STATUS = {
  pending: "starting",
  active: "live",
  failed: "failed",
  stopped: "stopped",
  conflict: "failed",
} as const satisfies Record<Seen["status"], Live["state"]>;

const liveOf = (seen: Seen | undefined): Live | undefined =>
  seen && {
    state: seen.state ?? STATE_OF_STATUS[seen.status],
    observedAt: new Date(seen.observedAtMs).toISOString(),
    lastSegmentNumber: null,
    startCount: null,
    message: seen.message,
  };

const parsed = <S extends z.ZodType>(schema: S, field: string, value: unknown): z.output<S> => {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues.map(
    ({ path, message }): FieldError => ({ path: [field, ...path].join("."), message }),
  );
  return badFields(...errors);
};
