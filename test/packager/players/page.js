/**
 * What a viewer sees and hears, measured: the number in each picture that is shown against the player's time, the pitch of
 * the sound, subtitles, and each wait. `window.watch` is driven from the test.
 */
import { open } from "./adapters.js";

const video = Object.assign(document.createElement("video"), { autoplay: true, width: 640, height: 360 });
document.body.append(video);
const ROW = { blocks: 20, width: 320, height: 16, share: 1 / 15 };
const SILENT_DECIBELS = -70;
const FFT = 2048;
const LAST_SECONDS = 0.02; // of half a picture
const HUNGRY_SECONDS = 0.5;
const BUFFERED_SECONDS = 2.5;
const TIMEOUT_MS = 20_000;

const canvas = new OffscreenCanvas(ROW.width, ROW.height);
const drawing = canvas.getContext("2d", { willReadFrequently: true });

/** The frame number in a picture; null where it can't be read. */
const readCounter = (picture, width, height) => {
  const rowHeight = height * ROW.share;
  drawing.drawImage(picture, 0, height - rowHeight, width, rowHeight, 0, 0, ROW.width, ROW.height);
  const { data } = drawing.getImageData(0, ROW.height / 2, ROW.width, 1);
  const blockWidth = ROW.width / ROW.blocks;
  const levels = Array.from({ length: ROW.blocks }, (_, n) => data[4 * Math.floor((n + 0.5) * blockWidth)]);
  const [white, black, ...bits] = levels;
  if (white - black < 100) return null;
  const values = bits.map((level) => (level > (white + black) / 2 ? 1 : 0));
  const [parity, opposite] = values.splice(-2);
  const isSound = parity !== opposite && values.reduce((sum, bit) => sum + bit, 0) % 2 === parity;
  return isSound ? values.reduce((sum, bit) => 2 * sum + bit, 0) : null;
};

const context = new AudioContext();
const analyser = context.createAnalyser();
analyser.fftSize = FFT;
analyser.smoothingTimeConstant = 0;
context.createMediaElementSource(video).connect(analyser).connect(context.destination);
const spectrum = new Float32Array(analyser.frequencyBinCount);

/** The loudest pitch in Hz, between two bins where it lies between them; null in silence. */
const readPitch = () => {
  analyser.getFloatFrequencyData(spectrum);
  let top = 2;
  for (let bin = 3; bin < spectrum.length - 1; bin += 1) if (spectrum[bin] > spectrum[top]) top = bin;
  const [before, peak, after] = spectrum.subarray(top - 1, top + 2);
  if (!(peak > SILENT_DECIBELS)) return null;
  const between = (before - after) / (2 * (before - 2 * peak + after));
  return ((top + between) * context.sampleRate) / FFT;
};

const errors = [];
/** Each shown frame: its number, its time as the player has it, its height; the pitch that sounds with it. */
const frames = [];
/** Of the player for more data, while nobody disturbed it. */
const waits = [];
let player;
let isDisturbed = false;

video.addEventListener("error", () => errors.push(`video ${video.error.code} ${video.error.message}`));
video.addEventListener("waiting", () => {
  if (frames.length === 0 || video.seeking || isDisturbed) return;
  const { buffered, currentTime: at } = video;
  const ranges = Array.from({ length: buffered.length }, (_, n) => [buffered.start(n), buffered.end(n)]);
  // With something to play it waits for a decoder that has no share of a busy machine.
  const isFed = ([start, end]) => start <= at && end > Math.min(at + HUNGRY_SECONDS, video.duration - 0.1);
  if (!ranges.some(isFed)) waits.push({ at, ranges });
});
/** What is shown at this moment. */
const pictureNow = () => {
  const { videoWidth: width, videoHeight: height, currentTime: at } = video;
  return { mediaTime: at, at, counter: width > 0 ? readCounter(video, width, height) : null, height };
};
const onFrame = (_, { mediaTime, height }) => {
  frames.push({ ...pictureNow(), mediaTime, height, pitch: readPitch() });
  video.requestVideoFrameCallback(onFrame);
};
video.requestVideoFrameCallback(onFrame);

/** Looks each few ms until a value is there. */
const until = async (what, probe) => {
  const end = performance.now() + TIMEOUT_MS;
  for (;;) {
    const value = probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`waited in vain for ${what}: ${JSON.stringify(watch.state())}`);
    await new Promise((done) => setTimeout(done, 20));
  }
};

