import type { ServiceBroker, ServiceSchema } from "moleculer";
import { schedule } from "node-cron";
import { contentDeleted, contentWithdrawn, playableTitle } from "../../contracts/catalog.ts";
import { tokenSigningKey } from "../../contracts/keyserver.ts";
import { licenceRevoked } from "../../contracts/libraries.ts";
import {
  getSession,
  heartbeat,
  listSessions,
  mediaAdmission,
  revokeSession,
  revokeSessions,
  sessionsRevoked,
  startPlayback,
  viewerHeartbeat,
} from "../../contracts/playback.ts";
import { announce, answer, type Call, on, send, tenantOf } from "../../lib/actor/contract.ts";
import { openCache } from "../../lib/cache/open.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Config } from "../../lib/config/config.ts";
import { entriesIn } from "../../lib/crypto/admission-news.ts";
import type { Database } from "../../lib/db/database.ts";
import type { EventBus } from "../../lib/events/events.ts";
import type { Jobs } from "../../lib/jobs/jobs.ts";
import type { Log } from "../../lib/log/log.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import { Admission } from "./admission.ts";
import { type Entitlements, tenantDecides } from "./entitlements.ts";
import { endUnlicensed, mayPlay } from "./licences.ts";
import { Playback } from "./playback.ts";
import { Revoking } from "./revoking.ts";
import { rungsIn } from "./rungs.ts";

export interface PlaybackDeps {
  readonly config: Pick<Config, "redisUrl" | "playbackSessionMs" | "playbackHeartbeatMs"> & {
    readonly edgePublicUrl: string;
  };
  readonly broker: ServiceBroker;
  readonly db: Database;
  readonly events: EventBus;
  readonly objects: ObjectStore;
  readonly jobs?: Jobs;
  readonly clock: Clock;
  readonly log: Log;
  /** Unless told, the tenant's key decides. */
  readonly entitlements?: Entitlements;
}

const FLUSH_MS = 5_000;
const TRIM_AT = "23 * * * *"; // hourly; every control node does it: the second finds nothing

/** Wiring of the actor: contract ↔ behaviour. */
export const playbackServices = (deps: PlaybackDeps): ServiceSchema[] => {
  const { config, broker, db, events, objects, clock, log, entitlements = tenantDecides } = deps;
  const { playbackSessionMs: sessionMs, playbackHeartbeatMs: heartbeatMs } = config;
  const edgePublicUrl = config.edgePublicUrl.replace(/\/+$/, "");
  const cache = openCache(config.redisUrl, log);
  const admission = new Admission({ db, clock, log, tokenKeys: () => send(broker, tokenSigningKey, {}) });
  const tell = (hint: Parameters<typeof announce<typeof sessionsRevoked.payload>>[2]) =>
    announce(broker, sessionsRevoked, hint);
  const revoking = new Revoking({ db, cache, clock, sessionMs, announce: tell });
  const rungsOf = rungsIn(objects);
  const own = { db, cache, clock, admission, revoking, entitlements, rungsOf };
  const playback = new Playback({ ...own, edgePublicUrl, sessionMs, heartbeatMs });
  const tenant = (call: Call): string => tenantOf(call).tenantId;
  const quietly = (what: string, run: () => Promise<void>) => () =>
    run().catch((error: unknown) => log.warn({ err: error }, `${what} failed; it is tried again later`));
  const flush = quietly("writing when players were seen", () => playback.flush());
  const trim = quietly("removing old sessions", () => playback.trim());
  let stopTimers = async (): Promise<void> => {};

  return [
    {
      name: "playback",
      actions: {
        start: answer(startPlayback, (input, call) =>
          playback.start(tenant(call), input, () =>
            send(call, playableTitle, { titleId: input.titleId, ...(input.country ? { country: input.country } : {}) }),
          ),
        ),
        list: answer(listSessions, (input, call) => playback.list(tenant(call), input)),
        get: answer(getSession, ({ sessionId }, call) => playback.get(tenant(call), sessionId)),
        revoke: answer(revokeSession, ({ sessionId }, call) => playback.revoke(tenant(call), sessionId)),
        revokeMany: answer(revokeSessions, ({ titleId, viewer }, call) =>
          playback.revokeMany(tenant(call), { titleId, viewer }),
        ),
        heartbeat: answer(heartbeat, ({ sessionId }, call) => playback.heartbeat(tenant(call), sessionId)),
        viewerHeartbeat: answer(viewerHeartbeat, ({ tenantId, sessionId }) => playback.heartbeat(tenantId, sessionId)),
        mediaAdmission: answer(mediaAdmission, ({ after }) => admission.get(after)),
      },
      events: on(sessionsRevoked, ({ entries }) => revoking.heard(entriesIn(entries))),
      async started() {
        const facts = [contentWithdrawn, contentDeleted] as const;
        await events.subscribe("playback", facts, ({ payload: { titleId } }) => revoking.title(titleId));
        await events.subscribe("playback-licences", [licenceRevoked], ({ payload }) =>
          endUnlicensed({ db, clock, revoking, mayPlay: mayPlay(broker) }, payload),
        );
        const flushing = setInterval(flush, FLUSH_MS).unref();
        const trimming = schedule(TRIM_AT, trim, { name: "session-trim", noOverlap: true, unref: true });
        stopTimers = async () => {
          clearInterval(flushing);
          await trimming.destroy();
        };
      },
      async stopped() {
        await stopTimers();
        await flush();
        await cache.close();
      },
    },
  ];
};
