/**
 * A storyboard: small pictures of a title at equal distances, in sheets, with a WebVTT file that says which part of
 * which sheet stands for which time (Media Fragments URI 1.0 §4.2.2, `#xywh=`), as players show them over their bar.
 */

export interface StoryboardPlan {
  /** From one picture to the next: a multiple of the key frames' distance. */
  readonly everySeconds: number;
  readonly pictureCount: number;
  /** Of one picture, in pixels. */
  readonly width: number;
  readonly height: number;
  readonly columns: number;
  readonly rows: number;
  readonly sheetCount: number;
}

const WIDTH = 160;
const HEIGHT_MAX = 284; // 9:16 at that width
const COLUMNS = 10;
const ROWS = 10;
/** 3 hours have 1,080 pictures in eleven sheets. */
const PICTURES_USUAL = 1_200;
const EVERY_LEAST_SECONDS = 2;

const even = (length: number): number => Math.max(2, 2 * Math.round(length / 2));

/**
 * How a title's storyboard is laid out. Pictures are taken from key frames `gopSeconds` apart, so that nothing between
 * them has to be decoded.
 */
export const planStoryboard = (of: {
  readonly durationSeconds: number;
  readonly width: number;
  readonly height: number;
  readonly gopSeconds: number;
}): StoryboardPlan => {
  const { durationSeconds, gopSeconds } = of;
  const least = Math.max(EVERY_LEAST_SECONDS, durationSeconds > 1_200 ? 10 : 4, durationSeconds / PICTURES_USUAL);
  const everySeconds = gopSeconds * Math.ceil(least / gopSeconds);
  const pictureCount = Math.max(1, Math.ceil(durationSeconds / everySeconds));
  const height = Math.min(HEIGHT_MAX, even((WIDTH * of.height) / of.width));
  const width = height === HEIGHT_MAX ? even((HEIGHT_MAX * of.width) / of.height) : WIDTH;
  const columns = Math.min(COLUMNS, pictureCount);
  const rows = Math.min(ROWS, Math.ceil(pictureCount / columns));
  const sheetCount = Math.ceil(pictureCount / (columns * rows));
  return { everySeconds, pictureCount, width, height, columns, rows, sheetCount };
};

const clock = (seconds: number): string => {
  const ms = Math.round(seconds * 1_000);
  const part = (value: number, digits: number): string => String(value).padStart(digits, "0");
  const [hours, minutes] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60];
  return `${part(hours, 2)}:${part(minutes, 2)}:${part(Math.floor(ms / 1_000) % 60, 2)}.${part(ms % 1_000, 3)}`;
};

/** The WebVTT text; `sheetName` names a sheet by its 0-based number, relative to the file. */
export const storyboardVtt = (
  plan: StoryboardPlan,
  durationSeconds: number,
  sheetName: (sheet: number) => string,
): string => {
  const { everySeconds, pictureCount, width, height, columns, rows } = plan;
  const cues = Array.from({ length: pictureCount }, (_, picture) => {
    const inSheet = picture % (columns * rows);
    const [x, y] = [(inSheet % columns) * width, Math.floor(inSheet / columns) * height];
    const from = picture * everySeconds;
    const to = Math.min(durationSeconds, from + everySeconds);
    const sheet = sheetName(Math.floor(picture / (columns * rows)));
    return `${clock(from)} --> ${clock(Math.max(to, from + 0.001))}\n${sheet}#xywh=${x},${y},${width},${height}\n`;
  });
  return `WEBVTT\n\n${cues.join("\n")}`;
};
