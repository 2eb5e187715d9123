/**
 * A process that counts as fast as its loop turns, delivers to its parent, and says what it did: `counted n` before the
 * n-th request is counted, `kept n` when as many are on disk. To be killed.
 */
import { writeSync } from "node:fs";
import { systemClock } from "../../lib/clock.ts";
import { quietLog } from "../../lib/log/log.ts";
import { Accounts } from "./accounts.ts";
import { Ledger } from "./ledger.ts";

const [dataDir = ""] = process.argv.slice(2);
const pause = new Int32Array(new SharedArrayBuffer(4));
/** At once, so that nothing that was said before a kill is lost; waits where the parent does not follow. */
const say = (line: string): void => {
  const bytes = Buffer.from(`${line}\n`);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
};
const accounts = new Accounts();
const ledger = await Ledger.open({
  dataDir,
  edge: "edge-1",
  clock: systemClock,
  log: quietLog,
  periodMs: 20,
  deliver: async (batch) => say(`batch ${JSON.stringify(batch)}`),
});
const row = accounts.row({ hostname: "cdn.acme.example", customer: "acme", tenant: null });
let count = 0;
for (;;) {
  for (let index = 0; index < 10; index += 1) {
    count += 1;
    say(`counted ${count}`);
    row.count({ status: 200, sentBytes: 1_000, isHit: true, ttfbMs: 1 });
  }
  ledger.merge(accounts.take());
  await ledger.tick();
  say(`kept ${count}`);
}
