/** What the packager serves, played by three players in a real browser. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { startTestPackager, type TestPackager } from "../../actors/packager/packager.fixture.ts";
import { makeToken, tokenKey } from "../../actors/packager/tokens.ts";
import { chromiumPath, launchChromium } from "../support/browser.ts";
import { films, HEIGHTS, SETS } from "./players/media.ts";
import { listen, readAll, watchAll, watchClip, watchSome, wind } from "./players/scenario.ts";
import { openViewer, type PlayerKind, servePlayers, type Viewer } from "./players/viewer.ts";

const skip = chromiumPath ? false : "skipped: needs Chromium";
const SIDE_BY_SIDE = 3; // each mostly waits for its film to go on

interface Theatre {
  readonly folder: string;
  readonly players: string;
  readonly browser: Browser;
}

const cleaners: (() => Promise<void>)[] = [];
const forAll = { after: (clean: () => Promise<void>) => void cleaners.unshift(clean) };
after(async () => {
  for (const clean of cleaners) await clean();
});

let opened: Promise<Theatre> | undefined;
const theatre = (): Promise<Theatre> => {
  opened ??= (async () => {
    const [folder, players, browser] = await Promise.all([films(forAll), servePlayers(forAll), launchChromium(forAll)]);
    return { folder, players, browser };
  })();
  return opened;
};

const packagers = new Map<string, Promise<TestPackager>>();
/** One for each settings. */
const packagerWith = (folder: string, env: Readonly<Record<string, string>>): Promise<TestPackager> => {
  const key = JSON.stringify(env);
  const packager =
    packagers.get(key) ?? startTestPackager(forAll, { folder, env: { CASTERPAK_OUTPUT_SEGMENTDURATION: "2", ...env } });
  packagers.set(key, packager);
  return packager;
};

interface Show {
  readonly player: PlayerKind;
  /** Below the prefix. */
  readonly address: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly picture?: boolean;
}

const TRIES_MAX = 3;

/** A busy machine shows pictures late, and one try of several on time; what is wrong is wrong each time. */
const show = async (play: Show, watch: (viewer: Viewer) => Promise<void>): Promise<void> => {
  for (let tries = 1; ; tries += 1) {
    const failed = await showOnce(play, watch).then(
      () => null,
      (error: unknown) => ({ error }),
    );
    if (!failed) return;
    if (tries === TRIES_MAX) throw failed.error;
  }
};

const showOnce = async (
  { player, address, env = {}, picture = true }: Show,
  watch: (viewer: Viewer) => Promise<void>,
): Promise<void> => {
  const { folder, players, browser } = await theatre();
  const { url } = await packagerWith(folder, env);
  const viewer = await openViewer(browser, players, player);
  try {
    await viewer.open(player, `${url}/i/${address}`, { picture });
    await watch(viewer);
  } finally {
    await viewer.close();
  }
};

type Row = readonly [name: string, player: PlayerKind, leaf: string];

const CLEAR: readonly Row[] = [
  ["hls.js plays HLS in MPEG-TS", "hls", "master.m3u8"],
  ["hls.js plays HLS in fMP4", "hls", "cmaf.m3u8"],
  ["shaka-player plays HLS in MPEG-TS", "shaka", "master.m3u8"],
  ["shaka-player plays HLS in fMP4", "shaka", "cmaf.m3u8"],
  ["shaka-player plays DASH", "shaka", "manifest.mpd"],
  ["dash.js plays DASH", "dash", "manifest.mpd"],
];

/** By method; `encrypted` is what a script can't read, because the browser decrypts it. */
const ENCRYPTED: readonly (readonly [method: string, encrypted: boolean, rows: readonly Row[]])[] = [
  [
    "aes-128",
    false,
    [
      ["hls.js plays HLS in MPEG-TS", "hls", "master.m3u8"],
      ["hls.js plays HLS in fMP4", "hls", "cmaf.m3u8"],
      ["shaka-player plays HLS in MPEG-TS", "shaka", "master.m3u8"],
      ["shaka-player plays HLS in fMP4", "shaka", "cmaf.m3u8"],
    ],
  ],
  [
    "cenc",
    true,
    [
      ["hls.js plays HLS in fMP4 with a licence", "hls", "cmaf.m3u8"],
      ["shaka-player plays HLS in fMP4 with a key", "shaka", "cmaf.m3u8"],
      ["shaka-player plays DASH with a licence", "shaka", "manifest.mpd"],
      ["dash.js plays DASH with a licence", "dash", "manifest.mpd"],
    ],
  ],
  [
    "cbcs",
    true,
    [
      ["hls.js plays HLS in fMP4 with a licence", "hls", "cmaf.m3u8"],
      ["shaka-player plays HLS in fMP4 with a key", "shaka", "cmaf.m3u8"],
      ["shaka-player plays DASH with a licence", "shaka", "manifest.mpd"],
      ["dash.js plays DASH with a licence", "dash", "manifest.mpd"],
    ],
  ],
  ["sample-aes", false, [["hls.js plays HLS in MPEG-TS", "hls", "master.m3u8"]]],
];
const SECRET = "a secret that keys are made from".replaceAll(" ", "-");

