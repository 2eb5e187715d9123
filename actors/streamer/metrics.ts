/** What a streamer node shows at `/metrics`. */
import { counter, gauge } from "../../lib/metrics/metrics.ts";

export const streamCount = gauge({
  name: "castellan_streams",
  help: "Streams on this node, by state.",
  labels: ["state"],
});
export const ingestStarts = counter({
  name: "castellan_ingest_starts_total",
  help: "How often an ffmpeg was started for a stream.",
});
