/** The other end of `cipher-threads.ts`: encrypts segments where they lie, one after the other. */
import { parentPort, workerData } from "node:worker_threads";
import type { CipherAnswer, CipherOrder } from "./cipher-threads.ts";
import { encryptSegment } from "./segment-cipher.ts";

const memory = Buffer.from(workerData as SharedArrayBuffer); // what cipher-threads.ts gives

/**
 * Each call of the cipher allocates its answer. V8 lets that grow to 64 MiB before it collects all, unless it is told
 * to collect what is young: then it is this much.
 */
const COLLECT_BYTES = 8 * 2 ** 20;
/** There where cipher-threads.ts could ask V8 for it. */
const { gc: collect } = globalThis as { readonly gc?: (how: { readonly type: "minor" }) => void };
let sinceCollection = 0;

const encrypted = ({ at, end, isLast, key, iv }: CipherOrder): number => {
  sinceCollection += end - at;
  if (sinceCollection >= COLLECT_BYTES) {
    sinceCollection = 0;
    collect?.({ type: "minor" });
  }
  return encryptSegment({ key: Buffer.from(key), iv: Buffer.from(iv) }, memory, { at, end, isLast });
};

const answerTo = (order: CipherOrder): CipherAnswer => {
  try {
    return { number: order.number, end: encrypted(order) };
  } catch (error) {
    return { number: order.number, reason: String(error) };
  }
};

parentPort?.on("message", (order: CipherOrder) => parentPort?.postMessage(answerTo(order)));
