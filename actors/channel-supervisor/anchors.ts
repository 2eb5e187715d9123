/**
 * One anchor per channel (domain/live): the first origin to propose one sets it, a proposal of a higher anchor epoch
 * moves it, and every origin of ours gets what stands in the row. Also: origins whose init segments differ are told
 * apart.
 */
import type { Anchor, StreamReport } from "../../contracts/streamer.ts";

/** The row follows the source's clock in steps of this size: restarts then begin within it. */
const RESIDUAL_STEP_MS = 100;

export interface AnchorStore {
  /** Writes a first or a moved anchor if nobody was faster; returns the one that stands. */
  write(anchor: Anchor): Promise<Anchor | undefined>;
  writeResidual(at: { anchorEpoch: number; residualMs: number }): Promise<void>;
}
export interface AnchorDeps {
  readonly store: AnchorStore;
  /** Tells one origin; a hint that may get lost, as its next report asks again. */
  readonly tell: (originId: number, anchor: Anchor) => void;
}

export class Anchors {
  readonly #deps: AnchorDeps;
  #current: Anchor | null;
  #writing = false;

  constructor(deps: AnchorDeps, current: Anchor | null) {
    this.#deps = deps;
    this.#current = current;
  }

  get current(): Anchor | null {
    return this.#current;
  }

  /** What an origin's report asks for. */
  async consider(originId: number, report: StreamReport): Promise<void> {
    const { anchorProposal: proposal, anchorEpoch, residualMs } = report;
    const current = this.#current;
    if (proposal !== null && (current === null || proposal.anchorEpoch > current.anchorEpoch)) {
      await this.#write(originId, proposal);
      return;
    }
    if (current === null) return;
    const isBehind = anchorEpoch === null || anchorEpoch < current.anchorEpoch;
    // A loop neither has an anchor nor asks for one.
    if (proposal !== null || (isBehind && anchorEpoch !== null)) this.#deps.tell(originId, current);
    else if (anchorEpoch === current.anchorEpoch && residualMs !== null && report.state === "live")
      await this.#follow(current, residualMs);
  }

  async #write(originId: number, proposal: Anchor): Promise<void> {
    if (this.#writing) return; // the proposal comes again with the next report
    this.#writing = true;
    try {
      const standing = await this.#deps.store.write(proposal);
      if (standing === undefined) return;
      this.#current = standing;
      this.#deps.tell(originId, standing);
    } finally {
      this.#writing = false;
    }
  }

  async #follow(current: Anchor, residualMs: number): Promise<void> {
    if (this.#writing || Math.abs(residualMs - current.residualMs) <= RESIDUAL_STEP_MS) return;
    this.#writing = true;
    try {
      await this.#deps.store.writeResidual({ anchorEpoch: current.anchorEpoch, residualMs });
      this.#current = { ...current, residualMs };
    } finally {
      this.#writing = false;
    }
  }
}

export interface HashesOf {
  readonly originId: number;
  readonly hashes: Readonly<Record<string, string>>;
}

/**
 * Origins (oldest first) whose init segments differ from those of the first that has any, with the rendition: a player
 * that has one init segment can't decode the media of the other.
 */
export const hashConflicts = (origins: readonly HashesOf[]): ReadonlyMap<number, string> => {
  const conflicts = new Map<number, string>();
  const first = origins.find(({ hashes }) => Object.keys(hashes).length > 0);
  if (first === undefined) return conflicts;
  for (const { originId, hashes } of origins) {
    const name = Object.keys(hashes).find((key) => key in first.hashes && hashes[key] !== first.hashes[key]);
    if (name !== undefined) conflicts.set(originId, name);
  }
  return conflicts;
};
