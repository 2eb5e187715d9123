/**
 * Sends one film by tus and follows it until it plays. States, shown by `data-state` on the body:
 * idle → sending ⇄ paused; sending → checking → working → playing, or ready where it is not published; any → failed
 * (a new try begins at sending).
 * `enter` is the only place that changes it.
 */
import { Refused, TusUpload } from "/assets/tus.js";

const KEY = "castellan-key";
const POLL_MS = 1_000;
const RATE_MS = 8_000;
const DONE = ["ready", "scheduled", "published"];

const element = (id) => document.getElementById(id);
const [form, key, file, start, pauseButton] = ["form", "key", "file", "start", "pause"].map(element);

/** @type {TusUpload | undefined} */
let upload;

const SAYS = {
  idle: "",
  sending: "Sending…",
  paused: "Paused. What was sent is kept.",
  checking: "All bytes are there. The film is looked at…",
  working: "The film is made ready. It plays before all of it is done.",
  playing: "It plays.",
  ready: "It is ready, and waits to be published.",
};

const enter = (state, text = SAYS[state] ?? "") => {
  document.body.dataset.state = state;
  element("status").textContent = text;
  const isSending = state === "sending" || state === "paused";
  pauseButton.hidden = !isSending;
  pauseButton.textContent = state === "paused" ? "Go on" : "Pause";
  start.disabled = !["idle", "failed", "playing", "ready"].includes(state) || file.files.length === 0;
};

const sizeText = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`);
const timeText = (seconds) =>
  seconds >= 90 ? `${Math.round(seconds / 60)} min left` : `${Math.max(1, Math.ceil(seconds))} s left`;

/** Speed is that of the last seconds. */
const meter = (total) => {
  let samples = [];
  return (offset) => {
    const now = performance.now();
    samples = [...samples.filter(({ at }) => now - at < RATE_MS), { at: now, offset }];
    const rate = ((offset - samples[0].offset) / Math.max(1, now - samples[0].at)) * 1_000;
    const speed = rate > 0 ? ` · ${(rate / 1e6).toFixed(1)} MB/s · ${timeText((total - offset) / rate)}` : "";
    const percent = (100 * offset) / total;
    element("sentBar").value = percent;
    element("sent").textContent = `${percent.toFixed(1)} % of ${sizeText(total)}${offset < total ? speed : ""}`;
  };
};

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Data of the API; null while it can't be had. Fails where asking again is of no use. */
const get = async (path) => {
  const response = await fetch(path, { headers: { authorization: `Bearer ${key.value}` } }).catch(() => null);
  if (!response || response.status >= 500 || response.status === 429) return null;
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(body.detail ?? `the server answers with ${response.status}`);
  return body.data;
};

const untilAttached = async (url) => {
  for (;;) {
    const found = await get(new URL(url, location.href).pathname);
    if (found?.state === "done") return found.titleId;
    if (found && found.state !== "checking" && found.state !== "receiving")
      throw new Refused(found.error ?? found.state);
    await pause(POLL_MS);
  }
};

const showWork = ({ percent, etaSeconds }) => {
  element("workedBar").value = percent;
  element("worked").textContent = `${percent.toFixed(0)} %${etaSeconds === null ? "" : ` · ${timeText(etaSeconds)}`}`;
};

/** What is refused here (a key without title:write) is left to others. */
const change = (method, path, body) =>
  fetch(`/api/v1/titles/${path}`, {
    method,
    headers: { authorization: `Bearer ${key.value}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  }).catch(() => null);

const isWhole = ({ state, revision, readyRevision }) => DONE.includes(state) && revision === readyRevision;

/** The page of a title is linked to once it plays; the bar goes on until all of it does. Gives the last state. */
const follow = async (titleId, shallPublish) => {
  if (shallPublish) await change("PATCH", titleId, { autoPublish: true });
  for (let isLate = shallPublish; ; ) {
    const [title, work] = await Promise.all([
      get(`/api/v1/titles/${titleId}`),
      // A key without job:read sees no bar move.
      get(`/api/v1/titles/${titleId}/progress`).catch(() => null),
    ]);
    if (work) showWork(work);
    if (title?.processingError) throw new Refused(title.processingError.reason);
    if (title?.state === "published") {
      const link = element("watch");
      link.href = `/watch/${titleId}`;
      link.hidden = false;
    }
    // It was whole before it was told to publish itself.
    if (title?.state === "ready" && isLate) {
      isLate = false;
      await change("POST", `${titleId}/publish`, {});
      continue;
    }
    if (title && isWhole(title)) {
      showWork({ percent: 100, etaSeconds: null });
      return title.state === "published" ? "playing" : "ready";
    }
    await pause(POLL_MS);
  }
};

const run = async (film) => {
  sessionStorage.setItem(KEY, key.value);
  element("watch").hidden = true;
  element("workedBar").value = 0;
  element("worked").textContent = "–";
  enter("sending");
  try {
    upload = new TusUpload(film, { endpoint: "/api/v1/uploads", key: key.value, progress: meter(film.size) });
    const url = await upload.send();
    enter("checking");
    const titleId = await untilAttached(url);
    upload.forget();
    enter("working");
    enter(await follow(titleId, element("publish").checked));
  } catch (error) {
    if (error instanceof Refused) upload?.forget();
    enter("failed", error.message);
  }
};

const choose = () => {
  const [film] = file.files;
  element("chosen").textContent = film ? `${film.name} · ${sizeText(film.size)}` : "Choose a film, or drop one here";
  enter(document.body.dataset.state === "sending" ? "sending" : "idle");
};

key.value = sessionStorage.getItem(KEY) ?? "";
file.addEventListener("change", choose);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const [film] = file.files;
  if (film) void run(film);
});
pauseButton.addEventListener("click", () => {
  if (!upload) return;
  if (document.body.dataset.state === "paused") {
    upload.resume();
    enter("sending");
  } else {
    upload.pause();
    enter("paused");
  }
});

const drop = element("drop");
for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name !== "drop" || event.dataTransfer.files.length === 0) return;
    file.files = event.dataTransfer.files;
    choose();
  });
}
