/**
 * What edges counted: each message once, in sums by edge, hostname, customer, tenant and hour. A message and the note
 * that it came are one transaction behind a lock on its series, so that it may come again, late, and at two nodes.
 */
import type { z } from "zod";
import { fail } from "../../contracts/errors.ts";
import type { AccountGroup, CdnAccount, listAccounts, takeAccounts } from "../../contracts/fleet.ts";
import { type AccountFigures, COLUMN } from "../../domain/accounting/columns.ts";
import type { Admission } from "../../domain/accounting/deliveries.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import type { Log } from "../../lib/log/log.ts";
import { admitPart } from "./account-parts.ts";
import * as store from "./accounts.store.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A year, and time to write its bill. */
export const KEPT_DAYS = 400;
const KEPT_MS = KEPT_DAYS * DAY_MS;
const LIST = "cdn-accounts";

export interface EdgeAccountsDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
}

const hourRowOf = (row: AccountFigures): store.HourRow => {
  const { requests, hits, sentBytes, originRequests, originBytes, statuses, clientLeft, ttfbMicros, ttfb } = row;
  const figures = [requests, hits, sentBytes, originRequests, originBytes, ...statuses, clientLeft, ttfbMicros];
  const { hostname, customer, tenant } = row;
  return { hostname, customer, tenant: tenant ?? "", figures: [...figures, ...ttfb] };
};

const shown = (groups: readonly AccountGroup[], { keys, sums }: store.GroupRow): z.output<typeof CdnAccount> => {
  const at = (column: number): number => sums[column] ?? 0;
  const named = groups.map((group, index) => [group, group === "tenant" ? keys[index] || null : keys[index]]);
  const firstByteCounts = sums.slice(COLUMN.ttfb);
  const timed = firstByteCounts.reduce((sum, count) => sum + count, 0);
  const requests = at(COLUMN.requests);
  const hits = at(COLUMN.hits);
  return {
    ...(Object.fromEntries(named) as Partial<Record<AccountGroup, string>>), // a key for each group, in their order
    requests,
    hits,
    hitRatio: requests === 0 ? null : hits / requests,
    sentBytes: at(COLUMN.sentBytes),
    originRequests: at(COLUMN.originRequests),
    originBytes: at(COLUMN.originBytes),
    statuses: {
      "1xx": at(COLUMN.status1xx),
      "2xx": at(COLUMN.status2xx),
      "3xx": at(COLUMN.status3xx),
      "4xx": at(COLUMN.status4xx),
      "5xx": at(COLUMN.status5xx),
    },
    clientLeft: at(COLUMN.clientLeft),
    firstByteMeanMs: timed === 0 ? null : at(COLUMN.ttfbMicros) / (timed * 1_000),
    firstByteCounts,
  };
};

/** Bound to the list and its groups: the keys of the last row of the page before. */
const cursorAfter = (groups: readonly AccountGroup[], keys: readonly string[]): string =>
  Buffer.from(JSON.stringify([LIST, ...groups, ...keys])).toString("base64url");

/** Undefined of a text that is none. */
const keysInCursor = (groups: readonly AccountGroup[], cursor: string): string[] | undefined => {
  try {
    const words: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    if (!Array.isArray(words) || words.length !== 1 + 2 * groups.length) return undefined;
    const keys = words.slice(1 + groups.length).map(String);
    const areTimes = groups.every((group, index) => !isTime(group) || isInstant(keys[index] ?? ""));
    // Written again it must be the same, with these groups.
    return areTimes && cursorAfter(groups, keys) === cursor ? keys : undefined;
  } catch {
    return undefined;
  }
};
const isTime = (group: AccountGroup): boolean => group === "hour" || group === "day" || group === "month";
const isInstant = (text: string): boolean => /^\d{4}-/.test(text) && !Number.isNaN(Date.parse(text));

export class EdgeAccounts {
  readonly #deps: EdgeAccountsDeps;
  #forgotAtMs = Number.NEGATIVE_INFINITY;

  constructor(deps: EdgeAccountsDeps) {
    this.#deps = deps;
  }

  /** Counts a batch, or a part of one, unless it was counted. Rejects when that can't be known; it may come again. */
  async take(batch: z.output<typeof takeAccounts.input>): Promise<Admission> {
    const { db, log, clock } = this.#deps;
    const { edge, series, first, sequence, part } = batch;
    const nowMs = clock.nowMs();
    const admission = await db.tenantTx(null, async (tx) => {
      const at = new Date(nowMs);
      const [verdict, received] = admitPart(await store.lockReceived(tx, { edge, series }, at), batch);
      if (verdict !== "new") return verdict;
      await store.setReceived(tx, { edge, series }, received, at);
      if (batch.rows.length > 0) await store.addHour(tx, hourOf(batch, nowMs), edge, batch.rows.map(hourRowOf));
      return verdict;
    });
    if (admission === "conflict" || admission === "full") {
      log.error({ edge, series, first, sequence, part, admission }, "accounts of an edge are not counted");
    }
    return admission;
  }

  /** A page of sums. Fails with BAD_INPUT or BAD_CURSOR. */
  async list(input: z.output<typeof listAccounts.input>): Promise<z.output<typeof listAccounts.result>> {
    const { cursor, limit, groupBy: groups, customer = null, tenant = null, hostname = null, edge = null } = input;
    const toMs = input.to === undefined ? this.#deps.clock.nowMs() : Date.parse(input.to);
    const fromMs = input.from === undefined ? toMs - DAY_MS : Date.parse(input.from);
    if (fromMs >= toMs) fail("BAD_INPUT", { errors: [{ path: "from", message: "must be before to" }] });
    const after = cursor === undefined ? null : (keysInCursor(groups, cursor) ?? fail("BAD_CURSOR"));
    const range = { from: new Date(fromMs), to: new Date(toMs) };
    const wanted = { ...range, customer, tenant, hostname, edge, groups, after, limit: limit + 1 };
    const rows = await store.sums(this.#deps.db, wanted);
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    const nextCursor = rows.length > limit && last ? cursorAfter(groups, last.keys) : null;
    return { data: page.map((row) => shown(groups, row)), nextCursor };
  }

  /** Lets go of what is older than KEPT_DAYS, once an hour however often it is called. */
  async forgetOld(): Promise<void> {
    const { db, clock } = this.#deps;
    const nowMs = clock.nowMs();
    if (nowMs - this.#forgotAtMs < HOUR_MS) return;
    await db.tenantTx(null, (tx) => store.dropBefore(tx, new Date(nowMs - KEPT_MS)));
    this.#forgotAtMs = nowMs;
  }
}

/** The hour in which the period began; now for what an edge with a wrong clock dates out of what is kept. */
const hourOf = ({ fromMs }: { readonly fromMs: number }, nowMs: number): Date => {
  const isKept = fromMs <= nowMs && fromMs > nowMs - KEPT_MS + HOUR_MS;
  return new Date(Math.floor((isKept ? fromMs : nowMs) / HOUR_MS) * HOUR_MS);
};
