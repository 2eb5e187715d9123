/** Asks origins that were left out whether they are back, beside the viewers' requests. */
import type { Log } from "../../lib/log/log.ts";
import type { Origin } from "./choice.ts";
import type { Health } from "./health.ts";
import type { Upstream } from "./upstream.ts";

interface ProberDeps {
  readonly health: Health;
  readonly upstream: Upstream;
  readonly log: Log;
  readonly nowMs: () => number;
  readonly via: string;
}

export class Prober {
  readonly #deps: ProberDeps;
  constructor(deps: ProberDeps) {
    this.#deps = deps;
  }

  /** Sends a probe to each origin whose rest is over. Driven by requests: what nobody watches is not probed. */
  probeDue(origins: readonly Origin[]): void {
    const { health, nowMs } = this.#deps;
    for (const origin of origins) {
      const keys = [origin.base, origin.authority].filter((key) => !health.isUp(key));
      if (keys.length === 0) continue;
      if (keys.map((key) => health.takeProbe(key, nowMs())).includes(true)) void this.#probe(origin);
    }
  }

  async #probe(origin: Origin): Promise<void> {
    const { health, log, nowMs, upstream, via } = this.#deps;
    try {
      const answer = await upstream.get(new URL(`${origin.base}/${origin.master}`), {
        headers: { "accept-encoding": "identity", via },
        firstByteMs: upstream.timeouts.firstByteMs,
        trusted: origin.trusted,
      });
      answer.drop();
      health.succeeded(origin.authority);
      if (answer.status !== 200) return health.failed(origin.base, nowMs());
      health.succeeded(origin.base);
      log.info({ origin: origin.base }, "an origin is back");
    } catch {
      for (const key of [origin.base, origin.authority]) if (!health.isUp(key)) health.failed(key, nowMs());
    }
  }
}
