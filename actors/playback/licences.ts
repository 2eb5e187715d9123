/** A licence that ended ends what its holder plays by it; what it still may play by another one goes on. */
import { setTimeout as pause } from "node:timers/promises";
import { playableTitle } from "../../contracts/catalog.ts";
import { codeOf } from "../../contracts/errors.ts";
import { send, type Via } from "../../lib/actor/contract.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import { type Played, titlesPlayedOf } from "./playback.store.ts";
import { type Revoking, STRAGGLERS_MS } from "./revoking.ts";

export interface LicencesDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly revoking: Pick<Revoking, "many">;
  readonly mayPlay: ReturnType<typeof mayPlay>;
  readonly stragglersMs?: number;
}
interface Ended {
  readonly tenantId: string;
  readonly licenseeId: string;
}

const REFUSALS = ["TITLE_NOT_FOUND", "TITLE_UNPLAYABLE", "COUNTRY_UNKNOWN", "TERRITORY_EXCLUDED"];

/** Whether what is played may go on as it began, as the catalog sees it now. */
export const mayPlay =
  (via: Via) =>
  async (tenantId: string, { titleId, country, maxHeight }: Played): Promise<boolean> => {
    try {
      const wish = { titleId, ...(country === null ? {} : { country }) };
      const { maxHeight: allowed } = await send(via, playableTitle, wish, { tenantId, tenant: tenantId });
      return allowed == null || (maxHeight !== null && maxHeight <= allowed);
    } catch (error) {
      if (REFUSALS.includes(codeOf(error) ?? "")) return false;
      throw error;
    }
  };

const endSessions = async (deps: LicencesDeps, { tenantId: ownerId, licenseeId }: Ended): Promise<void> => {
  const { db, clock, revoking, mayPlay } = deps;
  const now = new Date(clock.nowMs());
  const all = await db.tenantTx(licenseeId, (tx) => titlesPlayedOf(tx, ownerId, now));
  for (const played of all) {
    if (await mayPlay(licenseeId, played)) continue;
    const { titleId, ...terms } = played;
    await revoking.many(licenseeId, { titleId, viewer: undefined, terms });
  }
};

/** Twice: a session may have been begun by what a node remembered of the title from before. */
export const endUnlicensed = async (deps: LicencesDeps, ended: Ended): Promise<void> => {
  await endSessions(deps, ended);
  await pause(deps.stragglersMs ?? STRAGGLERS_MS);
  await endSessions(deps, ended);
};
