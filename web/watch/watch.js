/**
 * Plays one channel and does not give up. States, shown by `data-state` on the body:
 * starting → playing ⇄ waiting; any → reconnecting → playing; starting → blocked (the browser wants a click) → playing;
 * unsupported is final. `enter` is the only place that changes it.
 */
import Hls from "/assets/hls.min.mjs";

const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 5_000;
const STARTING_MS = 45_000; // longer than a channel takes from its creation to its first segments
const FROZEN_SEEK_MS = 6_000;
const FROZEN_RELOAD_MS = 15_000;
const MEDIA_RECOVERIES_MAX = 2; // per minute; then from the start
const BEHIND_LIVE_SECONDS = 20;
const TICK_MS = 500;

const SAYS = {
  starting: "The channel is starting…",
  waiting: "",
  reconnecting: "The connection was lost. Trying again…",
  offAir: "The channel is not on air at the moment. Trying again…",
  unsupported: "This browser can play neither Media Source Extensions nor HLS.",
};

const element = (id) => document.getElementById(id);
const video = element("video");
const source = document.body.dataset.source;
const openedAt = performance.now();

let hls;
let played = false;
let failures = 0;
let mediaErrorTimes = [];
let retryTimer;
let lastTime = 0;
let lastMovedAt = performance.now();

const enter = (state, text = SAYS[state] ?? "") => {
  if (document.body.dataset.state === "unsupported") return;
  document.body.dataset.state = state;
  element("status").textContent = text;
};

const tryToPlay = () => {
  video.play().catch((error) => {
    if (error.name !== "NotAllowedError") return;
    enter("blocked");
    element("play").hidden = false;
  });
};

const sayTrouble = () => {
  if (played) enter("reconnecting");
  else if (performance.now() - openedAt < STARTING_MS) enter("starting");
  else enter("starting", SAYS.offAir);
};

const retryFromStart = () => {
  sayTrouble();
  clearTimeout(retryTimer);
  const delayMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 1.5 ** failures);
  failures += 1;
  retryTimer = setTimeout(load, delayMs);
};

/** True while a decoder error is worth a recovery in place. */
const mayRecover = () => {
  const now = performance.now();
  mediaErrorTimes = [...mediaErrorTimes.filter((at) => now - at < 60_000), now];
  return mediaErrorTimes.length <= MEDIA_RECOVERIES_MAX;
};

const onHlsError = (_, { fatal, type }) => {
  if (!fatal) return;
  if (type === Hls.ErrorTypes.MEDIA_ERROR && mayRecover()) hls.recoverMediaError();
  else retryFromStart();
};

const loadWithHls = () => {
  hls?.destroy();
  hls = new Hls({
    workerPath: "/assets/hls.worker.js",
    backBufferLength: 30,
    maxBufferLength: 20,
    liveSyncDurationCount: 3,
    liveMaxLatencyDurationCount: 10,
  });
  hls.on(Hls.Events.ERROR, onHlsError);
  hls.on(Hls.Events.MANIFEST_PARSED, tryToPlay);
  hls.loadSource(source);
  hls.attachMedia(video);
};

/** Safari on iPhones plays HLS itself, and tells little about what goes wrong. */
const loadNatively = () => {
  video.src = source;
  video.load();
  tryToPlay();
};

const withHls = Hls.isSupported();
const load = () => {
  lastMovedAt = performance.now();
  if (withHls) loadWithHls();
  else loadNatively();
};

const livePosition = () => {
  if (hls?.liveSyncPosition) return hls.liveSyncPosition;
  const { seekable } = video;
  return seekable.length > 0 ? seekable.end(seekable.length - 1) - 6 : undefined;
};

const jumpToLive = () => {
  const position = livePosition();
  if (position !== undefined && Number.isFinite(position)) video.currentTime = position;
  tryToPlay();
};

const unfreeze = (frozenMs) => {
  if (video.paused || document.body.dataset.state === "blocked") return;
  if (frozenMs > FROZEN_RELOAD_MS) retryFromStart();
  else if (frozenMs > FROZEN_SEEK_MS && frozenMs < FROZEN_SEEK_MS + TICK_MS) jumpToLive();
};

const showNumbers = () => {
  const behind = hls?.latency ?? (livePosition() ?? video.currentTime) - video.currentTime;
  element("picture").textContent = video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : "–";
  element("behind").textContent = played && behind > 0 ? `${behind.toFixed(1)} s` : "–";
  element("live").classList.toggle("on", behind < BEHIND_LIVE_SECONDS);
  element("sound").hidden = !(video.muted && document.body.dataset.state === "playing");
};

const tick = () => {
  const now = performance.now();
  if (video.currentTime !== lastTime && !video.seeking) {
    lastTime = video.currentTime;
    lastMovedAt = now;
    if (!video.paused && video.readyState > 2) {
      played = true;
      failures = 0;
      enter("playing");
    }
  } else unfreeze(now - lastMovedAt);
  showNumbers();
};

video.addEventListener("waiting", () => {
  if (document.body.dataset.state === "playing") enter("waiting");
});
video.addEventListener("playing", () => {
  element("play").hidden = true;
});
video.addEventListener("play", () => {
  lastMovedAt = performance.now();
});
video.addEventListener("error", () => {
  if (!withHls) retryFromStart();
});
element("sound").addEventListener("click", () => {
  video.muted = false;
  video.volume ||= 1;
});
element("play").addEventListener("click", tryToPlay);
element("live").addEventListener("click", jumpToLive);

if (withHls || video.canPlayType("application/vnd.apple.mpegurl") !== "") {
  load();
  setInterval(tick, TICK_MS);
} else {
  enter("unsupported");
}
