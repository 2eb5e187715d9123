/**
 * An origin on a castis node. The node knows no owner and no epoch, so we compare: a stream of our name counts as ours
 * only when the node accepted it from us, or when each field that we sent is there and equal (P-06) and no other
 * tenant's channel has that stream on that node.
 */
import { firstDifference, type Payload, sameJson } from "../../domain/payload/payload.ts";
import {
  type CastisAnswer,
  type CastisHow,
  type CastisNode,
  type CastisRequest,
  castisRequest,
} from "./castis-client.ts";
import type { CheckOutcome, Command, PushOutcome, Refusal, RemoveOutcome, Target } from "./target.ts";

export interface CastisTargetOptions extends CastisHow {
  readonly node: CastisNode;
  readonly streamId: string;
  /** Another tenant's channel has this stream id on this node. */
  readonly heldByOther: () => Promise<boolean>;
  /** False when our lease is gone: no epoch fences a castis node, so each request asks first. */
  readonly alive: () => boolean;
}

const isAccepted = ({ status }: CastisAnswer): boolean => status === 200 || status === 201;
const isRemoved = ({ status }: CastisAnswer): boolean => (status >= 200 && status < 300) || status === 404;
const refusalOf = ({ status, message }: CastisAnswer): Refusal => ({ status, message });

const HELD_BY_OTHER = "another tenant's channel has this stream id on this node";

export class CastisTarget implements Target {
  readonly key: string;
  readonly #options: CastisTargetOptions;

  constructor(options: CastisTargetOptions) {
    this.#options = options;
    this.key = `castis ${options.node.baseUrl}`;
  }

  async push(command: Command): Promise<PushOutcome> {
    // The API has no "change": what runs with another payload of ours goes first.
    if (command.remote === "ours" && command.sent !== null && !sameJson(command.sent, command.payload)) {
      const removed = await this.#ask({ method: "DELETE" });
      if (!isRemoved(removed)) return refused(command.remote, refusalOf(removed));
    }
    return this.#post(command, { again: true });
  }

  async restart(command: Command): Promise<PushOutcome> {
    const removed = await this.#ask({ method: "DELETE" });
    if (!isRemoved(removed)) return refused(command.remote, refusalOf(removed));
    return this.#post(command, { again: false });
  }

  async remove({ remote, sent, payload, unclear }: Command): Promise<RemoveOutcome> {
    if (remote === "none" || remote === "foreign") return { remote, refusal: null };
    if (remote === "maybe") {
      const found = await this.#ask({ method: "GET" });
      if (found.status === 404) {
        return unclear ? LATE : { remote: "none", refusal: null };
      }
      // An answer without its whole body can't tell whose it is.
      if (found.status !== 200 || found.body === undefined) return { remote, refusal: refusalOf(found) };
      const isOurs = [payload, sent].some((mine) => mine !== null && firstDifference(mine, found.body) === null);
      if (!isOurs || (await this.#options.heldByOther())) return { remote: "foreign", refusal: null };
    }
    const removed = await this.#ask({ method: "DELETE" });
    if (!isRemoved(removed)) return { remote, refusal: refusalOf(removed) };
    return unclear ? LATE : { remote: "none", refusal: null };
  }

  async check(payload: Payload): Promise<CheckOutcome> {
    const found = await this.#ask({ method: "GET" });
    if (found.status === 404) return { found: "missing" };
    if (found.status === 200 && found.body !== undefined)
      return { found: firstDifference(payload, found.body) === null ? "same" : "different" };
    return { found: "unreachable", refusal: refusalOf(found) };
  }

  async #post(command: Command, { again }: { again: boolean }): Promise<PushOutcome> {
    const answer = await this.#ask({ method: "POST", body: command.payload });
    if (isAccepted(answer)) return ACCEPTED;
    if (answer.status === 500) return this.#exists(command, { again, answer });
    // Below 500 the node has refused; above, and without an answer, something in between may have.
    const isClear = !answer.reached || (answer.status > 0 && answer.status < 500);
    const remote = isClear && command.remote !== "maybe" ? "none" : "maybe";
    return { ...refused(remote, refusalOf(answer)), unclear: answer.timedOut };
  }

  /** 500 means "exists" (P-06): look at what is there. */
  async #exists(command: Command, seen: { again: boolean; answer: CastisAnswer }): Promise<PushOutcome> {
    const { payload, sent } = command;
    const found = await this.#ask({ method: "GET" });
    if (found.status === 404) return refused("none", refusalOf(seen.answer));
    if (found.status !== 200 || found.body === undefined) {
      const message = `the stream exists and can't be verified: ${found.message}`;
      return refused("maybe", { status: seen.answer.status, message });
    }
    const difference = firstDifference(payload, found.body);
    const wasOurs = sent !== null && firstDifference(sent, found.body) === null;
    if (difference !== null && !wasOurs) {
      const message = `a stream of this name exists with another configuration (${difference.slice(0, 50)} differs)`;
      return refused("foreign", { status: 500, message });
    }
    if (await this.#options.heldByOther()) return refused("foreign", { status: 500, message: HELD_BY_OTHER });
    if (difference === null) return ACCEPTED;
    // It is what an earlier command of ours made, of which we never had the answer.
    return seen.again ? this.restart(command) : refused("maybe", refusalOf(seen.answer));
  }

  #ask(request: Omit<CastisRequest, "streamId">): Promise<CastisAnswer> {
    const { node, streamId, alive } = this.#options;
    if (!alive()) return Promise.resolve(LEASE_LOST);
    return castisRequest(node, { ...request, streamId }, this.#options);
  }
}

// A node that is slow, not dead, makes the stream after we have looked.
const LATE: RemoveOutcome = {
  remote: "maybe",
  refusal: { status: 0, message: "waiting whether a late command takes effect" },
};
const LEASE_LOST: CastisAnswer = {
  status: 0,
  body: undefined,
  message: "not sent: another owner takes over",
  reached: false,
  timedOut: false,
};
const ACCEPTED: PushOutcome = { remote: "ours", refusal: null, state: null, unclear: false };
const refused = (remote: PushOutcome["remote"], refusal: Refusal): PushOutcome => ({
  remote,
  refusal,
  state: null,
  unclear: false,
});
