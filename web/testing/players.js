/**
 * The players behind the test page, with one face: `levels`, `audio` and `subtitles` are lists of
 * `{ id, what, detail, chosen, now }`, `choose(list, id)` takes one (null: automatic, or none of the subtitles).
 * `tell` is called with `change`, and `error` with `{ title, detail, fatal }`.
 */
import Hls from "./hls.min.mjs";
import { clearKeyOptions } from "./hls-licences.js";

const MEDIA_RECOVERIES_MAX = 2;

const kbps = (bitsPerSecond) => `${Math.round(bitsPerSecond / 1000).toLocaleString("en")} kbit/s`;
const codecsOf = (...codecs) => codecs.filter(Boolean).join(", ");

/** `English` for `en`; the code itself where the browser knows no name for it. */
const languageOf = (code) => {
  if (!code || code === "und") return "";
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(code);
  } catch {
    return code; // no BCP 47
  }
};

const levelText = ({ width, height }) => (height ? `${width} × ${height}` : "Audio only");

/** What an error of hls.js says, in words that name the address. */
const hlsError = ({ type, details, fatal, response, url, frag, error, reason }) => ({
  title: `${type}: ${details}${response?.code ? ` (${response.code})` : ""}`,
  detail: [frag?.url ?? url, reason ?? error?.message].filter(Boolean).join(" – "),
  fatal,
});

const openHls = (video, url, tell) => {
  const hls = new Hls({
    workerPath: new URL("hls.worker.js", import.meta.url).href,
    ...clearKeyOptions(Hls),
  });
  let recoveries = 0;
  hls.on(Hls.Events.ERROR, (_, data) => {
    const isMedia = data.type === Hls.ErrorTypes.MEDIA_ERROR;
    const mayRecover = data.fatal && isMedia && recoveries < MEDIA_RECOVERIES_MAX;
    tell("error", { ...hlsError(data), fatal: data.fatal && !mayRecover });
    if (!mayRecover) return;
    recoveries += 1;
    hls.recoverMediaError();
  });
  const { Events } = Hls;
  for (const event of [
    Events.MANIFEST_PARSED,
    Events.LEVELS_UPDATED,
    Events.LEVEL_SWITCHED,
    Events.AUDIO_TRACKS_UPDATED,
    Events.AUDIO_TRACK_SWITCHED,
    Events.SUBTITLE_TRACKS_UPDATED,
    Events.SUBTITLE_TRACK_SWITCH,
  ]) {
    hls.on(event, () => tell("change"));
  }
  hls.loadSource(url);
  hls.attachMedia(video);
  const track = (chosen) => (track, id) => ({
    id,
    what: track.name || languageOf(track.lang) || `Track ${id + 1}`,
    detail: codecsOf(track.lang, track.channels, track.audioCodec),
    chosen: id === chosen,
  });
  return {
    name: `hls.js ${Hls.version}`,
    levels: () =>
      hls.levels.map((level, id) => ({
        id,
        what: levelText(level),
        detail: `${kbps(level.bitrate)}\n${codecsOf(level.videoCodec, level.audioCodec)}`,
        chosen: !hls.autoLevelEnabled && hls.loadLevel === id,
        now: hls.currentLevel === id,
      })),
    audio: () => hls.audioTracks.map(track(hls.audioTrack)),
    subtitles: () => hls.subtitleTracks.map(track(hls.subtitleDisplay ? hls.subtitleTrack : -1)),
    choose(list, id) {
      if (list === "levels") hls.currentLevel = id ?? -1; // at once, not from the next segment on
      if (list === "audio") hls.audioTrack = id;
      if (list === "subtitles") {
        hls.subtitleTrack = id ?? -1;
        hls.subtitleDisplay = id !== null;
      }
    },
    measuredBps: () => (hls.bandwidthEstimate > 0 ? hls.bandwidthEstimate : 0),
    close: () => hls.destroy(),
  };
};

const dashTrack = (player, kind) => {
  const now = player.getCurrentTrackFor(kind);
  return (track, index) => ({
    id: index,
    what: track.labels?.[0]?.text || languageOf(track.lang) || `Track ${index + 1}`,
    detail: codecsOf(track.lang, track.codec?.replace(/^.*codecs="?|"$/g, "")),
    chosen: now !== null && track.index === now.index,
  });
};

