/**
 * Plays one title. Where its addresses come from, in this order:
 *   #https://…/master.m3u8   in the page's own address: a session that was begun elsewhere
 *   the API key of this tab  (sessionStorage, shared with the page that uploads): a session is begun with it
 *   no key                   a title that is public plays without a session; else a key is asked for
 * States, shown by `data-state` on the body: starting → playing; any → asking (for a key) → starting; failed.
 */
import Hls from "/assets/hls.min.mjs";
import { clearKeyOptions } from "/assets/hls-licences.js";

const KEY_NAME = "castellan-key";
const TICK_MS = 500;
const RETRY_MS = 2_000;
const RETRIES_MAX = 30;
const LOG_LINES_MAX = 50;

const element = (id) => document.getElementById(id);
const video = element("video");
const { titleId, edge } = document.body.dataset;

let hls;
let retries = 0;
let beating;

const enter = (state, text = "") => {
  document.body.dataset.state = state;
  element("status").textContent = text;
  element("ask").hidden = state !== "asking";
  if (state === "asking") element("key").focus();
};

const note = (text) => {
  const line = document.createElement("li");
  line.textContent = `${new Date().toLocaleTimeString()} ${text}`;
  element("log").prepend(line);
  while (element("log").children.length > LOG_LINES_MAX) element("log").lastChild.remove();
};

/** What an answer says went wrong: the detail of its problem document. */
const reasonIn = async (response) => {
  const problem = await response.json().catch(() => ({}));
  return problem.detail ?? `The server answered ${response.status}.`;
};

const call = (path, key, options = {}) =>
  fetch(`/api/v1/${path}`, { ...options, headers: { Authorization: `Bearer ${key}`, ...options.headers } });

const nameFrom = async (key) => {
  const response = await call(`titles/${titleId}`, key).catch(() => undefined);
  if (!response?.ok) return;
  const { data } = await response.json();
  element("name").textContent = data.name ?? data.title ?? element("name").textContent;
};

/** The addresses of a new session; undefined, and said why, where there is none. */
const sessionWith = async (key) => {
  const headers = { "Content-Type": "application/json" };
  const response = await call(`titles/${titleId}/playback`, key, { method: "POST", headers, body: "{}" });
  if (response.ok) return (await response.json()).data;
  const reason = await reasonIn(response);
  note(reason);
  if (response.status === 401 || response.status === 403) {
    sessionStorage.removeItem(KEY_NAME);
    enter("asking", reason);
  } else enter("failed", reason);
  return undefined;
};

const publicAddresses = async () => {
  const base = `${edge}/api/media`;
  const addresses = {
    hls: `${base}/hls/${titleId}/master.m3u8`,
    dash: `${base}/dash/${titleId}/manifest.mpd`,
  };
  const response = await fetch(addresses.hls).catch(() => undefined);
  return response?.ok ? addresses : undefined;
};

const fillLevels = () => {
  const list = element("levels");
  list.length = 1;
  for (const [index, { height, bitrate }] of hls.levels.entries()) {
    list.add(new Option(`${height}p · ${(bitrate / 1e6).toFixed(1)} Mbit/s`, String(index)));
  }
  list.disabled = false;
};

const onError = (_, { fatal, type, details, response }) => {
  note(`${details}${response?.code ? ` (${response.code})` : ""}${fatal ? ", and playing can't go on" : ""}`);
  if (!fatal) return;
  if (response?.code === 401 || response?.code === 403) {
    enter("failed", "The session has ended. Reload the page to begin another one.");
    hls.destroy();
  } else if (type === Hls.ErrorTypes.MEDIA_ERROR && retries < RETRIES_MAX) {
    retries += 1;
    hls.recoverMediaError();
  } else if (retries < RETRIES_MAX) {
    retries += 1;
    enter("starting", "Nothing can be had at the moment. Trying again…");
    setTimeout(() => (hls.levels.length === 0 ? hls.loadSource(hls.url) : hls.startLoad()), RETRY_MS);
  } else enter("failed", "The title can't be played at the moment.");
};

const play = ({ hls: source, dash = "–", heartbeat, heartbeatSeconds }) => {
  element("hls").textContent = source;
  element("dash").textContent = dash;
  enter("starting", "Loading…");
  clearInterval(beating);
  if (heartbeat) {
    const beat = () => void (video.paused || fetch(heartbeat, { method: "POST" }).catch(() => {}));
    beating = setInterval(beat, heartbeatSeconds * 1_000);
  }
  if (!Hls.isSupported()) {
    video.src = source; // Safari on iPhones plays HLS itself
    return;
  }
  hls?.destroy();
  hls = new Hls({ workerPath: "/assets/hls.worker.js", startPosition: 0, ...clearKeyOptions(Hls) });
  hls.on(Hls.Events.ERROR, onError);
  hls.on(Hls.Events.MANIFEST_PARSED, () => {
    fillLevels();
    // A browser that wants a click first shows the picture with its controls.
    video.play().catch(() => enter("playing"));
  });
  hls.on(Hls.Events.LEVEL_SWITCHED, (_event, { level }) => note(`now ${hls.levels[level]?.height}p`));
  hls.loadSource(source);
  hls.attachMedia(video);
};

const start = async () => {
  enter("starting", "Starting…");
  const given = decodeURIComponent(location.hash.slice(1));
  if (/^https?:\/\//.test(given)) return play({ hls: given });
  const key = sessionStorage.getItem(KEY_NAME);
  if (key) {
    void nameFrom(key);
    const session = await sessionWith(key);
    return session && play(session);
  }
  const addresses = await publicAddresses();
  if (addresses) return play(addresses);
  enter("asking", "This title is not public: a key of its tenant plays it.");
};

const tick = () => {
  element("picture").textContent = video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : "–";
  const level = hls?.levels[hls.currentLevel];
  element("rate").textContent = level ? `${(level.bitrate / 1e6).toFixed(1)} Mbit/s` : "–";
  const { buffered, currentTime } = video;
  const end = buffered.length > 0 ? buffered.end(buffered.length - 1) : currentTime;
  element("ahead").textContent = end > currentTime ? `${(end - currentTime).toFixed(0)} s` : "–";
};

video.addEventListener("playing", () => {
  retries = 0;
  enter("playing");
});
element("levels").addEventListener("change", ({ target }) => {
  hls.nextLevel = Number(target.value);
});
element("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY_NAME, element("key").value.trim());
  element("key").value = "";
  void run();
});
addEventListener("hashchange", () => void run());

const run = () =>
  start().catch((error) => {
    note(String(error));
    enter("failed", "The gateway can't be reached.");
  });
void run();
setInterval(tick, TICK_MS);
