/** What a viewer does with a film, and what must be true of each picture and sound meanwhile. */
import assert from "node:assert/strict";
import { FILM_SECONDS, FRAMES_PER_SECOND, PITCH_STEP, PITCHES } from "./media.ts";
import type { Frame, Heard, Viewer } from "./viewer.ts";

const WITHIN_SECONDS = 0.1;
const LAST_FRAME = FILM_SECONDS * FRAMES_PER_SECOND - 1;

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

const filmSeconds = ({ counter }: Frame): number => (counter ?? Number.NaN) / FRAMES_PER_SECOND;

/** Each picture is shown when it should be, and none of them goes back. */
export const assertPictures = (frames: readonly Frame[], seconds: number): void => {
  assert.ok(frames.length > (seconds * FRAMES_PER_SECOND) / 3, `${frames.length} pictures in ${seconds} s`);
  let last = -1;
  for (const frame of frames) {
    assertNear(filmSeconds(frame), frame.mediaTime, `picture ${frame.counter}`);
    assert.ok((frame.counter ?? -1) >= last, `picture ${frame.counter} after ${last}`);
    last = frame.counter ?? -1;
  }
};

/** What sounds while pictures are shown is of the same second of the film. */
export const assertInSync = (frames: readonly Frame[], language: Language): void => {
  const sounding = frames.filter(({ pitch }) => pitch !== null);
  assert.ok(sounding.length > frames.length / 2, `${sounding.length} of ${frames.length} pictures with a sound`);
  const leads = sounding.map((frame) => ((frame.pitch ?? 0) - PITCHES[language]) / PITCH_STEP - filmSeconds(frame));
  assertNear(median(leads), 0, `${language} against its pictures`);
};

/** What sounds is of the second that the player tells. */
export const assertSound = (heard: readonly Heard[], language: Language): void => {
  const leads = heard.flatMap(({ at, pitch }) =>
    pitch === null ? [] : [(pitch - PITCHES[language]) / PITCH_STEP - at],
  );
  assert.ok(leads.length > heard.length / 2, `sound at ${leads.length} of ${heard.length} moments`);
  assertNear(median(leads), 0, `${language} against the player's time`);
};

/** Goes to a place; the picture there is that place's. */
export const seekTo = async (viewer: Viewer, seconds: number): Promise<void> => {
  const place = await viewer.seek(seconds);
  assertNear(place.mediaTime, seconds, "the place that was sought");
  assertNear(filmSeconds(place), place.mediaTime, "the picture there");
};

/** Nothing was reported, by anybody, and the player never had to wait. */
export const assertUndisturbed = async (viewer: Viewer): Promise<void> => {
  const { errors, waits } = await viewer.state();
  assert.deepEqual({ errors, waits, complaints: viewer.complaints }, { errors: [], waits: [], complaints: [] });
};

/** Goes to the end; the last picture is the film's, and the film is as long as it is. */
export const playToEnd = async (viewer: Viewer, endSeconds = FILM_SECONDS): Promise<void> => {
  await viewer.seek(endSeconds - 1);
  const last = await viewer.end();
  assert.ok((last?.counter ?? 0) >= LAST_FRAME - 2, `the last picture is ${last?.counter} of ${LAST_FRAME}`);
  assertNear((await viewer.state()).duration, endSeconds, "duration");
};

/**
 * Start, a seek, up to the highest rung and down to the lowest, the other language, the end: without a wait or an
 * error.
 */
export const watchAll = async (viewer: Viewer, heights: readonly number[]): Promise<void> => {
  assertPictures(await viewer.play(1), 1);
  await seekTo(viewer, 5.3);
  assert.deepEqual((await viewer.levels()).toSorted(), heights.toSorted());
  for (const height of [Math.max(...heights), Math.min(...heights)]) {
    const frame = await viewer.switchTo(height);
    assertNear(filmSeconds(frame), frame.mediaTime, `the first picture of ${height}`);
  }
  assertInSync(await viewer.play(1), "en");
  assert.deepEqual((await viewer.languages()).toSorted(), ["de", "en"]);
  await viewer.speak("de", bandOf("de"));
  const frames = await viewer.play(1);
  assertPictures(frames, 1);
  assertInSync(frames, "de");
  await playToEnd(viewer);
  await assertUndisturbed(viewer);
};
