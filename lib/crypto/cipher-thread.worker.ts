/** The other end of `cipher-threads.ts`: encrypts segments where they lie, one after the other. */
import { parentPort, workerData } from "node:worker_threads";
import type { CipherAnswer, CipherOrder } from "./cipher-threads.ts";
import { encryptSegment } from "./segment-cipher.ts";

const memory = Buffer.from(workerData as SharedArrayBuffer); // what cipher-threads.ts gives

const answerTo = ({ number, at, end, key, iv }: CipherOrder): CipherAnswer => {
  try {
    return { number, end: encryptSegment({ key: Buffer.from(key), iv: Buffer.from(iv) }, memory, { at, end }) };
  } catch (error) {
    return { number, reason: String(error) };
  }
};

parentPort?.on("message", (order: CipherOrder) => parentPort?.postMessage(answerTo(order)));
