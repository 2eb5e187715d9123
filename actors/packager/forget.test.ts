import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf, Fault } from "../../contracts/errors.ts";
import type { CacheHead } from "./cache-file.ts";
import { forgetFiles, meantBy, type Targets } from "./forget.ts";

const FILES = ["film.mp4", "a/film_low.mp4", "a/film_high.mp4", "a/set.smil", "a/b/other film.mp4", "trailers/t*.mp4"];
const options = {
  ...({ prefix: "/i/", childManifestFilename: "index_0_av.m3u8", sanitize: "refuse" } as const),
  filesOfSmil: async (path: string) => (path === "a/set.smil" ? ["a/film_low.mp4"] : assert.fail(path)),
};
const meant = async (targets: Targets): Promise<string[]> => FILES.filter(await meantBy(targets, options));

test("an address means its file, and a set's address each of its renditions", async () => {
  const cases: [url: string, files: string[]][] = [
    ["/i/film.mp4/master.m3u8", ["film.mp4"]],
    ["https://video.example.net/i/film.mp4/index_0_av.m3u8?start=30&hdnts=x", ["film.mp4"]],
    ["/i/film.mp4/segment3_0_av.ts", ["film.mp4"]],
    ["/i/film.mp4", ["film.mp4"]],
    ["film.mp4", ["film.mp4"]],
    ["http://h/i/a/film_,low,high,none,.mp4.csmil/manifest.mpd", ["a/film_low.mp4", "a/film_high.mp4"]],
    ["/i/a/film_,low,.mp4.csmil", ["a/film_low.mp4"]],
    ["/i/a/set.smil/master.m3u8", ["a/film_low.mp4", "a/set.smil"]],
    ["/i/a/b/other%20film.mp4/cmaf.m3u8", ["a/b/other film.mp4"]],
    ["/i/none.mp4/master.m3u8", []],
  ];
  for (const [url, files] of cases) assert.deepEqual(await meant({ urls: [url] }), files, url);
});

test("a star stands for anything, slashes too", async () => {
  assert.deepEqual(
    await meant({ urls: ["/i/a/*"] }),
    FILES.filter((file) => file.startsWith("a/")),
  );
  assert.deepEqual(await meant({ urls: ["*.smil", "film*"] }), ["film.mp4", "a/set.smil"]);
  assert.deepEqual(await meant({ urls: ["http://h/i/a/b/other%20*"] }), ["a/b/other film.mp4"]);
  assert.deepEqual(await meant({ all: true }), FILES);
});

test("a SMIL file that is gone means itself", async () => {
  const gone = { ...options, filesOfSmil: () => Promise.reject(new Fault("SOURCE_NOT_FOUND", { path: "a/set.smil" })) };
  assert.deepEqual(FILES.filter(await meantBy({ urls: ["/i/a/set.smil"] }, gone)), ["a/set.smil"]);
});

test("an address that no file can have is refused", async () => {
  for (const url of ["/i/../x.mp4/master.m3u8", "/i/a%2fb.mp4", "/i/a\0.mp4/master.m3u8"]) {
    await assert.rejects(meantBy({ urls: [url] }, options), (error) => codeOf(error) === "PATH_REFUSED", url);
  }
});

test("copies, segments, indexes and what is made of them are let go of, and counted", () => {
  const done: string[] = [];
  const store = (name: string, bytes: number) => ({
    purge: (isMeant: (head: CacheHead) => boolean) => {
      done.push(name);
      const count = FILES.filter((path) => isMeant({ path } as CacheHead)).length;
      return { entryCount: count, bytes: count * bytes };
    },
  });
  const purged = forgetFiles((path) => path.startsWith("a/film"), {
    library: { forget: (isMeant) => FILES.filter(isMeant).length },
    derived: [{ forget: () => void done.push("playlists") }],
    input: { forget: () => void done.push("fetches"), store: store("inputs", 100) },
    segments: store("segments", 1),
  });
  assert.deepEqual(purged, { indexCount: 2, inputCount: 2, segmentCount: 2, sizeBytes: 202 });
  assert.deepEqual(done, ["fetches", "inputs", "segments", "playlists"]);
});
