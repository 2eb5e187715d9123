/** What an undisturbed packager serves of films: every answer of another one is held to it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { startTestPackager } from "../../actors/packager/packager.fixture.ts";
import { type Content, startOrigin } from "./origin.ts";

export const digestOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export const TEXTS = ["master.m3u8", "cmaf.m3u8", "index_0_av.m3u8", "cmaf_0_v.m3u8", "cmaf_0_a.m3u8", "manifest.mpd"];
export const MEDIA = [
  ...[1, 2, 3, 4].flatMap((number) => ["av.ts", "v.m4s", "a.m4s"].map((tail) => `segment${number}_0_${tail}`)),
  "init_0_v.mp4",
  "init_0_a.mp4",
  "iframe2_0_v.ts",
];

/** Of one content, under whatever name. */
export interface Truth {
  /** What its media are asked with: `v`. */
  readonly version: string;
  /** By the name of what is asked for. */
  readonly digests: ReadonlyMap<string, string>;
}

/** How sources and segments are told apart has to be the same here and there. */
export const SAME = { CASTERPAK_OUTPUT_SEGMENTDURATION: "1" };

/** Of each content, in their order. */
export const truthsOf = async (contents: readonly Content[]): Promise<readonly Truth[]> => {
  const cleanings: (() => void | Promise<void>)[] = [];
  const t = { after: (clean: () => void | Promise<void>) => void cleanings.push(clean) };
  const files = new Map(contents.map((content, index) => [`calm/${index}.mp4`, content]));
  const origin = await startOrigin(t, files);
  const env = { ...SAME, CASTERPAK_INPUT_INPUT_TYPE: "http", CASTERPAK_HTTP_URL: `${origin.url}/calm` };
  const { url } = await startTestPackager(t, { env });
  const get = async (path: string): Promise<Buffer> => {
    const answer = await fetch(`${url}/i/${path}`);
    const bytes = Buffer.from(await answer.arrayBuffer());
    assert.equal(answer.status, 200, `${path}: ${bytes.subarray(0, 300)}`);
    return bytes;
  };
  const truths: Truth[] = [];
  for (const index of contents.keys()) {
    const list = (await get(`${index}.mp4/index_0_av.m3u8`)).toString();
    const version = /\?v=(\w+)$/m.exec(list)?.[1] ?? assert.fail(list);
    const digests = new Map<string, string>();
    for (const name of TEXTS) digests.set(name, digestOf(await get(`${index}.mp4/${name}`)));
    for (const name of MEDIA) digests.set(name, digestOf(await get(`${index}.mp4/${name}?v=${version}`)));
    truths.push({ version, digests });
  }
  for (const clean of cleanings.reverse()) await clean();
  assert.equal(new Set(truths.map(({ version }) => version)).size, contents.length);
  return truths;
};
