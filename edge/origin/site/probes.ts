/** Asks origins how they are, beside the viewers' requests. */
import { setMaxListeners } from "node:events";
import type { Log } from "../../../lib/log/log.ts";
import type { OriginRequest } from "./contract.ts";
import { isBad, type Member } from "./member.ts";

export interface HealthRules {
  /** Path and query that an origin in good health answers with 2xx or 3xx. */
  readonly path: string;
  readonly intervalMs: number;
}

interface ProbeTools {
  readonly log: Log;
  readonly nowMs: () => number;
  readonly random: () => number;
  /** Site, for the log. */
  readonly site: string;
}

const PROBE_MS = 2_000;
const JITTER = 0.2; // of the interval: many edges must not ask an origin in the same moment
/** What of a request a probe needs: where it may come from, and for whom it is. */
const PROBE_FIELDS = /^(?:host|via|cdn-loop)$/i;
/** Checks that fail before the origin is left out; one may be the network's. */
const FAILURES_MAX = 2;

const headOf = ({ target, fields, key }: OriginRequest): OriginRequest => ({
  method: "HEAD",
  target,
  key,
  fields: fields.filter((_, at) => PROBE_FIELDS.test(fields[at - (at % 2)]!)),
});

export class Probes {
  readonly #tools: ProbeTools;
  readonly #timers = new Map<Member, NodeJS.Timeout>();
  readonly #stop = new AbortController();

  constructor(tools: ProbeTools) {
    this.#tools = tools;
    setMaxListeners(0, this.#stop.signal); // one for each probe under way
  }

  /** Sends a HEAD of the request to those whose rest is over: no viewer waits for an origin that may be dead. */
  probeDue(members: readonly Member[], request: OriginRequest): void {
    for (const member of members) {
      if (!member.condition.isUp && member.condition.takeProbe(this.#tools.nowMs())) void this.#probe(member, request);
    }
  }

  /** Asks one again and again, until `close`. */
  check(member: Member, rules: HealthRules, failureCount = 0): void {
    if (this.#stop.signal.aborted) return;
    const waitMs = rules.intervalMs * (1 + JITTER * (this.#tools.random() - 0.5));
    const timer = setTimeout(async () => {
      const isWell = await this.#isWell(member, rules);
      const failures = isWell ? 0 : failureCount + 1;
      if (isWell || failures >= FAILURES_MAX) this.#set(member, isWell);
      this.check(member, rules, failures);
    }, waitMs);
    timer.unref();
    this.#timers.set(member, timer);
  }

  close(): void {
    this.#stop.abort(new Error("the origins are closed"));
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  async #isWell(member: Member, { path, intervalMs }: HealthRules): Promise<boolean> {
    try {
      const options = { signal: this.#stop.signal, firstByteMs: Math.min(PROBE_MS, intervalMs) };
      const answer = await member.probe({ method: "GET", target: path, fields: [], key: path }, options);
      answer.drop();
      return answer.status < 400;
    } catch {
      return false;
    }
  }

  #set(member: Member, isUp: boolean): void {
    if (this.#stop.signal.aborted) return;
    const { log, site, nowMs } = this.#tools;
    if (isUp !== member.condition.isUp) {
      log.info({ site, origin: member.id }, isUp ? "an origin is back" : "an origin fails its health check");
    }
    member.condition.set(isUp, nowMs());
  }

  async #probe(member: Member, request: OriginRequest): Promise<void> {
    const { log, site, nowMs } = this.#tools;
    try {
      const answer = await member.probe(headOf(request), { signal: this.#stop.signal, firstByteMs: PROBE_MS });
      answer.drop();
      if (isBad(answer.status)) return member.condition.set(false, nowMs());
      member.condition.set(true, nowMs());
      log.info({ site, origin: member.id }, "an origin is back");
    } catch {
      member.condition.set(false, nowMs());
    }
  }
}
