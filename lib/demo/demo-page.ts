/** The demo channel's page, and whether it has anything to show: an operator stops and deletes channels. */
import type { ServiceBroker } from "moleculer";
import { getSnapshot } from "../../contracts/fleet.ts";
import { send } from "../actor/contract.ts";
import type { Clock } from "../clock.ts";

export const DEMO_TENANT = "default";
const STREAM_ID = "demo_channel.stream";
export const DEMO_PAGE = `/watch/${DEMO_TENANT}/${STREAM_ID}`;

const ASK_AGAIN_MS = 2_000;
const DEADLINE_MS = 500; // a page waits for it

/**
 * Knows it as an edge would: from fleet's newest snapshot. Without an answer the last one stands; before the first it
 * is off.
 */
export class DemoWatch {
  readonly #broker: ServiceBroker;
  readonly #clock: Clock;
  #version = 0;
  #isOn = false;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> = Promise.resolve();

  constructor(broker: ServiceBroker, clock: Clock) {
    this.#broker = broker;
    this.#clock = clock;
  }

  /** Asks at most every 2 s, however many want to know. */
  async isOn(): Promise<boolean> {
    const now = this.#clock.nowMs();
    if (now - this.#askedAtMs >= ASK_AGAIN_MS) {
      this.#askedAtMs = now;
      this.#asking = this.#ask().catch(() => {});
    }
    await this.#asking;
    return this.#isOn;
  }

  async #ask(): Promise<void> {
    const meta = { deadlineMs: DEADLINE_MS };
    const { snapshot } = await send(this.#broker, getSnapshot, { haveVersion: this.#version }, meta);
    if (!snapshot) return;
    this.#version = snapshot.version;
    this.#isOn = snapshot.channels.some(({ tenant, streamId }) => tenant === DEMO_TENANT && streamId === STREAM_ID);
  }
}
