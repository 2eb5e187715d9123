/** What a viewer does with a film, and what must be true of each picture and sound meanwhile. */
import assert from "node:assert/strict";
import { CUE_SECONDS, FILM_SECONDS, FRAMES_PER_SECOND, KEY_FRAME_EVERY, PITCH_STEP, PITCHES } from "./media.ts";
import type { Frame, Heard, Picture, Viewer, Written } from "./viewer.ts";

const WITHIN_SECONDS = 0.1;
/** Of the pictures of a second, those that a busy machine at least shows. */
const SHOWN_LEAST = 2;

export type Language = keyof typeof PITCHES;

/** Pitches that a language has somewhere in the film. */
export const bandOf = (language: Language): readonly [low: number, high: number] => {
  const low = PITCHES[language];
  return [low, low + PITCH_STEP * FILM_SECONDS];
};

const assertNear = (value: number, wanted: number, what: string): void =>
  assert.ok(Math.abs(value - wanted) <= WITHIN_SECONDS, `${what}: ${value.toFixed(3)} instead of ${wanted.toFixed(3)}`);

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Of the media. */
export interface Kind {
  /** No script can read pictures of encrypted media, so they are looked at from outside of the page. */
  readonly encrypted?: boolean;
  /** What of the film is shown; all of it when absent. */
  readonly clip?: readonly [startSeconds: number, endSeconds: number];
}
const CLEAR: Kind = {};
const WHOLE = [0, FILM_SECONDS] as const;

/** When a picture is due by the player's time. */
const dueSeconds = (counter: number | null, { clip: [from] = WHOLE }: Kind): number =>
  (counter ?? Number.NaN) / FRAMES_PER_SECOND - from;

/** Of a picture among others: of encrypted media when the player says. */
const secondsOf = ({ counter, mediaTime }: Frame, kind: Kind): number =>
  counter === null && kind.encrypted ? mediaTime : dueSeconds(counter, kind);

/** Each picture is shown when it should be, and none of them goes back. */
export const assertPictures = (frames: readonly Frame[], seconds: number, kind = CLEAR): void => {
  assert.ok(frames.length >= seconds * SHOWN_LEAST, `${frames.length} pictures in ${seconds} s`);
  let last = -1;
  for (const frame of frames) {
    const at = secondsOf(frame, kind);
    assertNear(at, frame.mediaTime, `picture ${frame.counter}`);
    assert.ok(at >= last, `a picture of ${at} after one of ${last}`);
    last = at;
  }
};

/**
 * What sounds is of the second that is shown. By the player's time, at which both are due: a busy page learns of a
 * picture
 * when the sound has gone on.
 */
export const assertInSync = (frames: readonly Frame[], language: Language, kind = CLEAR): void => {
  const late = median(frames.map((frame) => frame.mediaTime - secondsOf(frame, kind)));
  assertSound(
    frames.map(({ at, pitch }) => ({ at: at - late, pitch })),
    language,
    kind,
  );
};

/** What sounds is of the second that the player tells. */
export const assertSound = (heard: readonly Heard[], language: Language, kind = CLEAR): void => {
  const { clip: [from] = WHOLE } = kind;
  const leads = heard.flatMap(({ at, pitch }) =>
    pitch === null ? [] : [(pitch - PITCHES[language]) / PITCH_STEP - from - at],
  );
  assert.ok(leads.length > heard.length / 2, `sound at ${leads.length} of ${heard.length} moments`);
  assertNear(median(leads), 0, `${language} against what is shown`);
};

/** Cues are shown when they say. */
export const assertWritten = ({ shown, at }: Written, word: string, { clip: [from] = WHOLE }: Kind = CLEAR): void => {
  assert.ok(shown.length > 0);
  for (const { text, startTime } of shown) {
    const [, said, second] = /^(.*) (\d+)$/.exec(text) ?? [];
    assert.equal(said, word);
    const due = Number(second) - from;
    assertNear(startTime, Math.max(0, due), text);
    assert.ok(at >= due - WITHIN_SECONDS && at <= due + CUE_SECONDS + WITHIN_SECONDS, `${text} is shown at ${at}`);
  }
};

/** The picture that is shown now, from outside of the page where it is encrypted, is the one that is due. */
const assertShown = async (viewer: Viewer, shown: Picture, kind: Kind): Promise<void> => {
  const isDue = ({ at, counter }: Picture): boolean => Math.abs(dueSeconds(counter, kind) - at) <= WITHIN_SECONDS;
  const picture = kind.encrypted ? await viewer.look(isDue) : shown;
  assert.ok(isDue(picture), `picture ${picture.counter} at ${picture.at}`);
};

/** Goes to a place; the picture there is that place's. */
export const seekTo = async (viewer: Viewer, seconds: number, kind = CLEAR): Promise<void> => {
  const place = await viewer.seek(seconds);
  assertNear(place.at, seconds, "the place that was sought");
  await assertShown(viewer, place, kind);
};

