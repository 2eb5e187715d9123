/** What HTTP/2 connections put up with beside the limits that they share with HTTP/1.1 (`raw-limits.ts`). */
import type { ServerOptions } from "node:http2";
import type { RawLimits } from "./raw-limits.ts";

const KiB = 1024;

/** Requests of one connection at a time (RFC 9113 §6.5.2 advises 100 at least). */
export const STREAMS_MAX = 100;

/**
 * Streams that a client may break off before their answers are whole (CVE-2023-44487, and CVE-2025-8671 where it makes
 * us do so): this many at once, and then so many a second. Somebody who seeks in a film breaks off a few a second.
 */
export const RESETS_MAX = 200;
export const RESETS_PER_SECOND = 20;

/** Body bytes of one stream on their way to the kernel: pieces of 256 KiB cost the least, see `raw-exchange.ts`. */
const PIECE_BYTES_MAX = 256 * KiB;
const PIECE_BYTES_MIN = 16 * KiB; // a frame
/** Of all streams of a connection together: what a client that takes nothing can make us encrypt and hold. */
const ENCRYPTED_BYTES_MAX = 1024 * KiB; // STREAMS_MAX × PIECE_BYTES_MIN is 1.6 MiB

/** How much of its body each of `writerCount` streams may have on its way. */
export const pieceBytes = (writerCount: number): number =>
  Math.max(PIECE_BYTES_MIN, Math.min(PIECE_BYTES_MAX, Math.floor(ENCRYPTED_BYTES_MAX / writerCount)));

const INVALID_FRAMES_MAX = 100;
const REJECTED_STREAMS_MAX = 100;
const OUTSTANDING_PINGS_MAX = 10;
const SETTINGS_MAX = 32; // entries of a SETTINGS frame
/** Of nghttp2: 100 heads of 64 KiB, and bodies on their way: 4.4 MB when each stream began before the next. */
const SESSION_MEGABYTES_MAX = 16;
const PSEUDO_FIELDS = 4;

/** What a session of node:http2 is made with. */
export const sessionOptions = ({ headBytes, fieldCount, aheadBytes }: RawLimits): ServerOptions => ({
  maxSessionMemory: SESSION_MEGABYTES_MAX,
  // Above twice our own limits node:http2 resets the stream; between them the client is told with a 431.
  maxHeaderListPairs: 2 * (fieldCount + PSEUDO_FIELDS),
  maxSessionInvalidFrames: INVALID_FRAMES_MAX,
  maxSessionRejectedStreams: REJECTED_STREAMS_MAX,
  maxOutstandingPings: OUTSTANDING_PINGS_MAX,
  maxSettings: SETTINGS_MAX,
  streamResetBurst: RESETS_MAX,
  streamResetRate: RESETS_PER_SECOND,
  settings: {
    enablePush: false,
    maxConcurrentStreams: STREAMS_MAX,
    maxHeaderListSize: 2 * headBytes,
    // What a client may send ahead of its being read; each of its streams may, so no more than that.
    initialWindowSize: aheadBytes,
  },
});
