/**
 * Playback sessions. A session is a row, written before its addresses are told; requests that come together are written
 * together. What is remembered beside rows (a title's state for a second, a session for a minute) only saves reading.
 */
import { randomUUIDv7 } from "node:crypto";
import type { z } from "zod";
import type { playableTitle } from "../../contracts/catalog.ts";
import { Fault, fail } from "../../contracts/errors.ts";
import type { heartbeat, listSessions, PlaybackSession, startPlayback } from "../../contracts/playback.ts";
import type { Cache } from "../../lib/cache/port.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import { GroupCommit } from "../../lib/db/group-commit.ts";
import { pageOf, uuidAfter } from "../../lib/page.ts";
import { addressesOf, sessionToken } from "./addresses.ts";
import type { Admission } from "./admission.ts";
import type { Entitlements } from "./entitlements.ts";
import { Heartbeats } from "./heartbeats.ts";
import * as store from "./playback.store.ts";
import { RememberedAnswers } from "./remembered.ts";
import { type Revoking, sessionCacheKey } from "./revoking.ts";
import { type NamedRung, namesWithin } from "./rungs.ts";

export type Playable = z.output<typeof playableTitle.result>;

export interface PlaybackOptions {
  readonly db: Database;
  readonly cache: Cache;
  readonly clock: Clock;
  readonly admission: Pick<Admission, "signer">;
  readonly revoking: Revoking;
  readonly entitlements: Entitlements;
  /** A title's rungs, as far as they are there. */
  readonly rungsOf: (titleId: string) => Promise<readonly NamedRung[]>;
  /** Of edges as viewers reach them, without a slash at its end. */
  readonly edgePublicUrl: string;
  readonly sessionMs: number;
  readonly heartbeatMs: number;
}

/** A title that is withdrawn is played by nobody new after that (see `STRAGGLERS_MS`). */
const PLAYABLE_MS = 1_000;
const RUNGS_MS = 3_000;
const SESSION_CACHE_MS = 60_000;
const ROWS_MAX = 500; // of one statement
const WAITING_MAX = 10_000; // 5 s at 2,000 a second
const KEPT_MS = 86_400_000; // after its end
const TRIM_ROWS_MAX = 5_000;

/** What is remembered of a session, as text. */
interface Known {
  readonly expiresMs: number;
  readonly isRevoked: boolean;
}

export class Playback {
  readonly #options: PlaybackOptions;
  readonly #playable = new RememberedAnswers<Playable>(PLAYABLE_MS);
  readonly #rungs = new RememberedAnswers<readonly NamedRung[]>(RUNGS_MS);
  readonly #inserts: GroupCommit<store.NewSession>;
  readonly #heartbeats: Heartbeats;

