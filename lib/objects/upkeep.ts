/** What an object store on a server needs from time to time: its buckets, and an end of what kills broke off. */
import type { Log } from "../log/log.ts";
import type { ObjectStore } from "./port.ts";

const EVERY_MS = 3_600_000;
const AGAIN_MS = 5_000;

/** At once, until that went well, and each hour from then on; gives what ends it. */
export const keepUp = (objects: Pick<ObjectStore, "ping">, log: Log): (() => void) => {
  let timer: NodeJS.Timeout | undefined;
  let isEnded = false;
  const look = async (): Promise<void> => {
    const isWell = await objects.ping().then(
      () => true,
      (error: unknown) => {
        log.warn({ err: error }, "object store: its buckets can't be looked after at the moment");
        return false;
      },
    );
    if (!isEnded) timer = setTimeout(() => void look(), isWell ? EVERY_MS : AGAIN_MS).unref();
  };
  void look();
  return () => {
    isEnded = true;
    clearTimeout(timer);
  };
};
