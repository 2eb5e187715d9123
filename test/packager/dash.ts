/** What an MPD says of times and addresses (ISO/IEC 23009-1 §5.3.9), against the segments that are there. */
import assert from "node:assert/strict";
import { SaxesParser } from "saxes";
import { got, textOf } from "./client.ts";
import { shownSeconds, TIMES_NEAR_SECONDS } from "./formats.ts";
import { fmp4Segments, OFFSET_SECONDS } from "./served.ts";
import type { Subject } from "./subjects.ts";
import type { Sample, SampledTrack } from "./truth.ts";

type Attributes = Readonly<Record<string, string>>;
interface Entry {
  readonly start: number;
  readonly ticks: number;
}
export interface Representation {
  readonly id: string;
  readonly attributes: Attributes;
  /** Of its template, inherited ones too. */
  readonly template: Attributes;
  readonly entries: readonly Entry[];
}
export interface Mpd {
  readonly attributes: Attributes;
  readonly representations: readonly Representation[];
}

const DURATION = /^PT([\d.]+)S$/;

/** Reads what is needed of an MPD; an `S` without `t` begins where the one before it ends. */
export const readMpd = (text: string): Mpd => {
  const representations: Representation[] = [];
  let mpd: Attributes = {};
  let own: { attributes: Attributes; template: Attributes; entries: Entry[] } | null = null;
  let shared: { template: Attributes; entries: Entry[] } = { template: {}, entries: [] };
  const parser = new SaxesParser();
  parser.on("error", (error) => assert.fail(error.message));
  parser.on("opentag", ({ name, attributes }) => {
    if (name === "MPD") mpd = attributes;
    if (name === "AdaptationSet") shared = { template: {}, entries: [] };
    if (name === "Representation") own = { attributes, template: shared.template, entries: [...shared.entries] };
    const target = own ?? shared;
    if (name === "SegmentTemplate") target.template = { ...target.template, ...attributes };
    if (name !== "S") return;
    const { t, d = "", r = "0" } = attributes;
    const last = target.entries.at(-1);
    let start = t === undefined ? (last?.start ?? 0) + (last?.ticks ?? 0) : Number(t);
    for (let repeat = 0; repeat <= Number(r); repeat += 1) {
      target.entries.push({ start, ticks: Number(d) });
      start += Number(d);
    }
  });
  parser.on("closetag", ({ name }) => {
    if (name !== "Representation" || own === null) return;
    representations.push({ id: own.attributes.id ?? "", ...own });
    own = null;
  });
  parser.write(text).close();
  return { attributes: mpd, representations };
};

const addressOf = (template: string, { id }: Representation, number: number): string =>
  template.replaceAll("$RepresentationID$", id).replaceAll("$Number$", String(number)).replaceAll("$$", "$");

/** Its segments begin where it says, each where the one before it ends. */
const assertTimeline = (one: Representation, segments: readonly (readonly Sample[])[]): void => {
  const { entries, template, id } = one;
  const timescale = Number(template.timescale);
  for (const [index, samples] of segments.entries()) {
    const { start } = entries[index] ?? assert.fail(`${id}: segment ${index} is not listed`);
    const before = entries[index - 1];
    if (before) assert.equal(start, before.start + before.ticks, `${id}: entry ${index}`);
    if (samples.length === 0) continue;
    const earliest = Math.min(...samples.map(({ ptsSeconds }) => ptsSeconds)) + OFFSET_SECONDS;
    assert.ok(Math.abs(earliest * timescale - start) < 0.5, `${id}: segment ${index} at ${earliest}, not ${start}`);
  }
};

const samplesOf = async (subject: Subject, one: Representation, hasVideo: boolean): Promise<Sample[][]> => {
  const { template, entries } = one;
  const from = Number(template.startNumber ?? 1);
  const at = (name: string | undefined, number: number): string =>
    new URL(addressOf(name ?? "", one, number), `${subject.url}/manifest.mpd`).href;
  const init = (await got(at(template.initialization, from))).bytes;
  const segments: Buffer[] = [];
  for (const index of entries.keys()) segments.push((await got(at(template.media, from + index))).bytes);
  const { keyServer } = subject;
  const found = await fmp4Segments({ init, segments }, { hasVideo, keyServer });
  return found.map(({ video, audio }) => [...(hasVideo ? video : audio)]);
};

/** Each Representation that is expected, with all of its track's samples. */
export const assertRepresentations = async (
  subject: Subject,
  expected: ReadonlyMap<string, SampledTrack>,
): Promise<void> => {
  const { url, lateSeconds } = subject;
  const { attributes, representations } = readMpd(await textOf(`${url}/manifest.mpd`));
  const media = representations.filter(({ template }) => template.media !== undefined);
  assert.deepEqual(
    media.map(({ id, attributes: { codecs } }) => [id, codecs]),
    [...expected].map(([id, { codecs }]) => [id, codecs]),
    url,
  );
  const told = Number(DURATION.exec(attributes.mediaPresentationDuration ?? "")?.[1]);
  assert.ok(Math.abs(told - shownSeconds(subject)[1]) <= TIMES_NEAR_SECONDS, `${url}: ${told} s`);
  for (const one of media) {
    const track = expected.get(one.id) ?? assert.fail();
    const timescale = Number(one.template.timescale);
    const segments = await samplesOf(subject, one, track.kind === "video");
    assert.equal(segments.flat().length, track.samples.length, `${url}: ${one.id}`);
    assertTimeline(one, segments);
    assert.equal(Number(one.template.presentationTimeOffset), OFFSET_SECONDS * timescale);
    const end = (one.entries.at(-1)?.start ?? 0) + (one.entries.at(-1)?.ticks ?? 0);
    const last = Math.max(...track.samples.map(({ endSeconds }) => endSeconds)) + lateSeconds + OFFSET_SECONDS;
    assert.ok(Math.abs(end / timescale - last) <= TIMES_NEAR_SECONDS, `${one.id}: ${end}, ${last}`);
  }
};

/** The MPD of one file: a Representation for each of its tracks. */
export const assertMpd = (subject: Subject): Promise<void> => {
  const { video, audio } = subject.truth;
  const sounds = audio.map((track, index) => [index === 0 ? "0_a" : `0_a${index + 1}`, track] as const);
  const pictures = video ? [["0_v", video] as const] : [];
  return assertRepresentations(subject, new Map([...pictures, ...sounds]));
};
