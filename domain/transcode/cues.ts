/** Cues of a WebVTT file as ffmpeg writes it. */

const STAMP = String.raw`(?:\d{2,}:)?\d\d:\d\d\.\d{3}`;
const TIMING = new RegExp(`^(${STAMP}) --> (${STAMP})(.*)$`);
/** As long as a reader needs for two lines. */
const SHOWN_MS_MAX = 5_000;

const millis = (stamp: string): number =>
  stamp.split(":").reduce((sum, part) => sum * 60 + Math.round(Number(part) * 1_000), 0);
const stamped = (ms: number): string => {
  const part = (value: number, digits: number): string => String(value).padStart(digits, "0");
  const [hours, minutes] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60];
  return `${part(hours, 2)}:${part(minutes, 2)}:${part(Math.floor(ms / 1_000) % 60, 2)}.${part(ms % 1_000, 3)}`;
};

/**
 * Containers without durations give cues that end when they begin, and are never shown: each stays until the next one,
 * at most five seconds.
 */
export const withEnds = (vtt: string): string => {
  const lines = vtt.split("\n");
  let nextMs = Number.POSITIVE_INFINITY;
  for (let at = lines.length - 1; at >= 0; at -= 1) {
    const [, from, to, settings = ""] = TIMING.exec(lines[at] ?? "") ?? [];
    if (from === undefined || to === undefined) continue;
    const fromMs = millis(from);
    if (millis(to) <= fromMs) {
      const untilMs = nextMs > fromMs ? Math.min(nextMs, fromMs + SHOWN_MS_MAX) : fromMs + SHOWN_MS_MAX;
      lines[at] = `${from} --> ${stamped(untilMs)}${settings}`;
    }
    nextMs = fromMs;
  }
  return lines.join("\n");
};
