import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import type { AccountBatch } from "../../domain/accounting/batch.ts";
import { Deliveries } from "../../domain/accounting/deliveries.ts";
import { systemClock } from "../../lib/clock.ts";
import { quietLog } from "../../lib/log/log.ts";
import { seeded } from "../../test/support/seeded.ts";
import { Ledger } from "./ledger.ts";

const ROUNDS = 12;
const requestsIn = (batch: AccountBatch): number => batch.rows.reduce((sum, { requests }) => sum + requests, 0);

/** A life of the process: how much it said to have counted and kept when it was killed, and what it delivered. */
const life = async (dataDir: string, lines: number) => {
  const child = spawn(process.execPath, [join(import.meta.dirname, "counting.fixture.ts"), dataDir], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exit = once(child, "exit");
  const said = { counted: 0, kept: 0 };
  const batches: AccountBatch[] = [];
  let seen = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [word = "", ...rest] = line.split(" ");
    if (word === "counted" || word === "kept") said[word] = Number(rest[0]);
    if (word === "batch") batches.push(JSON.parse(rest.join(" ")));
    seen += 1;
    if (seen === lines) child.kill("SIGKILL");
  }
  const [, signal] = await exit;
  assert.equal(signal, "SIGKILL");
  return { ...said, batches };
};

test("kill -9 costs nothing that was kept, counts nothing twice, and all is delivered once", async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), "ledger-"));
  t.after(() => rmSync(dataDir, { recursive: true }));
  const { int } = seeded(13);
  const deliveries = new Deliveries();
  let [delivered, duplicates, before] = [0, 0, 0];
  const take = async (batch: AccountBatch): Promise<void> => {
    const admission = deliveries.accept(batch);
    assert.ok(admission === "new" || admission === "duplicate", admission);
    if (admission === "new") delivered += requestsIn(batch);
    else duplicates += 1;
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    const { counted, kept, batches } = await life(dataDir, 1 + int(400));
    for (const batch of batches) await take(batch);
    const ledger = await Ledger.open({ dataDir, edge: "edge-1", clock: systemClock, log: quietLog });
    const [row] = ledger.totals();
    const found = (row?.values[0] ?? 0) - before;
    await ledger.close();
    assert.ok(found >= kept && found <= counted, `${kept} ≤ ${found} ≤ ${counted}`);
    before += found;
  }
  const options = { dataDir, edge: "edge-1", clock: systemClock, log: quietLog, periodMs: 0 };
  const last = await Ledger.open({ ...options, deliver: take });
  for (let tries = 0; last.backlogCount > 0 || tries === 0; tries += 1) {
    await last.tick();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await last.close();
  assert.equal(delivered, before);
  t.diagnostic(`${before} requests in ${ROUNDS} lives, ${duplicates} batches came twice`);
});