/** A player that has just sought lives from hand to mouth: only one that has some seconds may change what it plays. */
const untilBuffered = () =>
  until("some seconds in the buffer", () => {
    const { buffered, currentTime, duration } = video;
    const end = buffered.length > 0 ? buffered.end(buffered.length - 1) : 0;
    return end >= Math.min(currentTime + BUFFERED_SECONDS, duration - 0.5);
  });

const texts = () =>
  [...video.textTracks]
    .filter(({ mode }) => mode === "showing")
    .flatMap(({ activeCues }) => [...(activeCues ?? [])])
    .map(({ text, startTime }) => ({ text: text.replace(/<[^>]*>/g, "").trim(), startTime }));

const watch = {
  state: () => ({
    errors,
    waits,
    shown: frames.length,
    last: frames.at(-1),
    currentTime: video.currentTime,
    duration: video.duration,
    readyState: video.readyState,
    paused: video.paused,
    ended: video.ended,
  }),
  /** Begins, and waits for the first pictures. */
  async open(kind, url, needsPicture) {
    player = await open[kind](video, url, (error) => errors.push(error));
    await context.resume();
    await until("the start", () => (needsPicture ? frames.length > 3 : video.currentTime > 0.1));
  },
  levels: () => player.levels(),
  languages: () => player.languages(),
  texts: () => player.texts(),
  /** Plays for some seconds of the film; gives what was shown meanwhile. */
  async play(seconds) {
    const [from, first] = [video.currentTime, frames.length];
    await until(`${seconds} s to play`, () => video.currentTime >= from + seconds);
    return frames.slice(first);
  },
  /** What sounds, each 20 ms. */
  async listen(count) {
    const heard = [];
    while (heard.length < count) {
      heard.push({ at: video.currentTime, pitch: readPitch() });
      await new Promise((done) => setTimeout(done, 20));
    }
    return heard;
  },
  /** Gives the picture at the new place, seen before it goes on. */
  async seek(seconds) {
    isDisturbed = true;
    video.pause();
    video.currentTime = seconds;
    await until("the end of the seek", () => !video.seeking && video.readyState >= 3);
    const place = pictureNow();
    await video.play();
    await until("time to go on", () => video.currentTime > seconds);
    isDisturbed = false;
    return place;
  },
  /** Gives the first picture of that height. */
  async switchTo(height) {
    await untilBuffered();
    player.switchTo(height);
    return until(`a picture of ${height}`, () => (frames.at(-1).height === height ? frames.at(-1) : undefined));
  },
  /** Faster, by key frames; the rate 1 is as before. */
  wind: (rate) => player.wind(rate),
  /** Waits until a pitch of that band sounds. */
  async speak(code, [low, high]) {
    await untilBuffered();
    isDisturbed = true; // players throw away the sound that they have
    player.chooseLanguage(code);
    await until(`${code} to sound`, () => {
      const pitch = readPitch();
      return pitch !== null && pitch >= low && pitch < high;
    });
    isDisturbed = false;
  },
  /** Gives cues with that word when they are shown. */
  written: (word) =>
    until(`${word} to be written`, () => {
      const shown = texts();
      return shown.some(({ text }) => text.startsWith(word)) ? { shown, at: video.currentTime } : undefined;
    }),
  /** The same in a language that is chosen. */
  read(code, word) {
    player.chooseText(code);
    return watch.written(word);
  },
  /** Stands still, for a picture of the page to be taken; gives the time. */
  hold() {
    video.pause();
    return video.currentTime;
  },
  /** The frame number in a picture of the page, as base64 of a PNG. */
  async readImage(base64) {
    const picture = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob());
    return readCounter(picture, picture.width, picture.height);
  },
  goOn: () => (video.ended ? undefined : video.play()),
  async end() {
    // dash.js stands still there by itself.
    const isOver = () => video.ended || (video.paused && video.currentTime >= video.duration - 0.05);
    await until("the end", isOver);
    // The sound decides when it is over: a busy machine may not have come to the last pictures.
    video.pause();
    video.currentTime = video.duration - LAST_SECONDS;
    await until("the last picture", () => !video.seeking && video.readyState >= 2);
    return pictureNow();
  },
  close: () => player.close(),
};
window.watch = watch;
