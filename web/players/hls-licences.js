/**
 * What hls.js has to be told to play samples that are encrypted by themselves (`cbcs`, `cenc`) with Clear Key licences.
 *
 * Playlists of fMP4 offer the key itself (`KEYFORMAT="identity"`, which Safari and shaka-player take) and a licence for
 * it (`org.w3.clearkey`). hls.js prefers a key wherever there is one, but decrypts samples of MPEG-TS alone with it, so
 * that the browser gets pictures which nobody has opened: it is shown the licence alone.
 */
const CLEAR_KEY = "org.w3.clearkey";
const CLEAR_KEY_LINE = `KEYFORMAT="${CLEAR_KEY}"`;
const IDENTITY_LINES = /^#EXT-X-KEY:.*KEYFORMAT="identity".*\n/gm;

const withoutKeys = (Loader) =>
  class extends Loader {
    load(context, config, { onSuccess, ...callbacks }) {
      const withLicence = (response) =>
        typeof response.data === "string" && response.data.includes(CLEAR_KEY_LINE)
          ? { ...response, data: response.data.replace(IDENTITY_LINES, "") }
          : response;
      super.load(context, config, {
        ...callbacks,
        onSuccess: (response, ...rest) => onSuccess(withLicence(response), ...rest),
      });
    }
  };

/** Options for `new Hls({ … })`. Playlists tell where licences are, with the token that they take. */
export const clearKeyOptions = (Hls) => ({
  emeEnabled: true,
  pLoader: withoutKeys(Hls.DefaultConfig.loader),
  drmSystems: { [CLEAR_KEY]: { licenseUrl: "told by playlists" } },
  licenseXhrSetup: (request, _url, { decryptdata }) => request.open("POST", decryptdata.uri),
});
