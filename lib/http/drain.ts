/** What is done with a body that nobody wants any more, so that its sender gets to read the answer. */
import type { IncomingMessage } from "node:http";

const DRAIN_BYTES_MAX = 4 * 1024 * 1024;
const DRAIN_MS = 5_000;

/** Lets the rest of a body pass by, and cuts a client that goes on for too long. */
export const drain = (request: IncomingMessage): void => {
  if (request.complete || request.destroyed) return;
  let drainedBytes = 0;
  const cut = setTimeout(() => request.destroy(), DRAIN_MS).unref();
  request.on("data", (chunk: Buffer) => {
    drainedBytes += chunk.length;
    if (drainedBytes > DRAIN_BYTES_MAX) request.destroy();
  });
  request.once("close", () => clearTimeout(cut));
  request.resume();
};
