/** From what a stream was told, and what is known of its source, to how it is cut and encoded. Pure. */
import type { z } from "zod";
import { fail } from "../../contracts/errors.ts";
import { StreamPayload } from "../../contracts/streamer.ts";
import { ladderFor } from "../../domain/ladder/ladder.ts";
import { type FrameRate, type Grid, gridOf, usualRate } from "../../domain/live/grid.ts";
import type { RenditionSpec } from "../../domain/live/presentation.ts";
import type { EncodeSettings } from "../../lib/ffmpeg/encode.ts";
import { frameRateOf } from "../../lib/ffmpeg/source-info.ts";
import { fieldErrors } from "../../lib/field-errors.ts";
import { AUDIO_RENDITION } from "./slate.ts";
import type { Learned } from "./state-file.ts";

/** Keys that we don't know are kept: a payload is told back as it was given. */
export type Payload = z.output<typeof StreamPayload>;

const SEGMENT_MS = { min: 1_000, otherwise: 4_000, max: 10_000 };
const PART_MS = { min: 40, otherwise: 200, max: 2_000 };
const NET_TIMEOUT_MS = { min: 100, otherwise: 500, max: 60_000 };
const AUDIO_KBPS = 96;
const WINDOW_MS = 60_000;
const WINDOW_SEGMENTS_MIN = 6;
const RATE_UNKNOWN: FrameRate = { num: 25, den: 1 };

/** Checks a payload (the body of the castis API's POST); BAD_INPUT with the fields that are wrong. */
export const parsePayload = (payload: unknown): Payload => {
  const parsed = StreamPayload.safeParse(payload);
  return parsed.success ? parsed.data : fail("BAD_INPUT", { errors: fieldErrors(parsed.error) });
};

/** `4000ms`, `4s` within bounds: what lies outside is cut to them. */
const durationMs = (text: string | undefined, { min, otherwise, max }: typeof SEGMENT_MS): number => {
  const [, number, unit] = /^([\d.]+)(ms|s)$/.exec(text ?? "") ?? [];
  if (number === undefined) return otherwise;
  return Math.min(max, Math.max(min, Number(number) * (unit === "s" ? 1000 : 1)));
};

/** The rate that a payload asks for; null: the source's. */
export const wantedRate = ({ frameRate }: Payload): FrameRate | null => {
  const rate = frameRate === undefined ? null : frameRateOf(frameRate);
  return rate && usualRate(rate);
};

export interface Known {
  /** The channel's rate wins over all others: its grid is cut by it. */
  readonly anchorRate: FrameRate | null;
  readonly learned: Learned | null;
}
export interface Machine {
  readonly cores: number;
  /** x264 preset where a payload names none. */
  readonly preset: string;
}
export interface Plan {
  readonly grid: Grid;
  readonly settings: EncodeSettings;
  readonly renditions: readonly RenditionSpec[];
  readonly windowSegments: number;
  readonly netTimeoutMs: number;
  /** What the encoder may use, bit/s by rendition. */
  readonly declaredBps: Readonly<Record<string, number>>;
  /** Equal for two plans that viewers can't tell apart. */
  readonly shape: string;
}

export const planOf = (payload: Payload, known: Known, machine: Machine): Plan => {
  const frameRate = usualRate(known.anchorRate ?? wantedRate(payload) ?? known.learned?.frameRate ?? RATE_UNKNOWN);
  const segmentMs = durationMs(payload.chunkDuration, SEGMENT_MS);
  const grid = gridOf({ segmentMs, partMs: durationMs(payload.fragmentDuration, PART_MS), frameRate });
  const { width, height } = known.learned ?? { width: null, height: null };
  const rungs = ladderFor(payload, width && height ? { width, height } : null, machine);
  const settings: EncodeSettings = {
    frameRate,
    gopFrames: grid.gopFrames,
    rungs,
    preset: payload.preset ?? machine.preset,
    audioKbps: payload.audioKbps ?? AUDIO_KBPS,
  };
  return {
    grid,
    settings,
    renditions: [
      ...rungs.map(({ name }) => ({ name, kind: "video" as const })),
      { name: AUDIO_RENDITION, kind: "audio" as const },
    ],
    windowSegments: Math.max(WINDOW_SEGMENTS_MIN, Math.ceil(WINDOW_MS / (grid.segmentTicks / 90))),
    netTimeoutMs: durationMs(payload.netTimeout, NET_TIMEOUT_MS),
    declaredBps: {
      ...Object.fromEntries(rungs.map(({ name, videoKbps }) => [name, videoKbps * 1000])),
      [AUDIO_RENDITION]: settings.audioKbps * 1000,
    },
    shape: JSON.stringify([grid, settings]),
  };
};