  constructor(options: PlaybackOptions) {
    this.#options = options;
    this.#heartbeats = new Heartbeats(options.db);
    this.#inserts = new GroupCommit({
      write: (tenantId, rows) => options.db.tenantTx(tenantId, (tx) => store.insertSessions(tx, rows)),
      itemsMax: ROWS_MAX,
      waitingMax: WAITING_MAX,
      full: () => new Fault("MAILBOX_FULL", { key: "the table of sessions" }),
    });
  }

  /** `ask`: the catalog, for this tenant. */
  async start(
    tenantId: string,
    wish: Wish,
    ask: () => Promise<Playable>,
  ): Promise<z.input<typeof startPlayback.result>> {
    const { admission, entitlements, rungsOf, edgePublicUrl, heartbeatMs } = this.#options;
    const { titleId } = wish;
    const [viewer, address, country] = [wish.viewer ?? null, wish.address ?? null, wish.country ?? null];
    const [playable, entitlement, rungs, signer] = await Promise.all([
      this.#playable.get(`${tenantId} ${titleId} ${country ?? ""}`, ask),
      entitlements.check({ tenantId, titleId, viewer }),
      this.#rungs.get(titleId, () => rungsOf(titleId)),
      admission.signer(),
    ]);
    if (!entitlement.allowed) return fail("ENTITLEMENT_MISSING", { reason: entitlement.reason });
    const within = namesWithin(rungs, playable.maxHeight ?? null);
    if (rungs.length > 0 && within.length === 0) {
      const reason = `it has no more than the ${playable.maxHeight} lines that its licence allows in no form`;
      return fail("TITLE_UNPLAYABLE", { titleId, reason });
    }
    const session = this.#newSession(tenantId, { titleId, viewer, address, country }, playable);
    await this.#inserts.add(tenantId, session);
    const { id, expiresAt } = session;
    const token = sessionToken(signer, { ...session, sessionId: id, contentId: titleId });
    return {
      data: {
        id,
        titleId,
        ...addressesOf(edgePublicUrl, token, { titleId, rungs: within }),
        expiresAt: expiresAt.toISOString(),
        heartbeatSeconds: heartbeatMs / 1_000,
        isPublic: playable.isPublic,
      },
    };
  }

  async list(tenantId: string, input: z.output<typeof listSessions.input>) {
    const { titleId, viewer, state, cursor, limit } = input;
    const now = new Date(this.#options.clock.nowMs());
    const page = { afterId: uuidAfter("sessions", cursor), rowCount: limit + 1, now };
    const rows = await this.#options.db.tenantTx(tenantId, (tx) =>
      store.sessionPage(tx, { titleId, viewer, state }, page),
    );
    const { rows: shown, nextCursor } = pageOf("sessions", rows, limit);
    return { data: shown.map((row) => this.#shown(row)), nextCursor };
  }

  async get(tenantId: string, sessionId: string) {
    return { data: this.#shown(await this.#row(tenantId, sessionId)) };
  }

  /** Revoking twice gives the same answer twice. */
  async revoke(tenantId: string, sessionId: string) {
    const row = await this.#row(tenantId, sessionId);
    const isActive = row.revokedAt === null && row.expiresAt.getTime() > this.#options.clock.nowMs();
    if (isActive) await this.#options.revoking.one(tenantId, row);
    return this.get(tenantId, sessionId);
  }

  /** Fails with BAD_INPUT where nothing is named: not by a slip are all sessions ended. */
  async revokeMany(tenantId: string, filter: Omit<store.SessionFilter, "state">) {
    if (filter.titleId === undefined && filter.viewer === undefined) {
      return fail("BAD_INPUT", { errors: [{ path: "", message: "names a titleId, a viewer, or both" }] });
    }
    return { data: { revokedCount: await this.#options.revoking.many(tenantId, filter) } };
  }

  /** Fails with SESSION_NOT_FOUND and SESSION_ENDED. */
  async heartbeat(tenantId: string, sessionId: string): Promise<z.input<typeof heartbeat.result>> {
    const { clock, heartbeatMs } = this.#options;
    const known = await this.#known(tenantId, sessionId);
    const nowMs = clock.nowMs();
    if (known.isRevoked || known.expiresMs <= nowMs) return fail("SESSION_ENDED");
    this.#heartbeats.note(tenantId, sessionId, new Date(nowMs));
    const expiresAt = new Date(known.expiresMs).toISOString();
    return { data: { id: sessionId, expiresAt, heartbeatSeconds: heartbeatMs / 1_000 } };
  }

  /** Writes what heartbeats said. */
  flush(): Promise<void> {
    return this.#heartbeats.flush();
  }

  /** Sessions that ended a day ago, and what nobody has to be refused for any more. */
  async trim(): Promise<void> {
    const { db, clock } = this.#options;
    const nowMs = clock.nowMs();
    await db.tenantTx(null, (tx) => store.trimRevocations(tx, new Date(nowMs)));
    for (const tenantId of await db.tenantTx(null, (tx) => store.allTenantIds(tx))) {
      let count = TRIM_ROWS_MAX;
      while (count === TRIM_ROWS_MAX) {
        count = await db.tenantTx(tenantId, (tx) => store.trimSessions(tx, new Date(nowMs - KEPT_MS), TRIM_ROWS_MAX));
      }
    }
  }

  #newSession(tenantId: string, wish: FullWish, playable: Playable): store.NewSession {
    const nowMs = this.#options.clock.nowMs();
    const endsMs = playable.availableUntil === null ? Number.POSITIVE_INFINITY : Date.parse(playable.availableUntil);
    const { isPublic, ownerTenantId, maxHeight = null } = playable;
    return {
      ...{ ...wish, id: randomUUIDv7(), tenantId, ownerTenantId, maxHeight, isPublic },
      createdAt: new Date(nowMs),
      expiresAt: new Date(Math.min(nowMs + this.#options.sessionMs, endsMs)),
    };
  }

  async #row(tenantId: string, sessionId: string): Promise<store.SessionRow> {
    const row = await this.#options.db.tenantTx(tenantId, (tx) => store.sessionById(tx, sessionId));
    return row ?? fail("SESSION_NOT_FOUND", { sessionId });
  }

  async #known(tenantId: string, sessionId: string): Promise<Known> {
    const { cache, clock } = this.#options;
    const key = sessionCacheKey(sessionId);
    const text = await cache.get(key);
    // The tenant is part of what is remembered: another one's session is not there for it.
    const [tenant, expires] = text?.split(" ") ?? [];
    if (tenant === tenantId) return { expiresMs: Number(expires), isRevoked: false };
    const row = await this.#row(tenantId, sessionId);
    const expiresMs = row.expiresAt.getTime();
    if (row.revokedAt === null && expiresMs > clock.nowMs()) {
      await cache.set(key, `${tenantId} ${expiresMs}`, SESSION_CACHE_MS);
    }
    return { expiresMs, isRevoked: row.revokedAt !== null };
  }

  #shown(row: store.SessionRow): z.input<typeof PlaybackSession> {
    const { id, titleId, viewer, address, country, maxHeight, isPublic, createdAt, expiresAt, lastSeenAt, revokedAt } =
      row;
    const isOver = expiresAt.getTime() <= this.#options.clock.nowMs();
    return {
      ...{ id, titleId, viewer, address, country, maxHeight, isPublic },
      state: revokedAt !== null ? "revoked" : isOver ? "expired" : "active",
      createdAt: createdAt.toISOString(),
      expiresAt: expiresAt.toISOString(),
      lastSeenAt: lastSeenAt?.toISOString() ?? null,
      revokedAt: revokedAt?.toISOString() ?? null,
    };
  }
}

interface Wish {
  readonly titleId: string;
  readonly viewer?: string | undefined;
  readonly address?: string | undefined;
  readonly country?: string | undefined;
}
interface FullWish {
  readonly titleId: string;
  readonly viewer: string | null;
  readonly address: string | null;
  readonly country: string | null;
}
