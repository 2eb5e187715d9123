/**
 * Waits for work, or for its signal: a disk behind a dead network does not end what waits for it, whatever it is told.
 * `late` takes what comes when nobody waits any more.
 */
export const untilAborted = <T>(
  work: Promise<T>,
  signal: AbortSignal,
  late: (result: T) => void = () => {},
): Promise<T> =>
  new Promise((resolve, reject) => {
    let isLate = false;
    const onAbort = (): void => {
      isLate = true;
      reject(signal.reason);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    work.then(
      (result) => {
        signal.removeEventListener("abort", onAbort);
        if (isLate) late(result);
        else resolve(result);
      },
      (error: unknown) => {
        signal.removeEventListener("abort", onAbort);
        reject(error);
      },
    );
  });
