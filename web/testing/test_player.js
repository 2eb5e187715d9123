/**
 * Plays any manifest, and shows what players usually hide: levels, tracks, errors. States, shown by `data-state` on the
 * body: empty → loading → playing ⇄ waiting, playing ⇄ paused, any → failed; a new address begins again at loading.
 * `enter` is the only place that changes it.
 */
import { openPlayer } from "./players.js";

const ERRORS_MAX = 100;
const TICK_MS = 250;
const LISTS = {
  levels: { list: "level-list", first: "Automatic", from: 2 },
  audio: { list: "audio-list", from: 2 },
  subtitles: { list: "subtitle-list", first: "None", from: 1 },
};

const element = (id) => document.getElementById(id);
const video = element("video");
let player;
let openings = 0;
let shownLists = "";

const enter = (state, text = "") => {
  document.body.dataset.state = state;
  element("status").textContent = text;
};

const make = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

const showError = ({ title, detail, fatal }) => {
  const list = element("error-list");
  const at = new Date().toLocaleTimeString("en-GB");
  const entry = make("li", { className: fatal ? "fatal" : "" }, make("time", {}, at), make("strong", {}, title));
  if (detail && !title.includes(detail)) entry.append(make("span", {}, detail));
  list.prepend(entry);
  while (list.children.length > ERRORS_MAX) list.lastChild.remove();
  const count = element("error-count");
  count.textContent = String(Number(count.textContent) + 1);
  document.querySelector(".errors").classList.add("any");
  element("no-errors").hidden = true;
  if (fatal) enter("failed", title);
};

const clearErrors = () => {
  element("error-list").replaceChildren();
  element("error-count").textContent = "0";
  document.querySelector(".errors").classList.remove("any");
  element("no-errors").hidden = false;
};

const choiceOf = (name, { id, what, detail = "", chosen, now }) => {
  const input = make("input", { type: "radio", name, checked: chosen === true, value: String(id) });
  input.addEventListener("change", () => {
    player?.choose(name, id);
    setTimeout(showLists, 0);
  });
  const lines = detail.split("\n").flatMap((line, index) => (index === 0 ? [line] : [make("br"), line]));
  const label = make("label", { className: now ? "choice now" : "choice" }, input);
  label.append(make("span", { className: "what" }, what), make("small", {}, ...lines));
  return label;
};

/** Built anew only when something differs: focus stays where it is. */
const showLists = () => {
  const lists = Object.keys(LISTS).map((name) => [name, player ? player[name]() : []]);
  const text = JSON.stringify(lists);
  if (text === shownLists) return;
  shownLists = text;
  const focused = document.activeElement;
  for (const [name, entries] of lists) {
    const { list, first, from } = LISTS[name];
    element(name).hidden = entries.length < from;
    const none = { id: null, what: first, chosen: entries.every(({ chosen }) => !chosen) };
    const choices = first === undefined ? entries : [none, ...entries];
    element(list).replaceChildren(...choices.map((choice) => choiceOf(name, choice)));
  }
  if (focused?.type !== "radio") return;
  document.querySelector(`input[name="${focused.name}"][value="${focused.value}"]`)?.focus();
};

const clockText = (seconds) => {
  if (!Number.isFinite(seconds)) return "–";
  const whole = Math.floor(seconds);
  const hours = Math.floor(whole / 3600);
  const parts = [...(hours > 0 ? [hours] : []), Math.floor(whole / 60) % 60, whole % 60];
  return parts.map((part, index) => String(part).padStart(index === 0 ? 1 : 2, "0")).join(":");
};

const bufferedAhead = () => {
  const { buffered, currentTime } = video;
  for (let i = 0; i < buffered.length; i += 1) {
    if (buffered.start(i) <= currentTime + 0.1 && buffered.end(i) >= currentTime) return buffered.end(i) - currentTime;
  }
  return 0;
};

const showNumbers = () => {
  const measuredBps = player?.measuredBps() ?? 0;
  const quality = video.getVideoPlaybackQuality?.();
  element("player").textContent = player?.name ?? "–";
  element("picture").textContent = video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : "–";
  element("position").textContent = player ? `${clockText(video.currentTime)} / ${clockText(video.duration)}` : "–";
  element("buffered").textContent = player ? `${bufferedAhead().toFixed(1)} s` : "–";
  element("measured").textContent = measuredBps > 0 ? `${(measuredBps / 1e6).toFixed(1)} Mbit/s` : "–";
  element("dropped").textContent = quality?.totalVideoFrames
    ? `${quality.droppedVideoFrames} of ${quality.totalVideoFrames}`
    : "–";
};

const tryToPlay = () =>
  video.play().catch((error) => {
    // Without a click on the page a browser lets it start only without sound.
    if (error.name !== "NotAllowedError" || video.muted) return;
    video.muted = true;
    video.play().catch(() => enter("paused"));
  });

const close = () => {
  player?.close();
  player = undefined;
  clearErrors();
};

const play = async (url) => {
  openings += 1;
  const opening = openings;
  close();
  enter("loading", "Loading…");
  const tell = (what, error) => {
    if (opening !== openings) return;
    if (what === "error") showError(error);
    else showLists();
  };
  try {
    const opened = await openPlayer(video, url, tell);
    if (opening !== openings) return opened.close();
    player = opened;
    tryToPlay();
  } catch (error) {
    tell("error", { title: error.message, fatal: true });
  }
  showLists();
};

const inputText = element("manifest");
const submit = () => {
  inputText.setCustomValidity("");
  const text = inputText.value.trim();
  const url = URL.canParse(text, location.origin) ? new URL(text, location.origin) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) {
    inputText.setCustomValidity("An http or https address, or a path on this server such as /i/movie.mp4/master.m3u8");
    inputText.reportValidity();
    return;
  }
  history.replaceState(null, "", `?url=${encodeURIComponent(text)}`);
  play(url.href);
};

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
inputText.addEventListener("input", () => inputText.setCustomValidity(""));
video.addEventListener("playing", () => enter("playing"));
video.addEventListener("pause", () => {
  if (document.body.dataset.state === "playing") enter("paused");
});
video.addEventListener("waiting", () => {
  if (document.body.dataset.state === "playing") enter("waiting");
});
video.addEventListener("error", () => {
  if (video.error) showError({ title: `The browser: ${video.error.message || video.error.code}`, fatal: true });
});
setInterval(() => {
  showNumbers();
  if (player) showLists();
}, TICK_MS);

const asked = new URLSearchParams(location.search).get("url");
if (asked) {
  inputText.value = asked;
  submit();
}
