/**
 * What multivariant playlists say of a file: its codecs, and the rates of what is really sent (RFC 8216bis §4.4.6.2).
 */
import assert from "node:assert/strict";
import type HLS from "hls-parser";
import { textOf } from "./client.ts";
import { mediaList, parsedList } from "./lists.ts";
import { fetchAll } from "./served.ts";
import type { Subject } from "./subjects.ts";

interface Rates {
  readonly peakBps: number;
  readonly averageBps: number;
}

/** The peak is the highest rate of consecutive segments that are together half to one and a half targets long. */
const ratesOf = async (url: string): Promise<Rates> => {
  const list = await mediaList(url);
  const sizes = (await fetchAll(list)).segments.map(({ length }) => length * 8);
  const averageBps = sizes.reduce((sum, bits) => sum + bits, 0) / list.totalSeconds;
  let peakBps = 0;
  for (const first of sizes.keys()) {
    let [bits, seconds] = [0, 0];
    for (let index = first; index < sizes.length && seconds < 1.5 * list.targetSeconds; index += 1) {
      bits += sizes[index] ?? 0;
      seconds += list.segments[index]?.seconds ?? 0;
      const counts = seconds >= 0.5 * list.targetSeconds && seconds <= 1.5 * list.targetSeconds;
      if (counts) peakBps = Math.max(peakBps, bits / seconds);
    }
  }
  return { peakBps: Math.max(peakBps, averageBps), averageBps };
};

/** No less than what is sent, and hardly more: times are told in milliseconds. */
const assertNear = (told: number | undefined, sent: number, label: string): void =>
  assert.ok(told !== undefined && told >= sent * 0.995 && told <= sent * 1.03 + 1_000, `${label}: ${told} of ${sent}`);

const variantOf = async (url: string): Promise<HLS.types.Variant> => {
  const master = parsedList(url, await textOf(url));
  assert.ok(master.isMasterPlaylist);
  const [variant, ...others] = (master as HLS.types.MasterPlaylist).variants.filter(
    ({ isIFrameOnly }) => !isIFrameOnly,
  );
  assert.deepEqual(others, [], url);
  return variant ?? assert.fail(url);
};

const sum = (one: Rates, other: Rates): Rates => ({
  peakBps: one.peakBps + other.peakBps,
  averageBps: one.averageBps + other.averageBps,
});

/** The multivariant playlists of one file with at most one sound. */
export const assertMasters = async (subject: Subject, { inTs }: { readonly inTs: boolean }): Promise<void> => {
  const { url, truth } = subject;
  const codecs = [...(truth.video ? [truth.video] : []), ...truth.audio].map((track) => track.codecs).join();
  const check = (label: string, variant: HLS.types.Variant, sent: Rates): void => {
    assert.equal(variant.codecs, codecs, label);
    assertNear(variant.bandwidth, sent.peakBps, `${label} BANDWIDTH`);
    assertNear(variant.averageBandwidth, sent.averageBps, `${label} AVERAGE-BANDWIDTH`);
  };
  const alone: Rates[] = [];
  if (truth.video) alone.push(await ratesOf(`${url}/cmaf_0_v.m3u8`));
  if (truth.audio.length > 0) alone.push(await ratesOf(`${url}/cmaf_0_a.m3u8`));
  check(`${url}/cmaf.m3u8`, await variantOf(`${url}/cmaf.m3u8`), alone.reduce(sum));
  if (!inTs) return;
  const master = `${url}/master.m3u8?set-akamai-hls-revision=5`;
  check(master, await variantOf(master), await ratesOf(`${url}/index.m3u8`));
};
