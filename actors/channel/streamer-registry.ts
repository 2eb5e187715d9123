/** The list of streamers: our own register themselves by reporting, castis nodes are entered and looked after. */
import type { z } from "zod";
import type { createStreamer, patchStreamer, Streamer } from "../../contracts/channel.ts";
import { codeOf, ERRORS, fail } from "../../contracts/errors.ts";
import type { StreamerReported } from "../../contracts/streamer.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import { idAfter, pageOf } from "../../lib/page.ts";
import * as channels from "./channel.store.ts";
import { forget } from "./observation.ts";
import type { Probe } from "./probe.ts";
import { checkBaseUrl, checkTemplate, type SourceRules } from "./sources.ts";
import * as store from "./streamer-registry.store.ts";
import { isRunning, streamerView } from "./view.ts";

export interface RegistryDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly sources: SourceRules;
  /** True when a castis node answers. */
  readonly probe: Probe;
}
/** The tenant that asks; `admin`: its key has platform:admin. */
export interface Asker {
  readonly tenantId: string;
  readonly admin: boolean;
}

const LIST = "streamers";
const OWN_TEMPLATE = "{base}/live/{tenant}/{streamId}/master.m3u8";
/** The playback document leaves castis nodes' URLs open; an entry may name its own template (P-12). */
const CASTIS_TEMPLATE = "{base}/live/{streamId}/master.m3u8";
/** Rows of ours are written at most this often while nothing but the time changes. */
const NOTE_EVERY_MS = 3_000;
/** Castis nodes that answered within this time are not asked again (by any node of ours). */
const PROBE_EVERY_MS = 15_000;
const PROBES_AT_ONCE_MAX = 16;

export class StreamerRegistry {
  readonly #deps: RegistryDeps;
  readonly #noted = new Map<string, { what: string; atMs: number }>();

  constructor(deps: RegistryDeps) {
    this.#deps = deps;
  }

  async create({ tenantId }: Asker, input: z.output<typeof createStreamer.input>): Promise<{ data: Streamer }> {
    const { trusted, platform } = input;
    if (platform && !trusted) fail("SCOPE_MISSING", { scope: "platform:admin" });
    const rules = { ...this.#deps.sources, trusted };
    const baseUrl = await checkBaseUrl(input.baseUrl, rules);
    const template = input.playbackUrlTemplate ?? CASTIS_TEMPLATE;
    const playbackUrlTemplate = await checkTemplate({ template, baseUrl }, rules);
    const owner = platform ? null : tenantId;
    return this.#deps.db.tenantTx(owner, async (tx) => {
      const id = await store.insertStreamer(tx, {
        tenantId: owner,
        name: input.name,
        baseUrl,
        credential: input.credential ?? null,
        playbackUrlTemplate,
        trusted,
        streamsMax: input.streamsMax ?? null,
      });
      return id === undefined ? fail("STREAMER_TAKEN", { baseUrl }) : { data: await this.#view(tx, id) };
    });
  }

