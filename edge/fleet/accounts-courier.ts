/** Hands what the ledger sealed to the fleet, over the bus. */
import { ACCOUNT_ROWS_MAX, takeAccounts } from "../../contracts/fleet.ts";
import type { AccountBatch } from "../../domain/accounting/batch.ts";
import { send, type Via } from "../../lib/actor/contract.ts";
import type { Log } from "../../lib/log/log.ts";
import type { Deliver } from "../analytics/courier.ts";

/**
 * Resolves when all of the batch was taken for good. What is too large for one message of the bus goes in parts, always
 * the same: each counts once, so that a batch that breaks off goes on where it stood.
 */
export const deliverAccounts =
  (via: Via, log: Log): Deliver =>
  async ({ rows, ...batch }: AccountBatch): Promise<void> => {
    const partCount = Math.max(1, Math.ceil(rows.length / ACCOUNT_ROWS_MAX));
    for (let part = 0; part < partCount; part += 1) {
      const some = rows.slice(part * ACCOUNT_ROWS_MAX, (part + 1) * ACCOUNT_ROWS_MAX);
      const sent = some.map(({ statuses, ttfb, ...row }) => ({
        ...row,
        statuses: [...statuses] as [number, number, number, number, number], // a copy keeps its length
        ttfb: [...ttfb],
      }));
      const { admission } = await send(via, takeAccounts, { ...batch, part, partCount, rows: sent });
      if (admission === "full") throw new Error("the fleet waits for earlier batches of this series");
      if (admission === "conflict") {
        const { series, first, sequence } = batch;
        log.error({ series, first, sequence }, "accounts: the fleet has other counts under these numbers");
      }
    }
  };