/** Loaded when the first MPD is played: it is five times the size of all else here. */
const openDash = async (video, url, tell) => {
  const { MediaPlayer } = await import("./dash.all.min.js");
  const player = MediaPlayer().create();
  const { events } = MediaPlayer;
  const onError = ({ error }) => {
    const { code, message, data } = typeof error === "object" ? error : { message: String(error) };
    const detail = data?.request?.url ?? data?.url ?? "";
    // A segment that is missing is tried again and passed over; what stops the picture says so by itself.
    const fatal = [10, 11, 25, 27, 31].includes(code) || code >= 100;
    tell("error", { title: `${message ?? "error"}${code ? ` (${code})` : ""}`, detail, fatal });
  };
  player.on(events.ERROR, onError);
  player.on(events.PLAYBACK_ERROR, onError);
  for (const name of [
    "STREAM_INITIALIZED",
    "REPRESENTATION_SWITCH",
    "QUALITY_CHANGE_RENDERED",
    "TRACK_CHANGE_RENDERED",
  ]) {
    player.on(events[name], () => tell("change"));
  }
  player.initialize(video, url, true);
  // An MPD's relative address is meant below it (ISO/IEC 23009-1 §5.6); dash.js takes it to be below the page.
  player.registerLicenseRequestFilter(async (request) => {
    request.url = new URL(request.url, url).href;
  });
  let pinned = null;
  let shown = -1;
  const textTracks = () => player.getTracksFor("text") ?? [];
  return {
    name: `dash.js ${player.getVersion()}`,
    levels() {
      const kind = player.getTracksFor("video").length > 0 ? "video" : "audio";
      const now = player.getCurrentRepresentationForType(kind);
      return player.getRepresentationsByType(kind).map((level, id) => ({
        id,
        what: levelText(level),
        detail: `${kbps(level.bandwidth)}\n${codecsOf(level.codecs)}`,
        chosen: pinned === id,
        now: now?.id === level.id,
      }));
    },
    audio: () => player.getTracksFor("audio").map(dashTrack(player, "audio")),
    subtitles: () =>
      textTracks().map((track, id) => ({ ...dashTrack(player, "text")(track, id), chosen: id === shown })),
    choose(list, id) {
      if (list === "levels") {
        pinned = id;
        player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: id === null } } } });
        if (id !== null) player.setRepresentationForTypeByIndex("video", id, true);
      }
      if (list === "audio") player.setCurrentTrack(player.getTracksFor("audio")[id]);
      if (list === "subtitles") {
        shown = id ?? -1;
        player.setTextTrack(shown);
      }
    },
    measuredBps: () => (player.getAverageThroughput("video") || 0) * 1000,
    close: () => player.destroy(),
  };
};

/** Safari on iPhones plays HLS itself, and tells little. */
const openNatively = (video, url) => {
  video.src = url;
  const none = () => [];
  return {
    name: "the browser itself",
    levels: none,
    audio: none,
    subtitles: none,
    choose() {},
    measuredBps: () => 0,
    close() {
      video.removeAttribute("src");
      video.load();
    },
  };
};

const formatOfText = async (url) => {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answers ${response.status}`);
  const text = await response.text();
  if (text.startsWith("#EXTM3U")) return "hls";
  if (/<MPD[\s>]/.test(text)) return "dash";
  throw new Error(`${url} is neither an HLS playlist nor an MPD`);
};

/** By its name, else by what is in it. */
const formatOf = async (url) => {
  const { pathname } = new URL(url);
  if (pathname.endsWith(".m3u8")) return "hls";
  return pathname.endsWith(".mpd") ? "dash" : formatOfText(url);
};

/** Opens a manifest in the player that fits. Rejects when there is none. */
export const openPlayer = async (video, url, tell) => {
  if ((await formatOf(url)) === "dash") return openDash(video, url, tell);
  if (Hls.isSupported()) return openHls(video, url, tell);
  if (video.canPlayType("application/vnd.apple.mpegurl") !== "") return openNatively(video, url);
  throw new Error("This browser can play neither Media Source Extensions nor HLS.");
};
