/** Encrypted formats of one file: decrypted by others, they are what is in it. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { answerOf, got } from "./client.ts";
import { assertTsAudio, assertTsVideo, joined } from "./compare.ts";
import { assertPlayed, assertPlayedToAnEnd } from "./expected.ts";
import { assertFmp4, assertTs } from "./formats.ts";
import { assertIFrames } from "./iframes.ts";
import { mediaList } from "./lists.ts";
import { play } from "./play.ts";
import { decryptedSegment } from "./sample-aes.ts";
import { fetchAll, type ServedSegment, tsSegments, type Unit } from "./served.ts";
import type { Subject } from "./subjects.ts";
import type { KeyServer } from "./truth.ts";

const KEY_BYTES = 16;

const keyOf = async ({ url }: Subject): Promise<string> => {
  const { bytes, headers } = await got(`${url}/key_0.bin`);
  assert.equal(bytes.length, KEY_BYTES);
  assert.equal(headers.get("cache-control"), "no-store");
  return bytes.toString("hex");
};

const firstTracks = ({ truth }: Subject) => [...(truth.video ? [truth.video] : []), ...truth.audio.slice(0, 1)];
const allTracks = ({ truth }: Subject) => [...(truth.video ? [truth.video] : []), ...truth.audio];

/** AES-128 of whole segments: by OpenSSL, and by ffmpeg as a player. */
export const assertAes128 = async (subject: Subject, { inTs }: { readonly inTs: boolean }): Promise<void> => {
  const { url } = subject;
  const fmp4 = await assertFmp4(subject); // decrypts what it fetches
  const clear = fmp4.list.segments.filter(({ key }) => key?.method !== "AES-128" || key.iv === null);
  assert.deepEqual(clear, []);
  if (inTs) await assertTs(subject);
  await assertIFrames(subject, { inTs });
  const addresses = [`${url}/cmaf_0_av.m3u8`, ...(inTs ? [`${url}/index.m3u8`] : [])];
  const [played = [], ts] = await play(addresses);
  const tracks = firstTracks(subject);
  assertPlayed(played, { subject, tracks, container: "fmp4", label: "AES-128 fMP4" });
  if (ts) assertPlayed(ts, { subject, tracks, container: "ts", label: "AES-128 TS" });
  assert.equal((await answerOf(`${url}/manifest.mpd`)).status, 415, "DASH has no such encryption");
};

export interface CommonScheme {
  readonly scheme: "cenc" | "cbcs";
}
const HLS_METHODS = { cenc: "SAMPLE-AES-CTR", cbcs: "SAMPLE-AES" };

/** Of Clear Key (W3C EME §9.1), for the key ids that are in the init segments. */
export const licences =
  ({ url }: Subject): KeyServer =>
  async (keyId) => {
    const kids = [Buffer.from(keyId, "hex").toString("base64url")];
    const answer = await fetch(`${url}/clearkey`, {
      method: "POST",
      body: JSON.stringify({ kids, type: "temporary" }),
    });
    assert.equal(answer.status, 200);
    const { keys } = (await answer.json()) as {
      readonly keys: readonly { readonly kid: string; readonly k: string }[];
    };
    assert.deepEqual([keys.map(({ kid }) => kid)], [kids]);
    return Buffer.from(keys[0]?.k ?? "", "base64url").toString("hex");
  };

/** Common encryption: mediabunny with a licence and ffmpeg with the key get the source's samples. */
export const assertCommon = async (clear: Subject, { scheme }: CommonScheme): Promise<void> => {
  const subject = { ...clear, keyServer: licences(clear) };
  const { list, fetched } = await assertFmp4(subject);
  await assertIFrames(subject, { inTs: false });
  for (const { key } of list.segments) assert.equal(key?.method, HLS_METHODS[scheme], list.url);
  const key = await keyOf(subject);
  const folder = await mkdtemp(path.join(tmpdir(), "castellan-encrypted-"));
  try {
    const file = path.join(folder, "muxed.mp4");
    await writeFile(file, Buffer.concat([fetched.init ?? assert.fail(list.url), ...fetched.segments]));
    const [muxed = []] = await play([file], { before: ["-decryption_key", key] });
    assertPlayed(muxed, { subject, tracks: firstTracks(subject), container: "fmp4", label: scheme });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const [dash = []] = await play([`${subject.url}/manifest.mpd`], { before: ["-cenc_decryption_key", key] });
  assertPlayedToAnEnd(dash, { subject, tracks: allTracks(subject), container: "fmp4", label: `${scheme} DASH` });
};

/** A playlist of a transport stream in SAMPLE-AES, in the clear. */
const clearSegments = async (url: string, key: Buffer): Promise<ServedSegment<Unit>> => {
  const list = await mediaList(url);
  const fetched = await fetchAll(list);
  const segments = tsSegments(fetched).map((segment, index) => {
    const { method, iv } = list.segments[index]?.key ?? assert.fail("a segment without a key");
    assert.equal(method, "SAMPLE-AES");
    return decryptedSegment(segment, { key, iv: iv ?? assert.fail("no IV") });
  });
  return joined(segments);
};

/** SAMPLE-AES in MPEG-2 TS. ffmpeg judges it in domain/ts: it forgets the key of what is last in a playlist. */
export const assertSampleAes = async (subject: Subject): Promise<void> => {
  const { url, truth, lateSeconds } = subject;
  const key = Buffer.from(await keyOf(subject), "hex");
  const { video } = truth;
  const [sound] = truth.audio;
  const tolerance = { label: "SAMPLE-AES", lateSeconds };
  const muxed = await clearSegments(`${url}/index.m3u8`, key);
  if (video) assertTsVideo(muxed.video, video, tolerance);
  if (sound) assertTsAudio(muxed.audio, sound, tolerance);
  if (sound) assertTsAudio((await clearSegments(`${url}/index_0_a.m3u8`, key)).audio, sound, tolerance);
  if (!video) return;
  const keys = { ...video, samples: video.samples.filter(({ isKey }) => isKey) };
  assertTsVideo((await clearSegments(`${url}/iframes_0_v.m3u8`, key)).video, keys, tolerance);
};

/** Not offered in MPEG-2 TS. */
export const assertNotInTs = async ({ url }: Subject): Promise<void> => {
  for (const leaf of ["master.m3u8", "index.m3u8", "segment1_0_av.ts"]) {
    assert.equal((await answerOf(`${url}/${leaf}`)).status, 415, leaf);
  }
};
