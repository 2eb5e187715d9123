/** Opens what a stream is fed from: checks its URL against the rules and gives ffmpeg's input for it. */
import { fail } from "../../contracts/errors.ts";
import { parseSource, type Source } from "../../domain/source-url.ts";
import type { Ffmpeg } from "../../lib/ffmpeg/binary.ts";
import { canBurst, loopInput, networkInput } from "../../lib/ffmpeg/inputs.ts";
import type { FrameRate } from "../../lib/ffmpeg/source-info.ts";
import { guardSource, type Resolve } from "../../lib/source-guard.ts";
import type { Loop, LoopStore } from "./loop-store.ts";

export interface SourceRules {
  readonly allowPrivateSources: readonly string[];
  readonly resolve?: Resolve;
}
export interface SourceDeps extends SourceRules {
  readonly ffmpeg: Ffmpeg;
  readonly loops: LoopStore;
  /** A proxy on this machine that lets connections through only to addresses that the rules allow. */
  readonly guardProxyUrl: string | null;
}
/** Whose source it is. */
export interface SourceOwner {
  readonly tenant: string;
  readonly trusted: boolean;
}
export interface Input {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** A source of a loop may be read ahead so far: two segments and what has begun of the third are there at once. */
const LEAD_SEGMENTS = 2;
/** From the spawn to the first frame. */
const STARTUP_MS = 250;

export class SourceOpener {
  readonly #deps: SourceDeps;
  constructor(deps: SourceDeps) {
    this.#deps = deps;
  }

  /** Throws SOURCE_URL_REFUSED or PLAYLIST_NOT_FOUND; `address` is what the host resolved to. */
  async check(url: string, owner: SourceOwner): Promise<{ source: Source; address: string | null }> {
    const parsed = parseSource(url);
    if (!parsed.ok) return fail("SOURCE_URL_REFUSED", { url, reason: parsed.reason });
    const { source } = parsed;
    if (source.kind === "pl") await this.#deps.loops.files(owner.tenant, source.name);
    const guarded = await guardSource(source, { ...this.#deps, trusted: owner.trusted });
    if (!guarded.ok) return fail("SOURCE_URL_REFUSED", { url, reason: guarded.reason });
    return { source, address: guarded.addresses[0] ?? null };
  }

  /** Conforms what has to be; a long film takes minutes the first time. */
  openLoop(tenant: string, name: string, rate: FrameRate | null): Promise<Loop> {
    return this.#deps.loops.open(tenant, name, rate);
  }

  /** Input of a loop that is played since `loopStartedAt`, and the stream time (90 kHz ticks) of its first frame. */
  async loopInput(
    loop: Loop,
    at: { streamKey: string; loopStartedAt: number; nowMs: number; segmentTicks: number },
  ): Promise<{ input: Input; startTicks: number }> {
    const gopTicks = Math.round((loop.gopFrames * loop.frameRate.den * 90_000) / loop.frameRate.num);
    const nowTicks = (at.nowMs + STARTUP_MS - at.loopStartedAt) * 90;
    const lead = canBurst(this.#deps.ffmpeg) ? LEAD_SEGMENTS * at.segmentTicks : 0;
    // With a lead the run begins at a segment's start, else at a key frame.
    const grid = lead > 0 ? at.segmentTicks : gopTicks;
    const startTicks = Math.max(0, Math.floor((nowTicks - lead) / grid) * grid);
    const startGop = Math.round(startTicks / gopTicks) % loop.gopCount;
    const list = await this.#deps.loops.writeLists(loop, at.streamKey, startGop);
    const burstSeconds = lead > 0 ? (nowTicks - startTicks) / 90_000 : 0;
    return { input: { args: loopInput(list, burstSeconds), env: {} }, startTicks };
  }

  networkInput(
    source: Exclude<Source, { kind: "pl" }>,
    how: { address: string | null; trusted: boolean; analysisMs: number },
  ): Input {
    const { guardProxyUrl } = this.#deps;
    const isGuarded = !how.trusted && guardProxyUrl !== null;
    return {
      args: networkInput(source, how),
      // ffmpeg takes the proxy from there for every connection, also those that a playlist or a redirect leads to
      env: isGuarded ? { http_proxy: guardProxyUrl } : {},
    };
  }
}

const FIFO_PACKET_BYTES = 188;
const FIFO_BYTES_USUAL = 64 * 2 ** 20;

/** Bytes that ffmpeg's receive ring takes for a source, where they are worth a warning; null otherwise. */
export const largeFifoBytes = (source: Source): number | null => {
  const fifoBytes = source.kind === "udp" ? Number(source.options.fifo_size ?? 0) * FIFO_PACKET_BYTES : 0;
  return fifoBytes > FIFO_BYTES_USUAL ? fifoBytes : null;
};

/** True for sources that wait for somebody to connect: silence is no fault of theirs. */
export const isListener = (source: Source): boolean =>
  (source.kind === "srt" && source.mode === "listener") || (source.kind === "rtmp" && source.listen);
