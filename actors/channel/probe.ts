/** Is a castis node there? The playback document has no health address, so a stream that nobody has is asked for. */
const PROBE_PATH = "/api/streams/castellan_probe.stream";
const PROBE_DEADLINE_MS = 5_000;

/** True for any answer that shows a working node which takes our credential. */
export const probeCastis = async (node: { baseUrl: string; credential: string | null }): Promise<boolean> => {
  try {
    const response = await fetch(`${node.baseUrl}${PROBE_PATH}`, {
      headers: node.credential === null ? {} : { authorization: `Bearer ${node.credential}` },
      redirect: "manual",
      signal: AbortSignal.timeout(PROBE_DEADLINE_MS),
    });
    await response.body?.cancel();
    return response.status === 200 || response.status === 404;
  } catch {
    return false;
  }
};