  list({ tenantId }: Asker, page: { cursor?: string | undefined; limit: number }) {
    const afterId = idAfter(LIST, page.cursor);
    return this.#deps.db.tenantTx(tenantId, async (tx) => {
      const found = await store.streamerPage(tx, { afterId, rowCount: page.limit + 1 });
      const { rows, nextCursor } = pageOf(LIST, found, page.limit);
      const nowMs = this.#deps.clock.nowMs();
      return { data: rows.map((row) => streamerView(row, nowMs)), nextCursor };
    });
  }

  get({ tenantId }: Asker, streamerId: number): Promise<{ data: Streamer }> {
    return this.#deps.db.tenantTx(tenantId, async (tx) => ({ data: await this.#view(tx, streamerId) }));
  }

  async patch(asker: Asker, input: z.output<typeof patchStreamer.input>): Promise<{ data: Streamer }> {
    const { streamerId, trusted } = input;
    const { db } = this.#deps;
    const rules = { ...this.#deps.sources, trusted };
    const now = await this.#own(asker, streamerId);
    // Ours say of themselves what they are.
    if (now.kind === "castellan") return fail("STREAMER_NOT_YOURS", { streamerId });
    const template = input.playbackUrlTemplate ?? now.playbackUrlTemplate;
    // Whoever changes one of the two URLs answers for both: the node is trusted as much as its last key.
    const isNamed = input.baseUrl !== undefined || template !== now.playbackUrlTemplate;
    const baseUrl = isNamed ? await checkBaseUrl(input.baseUrl ?? now.baseUrl, rules) : now.baseUrl;
    const next = {
      name: input.name ?? now.name,
      baseUrl,
      credential: input.credential === undefined ? now.credential : input.credential,
      playbackUrlTemplate: isNamed ? await checkTemplate({ template, baseUrl }, rules) : template,
      trusted: isNamed ? trusted : now.trusted,
      streamsMax: input.streamsMax === undefined ? now.streamsMax : input.streamsMax,
    };
    return db.tenantTx(now.tenantId, async (tx) => {
      if (!(await store.updateStreamer(tx, streamerId, next))) return fail("STREAMER_TAKEN", { baseUrl });
      return { data: await this.#view(tx, streamerId) };
    });
  }

  async delete(asker: Asker, streamerId: number): Promise<{ data: { id: number } }> {
    const { db } = this.#deps;
    const now = await this.#own(asker, streamerId);
    const { tenantId } = now;
    if (isRunning(now, this.#deps.clock.nowMs())) return fail("STREAMER_ONLINE", { streamerId });
    const tenants = tenantId === null ? (await db.tenantTx(null, channels.allTenants)).map(({ id }) => id) : [tenantId];
    let originCount = 0;
    for (const id of tenants) originCount += await db.tenantTx(id, (tx) => liveOrigins(tx, streamerId));
    if (originCount > 0) return fail("STREAMER_IN_USE", { streamerId, originCount });
    for (const id of tenants) await db.tenantTx(id, (tx) => giveUp(tx, id, streamerId));
    try {
      await db.tenantTx(tenantId, (tx) => store.deleteStreamer(tx, streamerId));
    } catch (error) {
      // A channel came to use it meanwhile: the foreign key holds.
      if ((error as { code?: unknown }).code === FOREIGN_KEY_SQLSTATE)
        return fail("STREAMER_IN_USE", { streamerId, originCount: 1 });
      throw error;
    }
    return { data: { id: streamerId } };
  }

  /** A streamer of ours reports: it is registered, or seen to live. */
  async note(report: StreamerReported): Promise<void> {
    const { nodeId, ordinal, name, baseUrl, publicUrl, streamsMax, draining } = report;
    const seen = {
      nodeId,
      ordinal,
      name,
      baseUrl,
      publicUrl,
      streamsMax,
      draining,
      streamCount: report.streams.length,
    };
    const key = `${nodeId}/${ordinal}`;
    const what = JSON.stringify(seen);
    const nowMs = this.#deps.clock.nowMs();
    const last = this.#noted.get(key);
    if (last !== undefined && last.what === what && nowMs - last.atMs < NOTE_EVERY_MS) return;
    this.#noted.set(key, { what, atMs: nowMs });
    try {
      await this.#deps.db.tenantTx(null, (tx) => store.upsertOwn(tx, { ...seen, playbackUrlTemplate: OWN_TEMPLATE }));
    } catch (error) {
      this.#noted.delete(key);
      // What passes by itself (no database, a node that stops) may pass: it reports again in 2 s.
      const code = codeOf(error);
      if (code === undefined || !ERRORS[code].retry) throw error;
    }
  }

  /** Asks the castis nodes of one tenant (null: the platform's) whether they are there. */
  async probe(tenantId: string | null): Promise<void> {
    const { db, probe } = this.#deps;
    const nodes = await db.tenantTx(tenantId, (tx) => store.castisToCheck(tx, { tenantId, silentMs: PROBE_EVERY_MS }));
    const rest = nodes.values();
    const worker = async (): Promise<void> => {
      for (const { id, ...node } of rest) {
        const reachable = await probe(node);
        await db.tenantTx(tenantId, (tx) => store.setReachable(tx, id, reachable));
      }
    };
    await Promise.all(Array.from({ length: Math.min(PROBES_AT_ONCE_MAX, nodes.length) }, worker));
  }

  async #view(tx: Tx, streamerId: number): Promise<Streamer> {
    const row = await store.streamerById(tx, streamerId);
    return row === undefined ? fail("STREAMER_NOT_FOUND", { streamerId }) : streamerView(row, this.#deps.clock.nowMs());
  }

  /** The entry, if the asker may change it. */
  async #own({ tenantId, admin }: Asker, streamerId: number): Promise<store.StreamerRow> {
    const row = await this.#deps.db.tenantTx(tenantId, (tx) => store.streamerById(tx, streamerId));
    if (row === undefined) return fail("STREAMER_NOT_FOUND", { streamerId });
    return row.tenantId === null && !admin ? fail("STREAMER_NOT_YOURS", { streamerId }) : row;
  }
}

const FOREIGN_KEY_SQLSTATE = "23503";

const liveOrigins = async (tx: Tx, streamerId: number): Promise<number> =>
  (await channels.originsOnStreamer(tx, streamerId)).filter(({ wanted }) => wanted === "present").length;

/** What deleted channels left on a streamer that is no longer one of ours. */
const giveUp = async (tx: Tx, tenantId: string, streamerId: number): Promise<void> => {
  const leftovers = (await channels.originsOnStreamer(tx, streamerId)).filter(({ wanted }) => wanted === "absent");
  await channels.removeOrigins(
    tx,
    leftovers.map(({ id }) => id),
  );
  for (const { channelId } of leftovers) {
    const channel = await channels.lockChannel(tx, channelId);
    const isEmpty = (await channels.originsOf(tx, [channelId])).length === 0;
    if (channel?.deletedAt && isEmpty) await forget(tx, { tenantId, channelId });
  }
};
