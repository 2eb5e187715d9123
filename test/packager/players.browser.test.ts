/** What the packager serves, played by three players in a real browser. */
import { after, describe, test } from "node:test";
import type { Browser } from "playwright-core";
import { startTestPackager, type TestPackager } from "../../actors/packager/packager.fixture.ts";
import { chromiumPath, launchChromium } from "../support/browser.ts";
import { films, HEIGHTS, SETS } from "./players/media.ts";
import { watchAll, watchSome } from "./players/scenario.ts";
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
}

const show = async ({ player, address, env = {} }: Show, watch: (viewer: Viewer) => Promise<void>): Promise<void> => {
  const { folder, players, browser } = await theatre();
  const { url } = await packagerWith(folder, env);
  const viewer = await openViewer(browser, players, player);
  try {
    await viewer.open(player, `${url}/i/${address}`);
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