/** Nothing was reported, by anybody, and the player never had to wait. */
export const assertUndisturbed = async (viewer: Viewer): Promise<void> => {
  const { errors, waits } = await viewer.state();
  assert.deepEqual({ errors, waits, complaints: viewer.complaints }, { errors: [], waits: [], complaints: [] });
};

/** Goes to the end; the last picture is the film's or the clip's, which is as long as it is. */
export const playToEnd = async (viewer: Viewer, { clip: [from, to] = WHOLE }: Kind = CLEAR): Promise<void> => {
  await viewer.seek(to - from - 1);
  assert.equal((await viewer.end()).counter, to * FRAMES_PER_SECOND - 1);
  assertNear((await viewer.state()).duration, to - from, "duration");
};

const begin = async (viewer: Viewer, kind: Kind): Promise<void> => {
  assertPictures(await viewer.play(1), 1, kind);
  await seekTo(viewer, 4.33, kind);
};

const changeLanguage = async (viewer: Viewer, kind: Kind): Promise<void> => {
  assertInSync(await viewer.play(0.5), "en", kind);
  assert.deepEqual((await viewer.languages()).toSorted(), ["de", "en"]);
  await viewer.speak("de", bandOf("de"));
  const frames = await viewer.play(0.5);
  assertPictures(frames, 0.5, kind);
  assertInSync(frames, "de", kind);
};

const switchTo = async (viewer: Viewer, height: number, kind: Kind): Promise<void> => {
  const frame = await viewer.switchTo(height);
  await assertShown(viewer, { ...frame, at: frame.mediaTime }, kind);
};

/** Up to the highest rung. */
const climb = async (viewer: Viewer, heights: readonly number[], kind: Kind): Promise<void> => {
  assert.deepEqual((await viewer.levels()).toSorted(), heights.toSorted());
  await switchTo(viewer, Math.max(...heights), kind);
};

/** Start, a seek, up to the highest rung and down to the lowest, the other language, the end: no wait, no error. */
export const watchAll = async (viewer: Viewer, heights: readonly number[]): Promise<void> => {
  await begin(viewer, CLEAR);
  await climb(viewer, heights, CLEAR);
  await switchTo(viewer, Math.min(...heights), CLEAR);
  await changeLanguage(viewer, CLEAR);
  await playToEnd(viewer);
  await assertUndisturbed(viewer);
};

/** Start, a seek, up to the highest rung, the other language: no wait, no error. */
export const watchSome = async (viewer: Viewer, heights: readonly number[], kind = CLEAR): Promise<void> => {
  await begin(viewer, kind);
  await climb(viewer, heights, kind);
  await changeLanguage(viewer, kind);
  await assertUndisturbed(viewer);
};

/** Start, a seek and the end of what `start` and `end` leave of a film: its own time begins at zero. */
export const watchClip = async (viewer: Viewer, kind: Kind): Promise<void> => {
  const frames = await viewer.play(1);
  assertPictures(frames, 1, kind);
  assertInSync(frames, "en", kind);
  await seekTo(viewer, 4.33, kind);
  await playToEnd(viewer, kind);
  await assertUndisturbed(viewer);
};

/** Winds on through key frames, and plays again from where that leads to. */
export const wind = async (viewer: Viewer): Promise<void> => {
  assertPictures(await viewer.play(0.5), 0.5);
  await viewer.wind(4);
  const keyFrames = (await viewer.play(10)).filter(({ counter }) => (counter ?? 1) % KEY_FRAME_EVERY === 0);
  assert.ok(keyFrames.length >= 2, `${keyFrames.length} key frames`);
  for (const { counter, mediaTime } of keyFrames) assertNear(dueSeconds(counter, CLEAR), mediaTime, "a key frame");
  await viewer.wind(1);
  assertPictures(await viewer.play(0.5), 0.5);
  await assertUndisturbed(viewer);
};

/** A film without pictures: start, a seek, the end. */
export const listen = async (viewer: Viewer): Promise<void> => {
  assertSound(await viewer.listen(20), "en");
  assertNear((await viewer.seek(13.33)).at, 13.33, "the place that was sought");
  assertSound(await viewer.listen(20), "en");
  await viewer.seek(FILM_SECONDS - 1);
  await viewer.end();
  assertNear((await viewer.state()).duration, FILM_SECONDS, "duration");
  await assertUndisturbed(viewer);
};

/** Each subtitle that there is, by its language: at the start and behind a seek. */
export const readAll = async (viewer: Viewer, words: Readonly<Record<string, string>>, kind = CLEAR): Promise<void> => {
  assert.deepEqual((await viewer.texts()).toSorted(), Object.keys(words).toSorted());
  for (const [language, word] of Object.entries(words)) {
    assertWritten(await viewer.read(language, word), word, kind);
  }
  await seekTo(viewer, 6.33, kind);
  const [last = ""] = Object.values(words).slice(-1);
  assertWritten(await viewer.written(last), last, kind);
  await assertUndisturbed(viewer);
};