/** What the query asks for, and what of the film is seen then. */
const CLIP = { query: "start=6&end=14", clip: [6, 14] } as const;
const BESIDE = { query: "subtitle_file_pattern=identifier_langcode", words: { en: "beside en", de: "beside de" } };
const PASSWORD = "a password that tokens are signed with";

/** As an operator's own server gives it to a viewer: for the set alone. */
const shortToken = (set: string): string => {
  const endSeconds = Math.floor(Date.now() / 1000) + 600;
  const fields = { ip: null, startSeconds: null, endSeconds, acl: [`/i/${set}/*`], id: null, data: null };
  return `hdnts=${makeToken(fields, { key: tokenKey(PASSWORD) })}`;
};

describe("a set of three pictures and two languages", { skip, concurrency: SIDE_BY_SIDE }, () => {
  for (const [name, player, leaf] of CLEAR) {
    test(`${name}: seeks, rungs up and down, the other language, the last picture`, () =>
      show({ player, address: `${SETS.shared}/${leaf}` }, (viewer) => watchAll(viewer, HEIGHTS)));
    test(`${name} of files whose key frames differ`, () =>
      show({ player, address: `${SETS.differing}/${leaf}` }, (viewer) => watchSome(viewer, HEIGHTS)));
  }
  for (const [method, encrypted, rows] of ENCRYPTED) {
    const env = { CASTERPAK_ENCRYPTION_METHOD: method, CASTERPAK_ENCRYPTION_SECRET: SECRET };
    for (const [name, player, leaf] of rows) {
      test(`${method}: ${name}`, () =>
        show({ player, address: `${SETS.shared}/${leaf}`, env }, (viewer) =>
          watchSome(viewer, HEIGHTS, { encrypted }),
        ));
    }
  }
});

describe("other films", { skip, concurrency: SIDE_BY_SIDE }, () => {
  for (const [name, player, leaf] of CLEAR) {
    const { query, clip } = CLIP;
    test(`${name}: of a clip, as if there were no more`, () =>
      show({ player, address: `${SETS.shared}/${leaf}?${query}` }, (viewer) => watchClip(viewer, { clip })));
    test(`${name}: subtitles beside the media, in two languages, of a clip too`, () =>
      show({ player, address: `${SETS.shared}/${leaf}?${BESIDE.query}&${query}` }, (viewer) =>
        readAll(viewer, BESIDE.words, { clip }),
      ));
    test(`${name}: subtitles inside of the media`, () =>
      show({ player, address: `${SETS.file}/${leaf}` }, (viewer) => readAll(viewer, { en: "inside" })));
    test(`${name}: without pictures`, () => show({ player, address: `${SETS.sound}/${leaf}`, picture: false }, listen));
  }
});

test("shaka-player winds through key frames in fMP4", { skip }, () =>
  show({ player: "shaka", address: `${SETS.shared}/cmaf.m3u8` }, wind),
);

describe("a film under a token", { skip, concurrency: SIDE_BY_SIDE }, () => {
  for (const [method, encrypted, rows] of ENCRYPTED.slice(0, 2)) {
    const env = {
      CASTERPAK_ENCRYPTION_METHOD: method,
      CASTERPAK_ENCRYPTION_SECRET: SECRET,
      CASTERPAK_TOKEN_PASSWORD: PASSWORD,
    };
    for (const [name, player, leaf] of rows) {
      test(`${method}: ${name}, all that follows the first address by the session's token`, () =>
        show({ player, address: `${SETS.shared}/${leaf}?${shortToken(SETS.shared)}`, env }, async (viewer) => {
          await watchSome(viewer, HEIGHTS, { encrypted });
          const [first = "", ...others] = viewer.asked;
          assert.match(first, /[?]hdnts=/);
          assert.deepEqual(
            others.filter((address) => !/[?&]hdntl=/.test(address) || address.includes("hdnts=")),
            [],
          );
        }));
    }
  }
});
