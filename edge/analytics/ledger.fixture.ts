/** Ledgers of one edge, whose time a test moves, and counts for them. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { AccountBatch } from "../../domain/accounting/batch.ts";
import { type AccountDelta, COLUMN } from "../../domain/accounting/columns.ts";
import { keptLog } from "../../lib/http/raw.fixture.ts";
import { Accounts } from "./accounts.ts";
import { accountsDir, Ledger, type LedgerOptions } from "./ledger.ts";

export const START_MS = Date.UTC(2027, 0, 15, 8);
export const KEY = { hostname: "cdn.acme.example", customer: "acme", tenant: "default" };
export const HIT = { status: 200, sentBytes: 1_000, isHit: true, ttfbMs: 1 };

/** An edge's data directory, and ledgers on it, one after the other, whose time is moved by hand. */
export const place = async (t: TestContext, options: Partial<LedgerOptions> = {}) => {
  const dataDir = await mkdtemp(join(tmpdir(), "ledger-"));
  t.after(() => rm(dataDir, { recursive: true }));
  const time = { ms: 0 };
  const log = keptLog();
  const opened = (more: Partial<LedgerOptions> = {}): Promise<Ledger> =>
    Ledger.open({
      dataDir,
      edge: "edge-1",
      clock: { nowMs: () => START_MS + time.ms },
      monotonicMs: () => time.ms,
      log: log.log,
      ...options,
      ...more,
    });
  return { dataDir, time, log, opened, journal: join(accountsDir(dataDir), "journal") };
};
export const counted = (count: number, key = KEY): AccountDelta[] => {
  const accounts = new Accounts();
  for (let index = 0; index < count; index += 1) accounts.row(key).count(HIT);
  return accounts.take();
};
export const requestsOf = (ledger: Ledger): number =>
  ledger.totals().reduce((sum, { values }) => sum + (values[COLUMN.requests] ?? 0), 0);
export const requestsIn = (batch: AccountBatch | undefined): number =>
  (batch?.rows ?? []).reduce((sum, { requests }) => sum + requests, 0);
/** Lets what is under way on files and promises go on until it is so. */
export const until = async (holds: () => boolean): Promise<void> => {
  const untilMs = performance.now() + 20_000;
  while (!holds()) {
    assert.ok(performance.now() < untilMs, "not in time");
    await new Promise((resolve) => setImmediate(resolve));
  }
};
