/**
 * Three players with one face: `levels()` are heights, `switchTo(height)` takes one from the next segment on,
 * `languages()` and `chooseLanguage(code)` are of audio, `texts()` and `chooseText(code)` of subtitles, `wind(rate)` shows
 * key frames alone, where a player can. `complain` is called with whatever a player reports as an error, fatal or not.
 * Buffers are short, so that a switch shows soon.
 */
const BUFFER_SECONDS = 4;
/** Of what is buffered, where a player may throw the rest away at a switch. */
const KEPT_SECONDS = 1;

/**
 * What hls.js tells of its own doings: it left a segment alone for one of another rung, it fetched the one again that it
 * plays, since it reckons with when pictures are decoded, or the picture stood still, which the page judges by itself.
 */
const HARMLESS = ["aborted", "bufferAppendNoProgress", "bufferStalledError"];

/** hls.js prefers a key to a licence, but decrypts samples of MPEG-TS alone with it: in fMP4 it is shown the licence. */
const withoutKeys = (Loader) =>
  class extends Loader {
    load(context, config, { onSuccess, ...callbacks }) {
      const isFmp4 = ({ data }) => typeof data === "string" && data.includes("#EXT-X-MAP");
      const keep = (response) =>
        isFmp4(response)
          ? { ...response, data: response.data.replace(/^#EXT-X-KEY:.*"identity".*\n/gm, "") }
          : response;
      super.load(context, config, {
        ...callbacks,
        onSuccess: (response, ...rest) => onSuccess(keep(response), ...rest),
      });
    }
  };

const openHls = (video, url, complain) => {
  const { Hls } = window;
  const hls = new Hls({
    maxBufferLength: BUFFER_SECONDS,
    maxMaxBufferLength: BUFFER_SECONDS,
    enableWorker: false,
    emeEnabled: true,
    pLoader: withoutKeys(Hls.DefaultConfig.loader),
    drmSystems: { "org.w3.clearkey": { licenseUrl: url } },
    licenseXhrSetup: (request, _, { decryptdata }) => request.open("POST", decryptdata.uri), // as the playlist has it
  });
  hls.on(Hls.Events.ERROR, (_, { type, details, fatal, reason, error, frag }) => {
    if (!fatal && HARMLESS.includes(details)) return;
    complain(["hls.js", type, details, fatal ? "fatal" : "", reason ?? error?.message, frag?.url].join(" "));
  });
  hls.on(Hls.Events.MANIFEST_PARSED, () => {
    hls.loadLevel = 0;
  });
  hls.loadSource(url);
  hls.attachMedia(video);
  return {
    levels: () => hls.levels.map(({ height }) => height),
    switchTo(height) {
      hls.nextLevel = hls.levels.findIndex((level) => level.height === height);
    },
    languages: () => hls.audioTracks.map(({ lang }) => lang),
    chooseLanguage(code) {
      hls.audioTrack = hls.audioTracks.findIndex(({ lang }) => lang === code);
    },
    texts: () => hls.subtitleTracks.map(({ lang }) => lang),
    chooseText(code) {
      hls.subtitleTrack = hls.subtitleTracks.findIndex(({ lang }) => lang === code);
      hls.subtitleDisplay = true;
    },
    close: async () => hls.destroy(),
  };
};

const openDash = (video, url, complain) => {
  const { MediaPlayer } = window.dashjs;
  const player = MediaPlayer().create();
  const { ERROR, PLAYBACK_ERROR } = MediaPlayer.events;
  for (const event of [ERROR, PLAYBACK_ERROR]) {
    player.on(event, ({ error }) => complain(`dash.js ${event} ${error?.code} ${error?.message ?? error}`));
  }
  player.updateSettings({
    streaming: {
      abr: { autoSwitchBitrate: { video: false }, initialBitrate: { video: 1 } },
      buffer: { bufferTimeDefault: BUFFER_SECONDS, bufferTimeAtTopQuality: BUFFER_SECONDS },
    },
  });
  player.initialize(video, url, true);
  const levels = () => player.getRepresentationsByType("video");
  const ofLanguage = (kind, code) => player.getTracksFor(kind).find(({ lang }) => lang === code);
  return {
    levels: () => levels().map(({ height }) => height),
    switchTo(height) {
      const index = levels().findIndex((level) => level.height === height);
      player.setRepresentationForTypeByIndex("video", index);
    },
    languages: () => player.getTracksFor("audio").map(({ lang }) => lang),
    chooseLanguage: (code) => player.setCurrentTrack(ofLanguage("audio", code)),
    texts: () => player.getTracksFor("text").map(({ lang }) => lang),
    chooseText(code) {
      player.enableText(true);
      player.setTextTrack(player.getTracksFor("text").findIndex(({ lang }) => lang === code));
    },
    close: async () => player.destroy(),
  };
};

const openShaka = async (video, url, complain) => {
  const { shaka } = window;
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  await player.attach(video);
  player.addEventListener("error", ({ detail }) => complain(`shaka ${detail.code} ${JSON.stringify(detail.data)}`));
  player.configure({
    abr: { defaultBandwidthEstimate: 1 },
    streaming: { bufferingGoal: BUFFER_SECONDS, rebufferingGoal: 2, updateIntervalSeconds: 0.2 },
    textDisplayFactory: () => new shaka.text.NativeTextDisplayer(player),
  });
  try {
    await player.load(url);
  } catch (error) {
    complain(`shaka ${error.code} ${JSON.stringify(error.data)}`);
  }
  player.configure({ abr: { enabled: false } });
  return {
    levels: () => player.getVideoTracks().map(({ height }) => height),
    switchTo(height) {
      const track = player.getVideoTracks().find((one) => one.height === height);
      player.selectVideoTrack(track, true, KEPT_SECONDS);
    },
    languages: () => player.getAudioTracks().map(({ language }) => language),
    chooseLanguage(code) {
      const track = player.getAudioTracks().find(({ language }) => language === code);
      player.selectAudioTrack(track, KEPT_SECONDS);
    },
    texts: () => player.getTextTracks().map(({ language }) => language),
    chooseText: (code) => player.selectTextTrack(player.getTextTracks().find(({ language }) => language === code)),
    wind: (rate) => (rate === 1 ? player.cancelTrickPlay() : player.trickPlay(rate, true)),
    close: () => player.destroy(),
  };
};

/** Begins to play. */
export const open = { hls: openHls, dash: openDash, shaka: openShaka };
