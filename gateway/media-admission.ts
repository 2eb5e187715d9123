/** Who the gateway lets in to stored media: asked of the platform every few seconds, and hinted at in between. */
import type { ServiceBroker } from "moleculer";
import { mediaAdmission, sessionsRevoked } from "../contracts/playback.ts";
import { on, send } from "../lib/actor/contract.ts";
import type { Clock } from "../lib/clock.ts";
import { entriesIn, readAdmission } from "../lib/crypto/admission-news.ts";
import { MediaGate } from "../lib/crypto/media-gate.ts";
import type { Log } from "../lib/log/log.ts";

/** A revocation whose hint was lost is known by then: with the time of the question, within 4 s. */
const REFRESH_MS = 3_000;

export class GatewayAdmission {
  readonly gate = new MediaGate();
  readonly #broker: ServiceBroker;
  readonly #log: Log;
  readonly #clock: Clock;
  #viewerSecrets: readonly string[] = [];
  #cursor = "";
  #timer: NodeJS.Timeout | undefined;
  #asking: Promise<void> | undefined;
  #isStopped = false;

  constructor({ broker, log, clock }: { readonly broker: ServiceBroker; readonly log: Log; readonly clock: Clock }) {
    this.#broker = broker;
    this.#log = log;
    this.#clock = clock;
  }

  /** What edges sign viewers' addresses with. */
  get viewerSecrets(): readonly string[] {
    return this.#viewerSecrets;
  }

  /** Asks and listens while the broker runs; gives what ends that. */
  mount(): () => Promise<void> {
    const service = this.#broker.createService({
      name: "gateway-admission",
      events: {
        ...on(sessionsRevoked, ({ entries }) => this.gate.revoke(entriesIn(entries), this.#clock.nowMs())),
        // Not when this service has started: who answers may be one of this process, and later.
        "$broker.started": () => void this.refresh(),
      },
      started: () => {
        this.#timer = setInterval(() => void this.refresh(), REFRESH_MS).unref();
        // Not in Moleculer's types: whether the broker has started.
        if ((this.#broker as unknown as { readonly started: boolean }).started) void this.refresh();
      },
      stopped: () => clearInterval(this.#timer),
    });
    return async () => {
      this.#isStopped = true;
      clearInterval(this.#timer);
      await this.#broker.destroyService(service);
    };
  }

  /** Resolves when the question has its answer, or none. */
  refresh(): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    this.#asking ??= this.#read()
      .catch((error: unknown) => this.#log.debug({ err: error }, "nobody says who is let in to stored media; going on"))
      .finally(() => {
        this.#asking = undefined;
      });
    return this.#asking;
  }

  #read(): Promise<void> {
    const ask = (after: string) => send(this.#broker, mediaAdmission, { after });
    return readAdmission(ask, this.#cursor, ({ admission, revoked }, cursor) => {
      this.gate.revoke(revoked, this.#clock.nowMs());
      this.#cursor = cursor;
      if (!admission) return;
      this.gate.admit(admission);
      this.#viewerSecrets = admission.viewerSecrets ?? [];
    });
  }
}
