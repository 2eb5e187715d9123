/**
 * The life of a stream.
 *
 * States and arrows:
 *   starting → live       the first sample was placed
 *   live → slate          no picture came for the net time-out; viewers see the slate
 *   slate → live          the picture is back, at a key frame on the grid
 *   starting, live, slate → backoff   ffmpeg ended, stalled, or the source's time jumped; the slate goes on meanwhile
 *   backoff → starting    its delay has passed
 *   backoff → failed      five runs in a row gave nothing; it is still tried every 10 s
 *   failed → starting     the next try
 *   live, slate → starting   another run is needed: the source's tracks changed, or a restart was asked for
 *   any → stopped         for good
 */
import type { StreamReport } from "../../contracts/streamer.ts";

export type State = StreamReport["state"];

/** What may follow what. */
export const ARROWS: Readonly<Record<State, readonly State[]>> = {
  stopped: ["starting"],
  starting: ["live", "backoff", "stopped"],
  live: ["slate", "backoff", "starting", "stopped"],
  slate: ["live", "backoff", "starting", "stopped"],
  backoff: ["starting", "failed", "stopped"],
  failed: ["starting", "stopped"],
};
