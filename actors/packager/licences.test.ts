/** What playlists and MPDs say of keys, and Clear Key licences as players on other hosts ask for them. */
import assert from "node:assert/strict";
import { copyFile } from "node:fs/promises";
import http from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { tempDir } from "../../test/support/platform.ts";
import { startTestPackager } from "./packager.fixture.ts";
import { makeToken, tokenKey } from "./tokens.ts";

const KEY = "000102030405060708090a0b0c0d0e0f";
const KEY_ID = "9eb4050de44b4802932e27d75083e266";
const SCHEMES = {
  mp4: "urn:mpeg:dash:mp4protection:2011",
  clearKey: "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e",
  common: "urn:uuid:1077efec-c0b2-4d02-ace3-3c1e52e2fb4b",
};

const packagerOf = async (t: TestContext, method: string, env: Readonly<Record<string, string>> = {}) => {
  const folder = await tempDir(t);
  await copyFile(await makeInput("moov-first", await sharedMediaDir()), join(folder, "film.mp4"));
  const { url } = await startTestPackager(t, {
    folder,
    env: {
      CASTERPAK_ENCRYPTION_METHOD: method,
      CASTERPAK_ENCRYPTION_KEY: KEY,
      CASTERPAK_ENCRYPTION_KEY_ID: KEY_ID,
      ...env,
    },
  });
  return url;
};

/** As a client that names the host as it likes. */
const textFor = (url: string, host: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const request = http.get(url, { headers: { host } }, async (answer) => {
      const chunks: Buffer[] = [];
      for await (const chunk of answer) chunks.push(chunk as Buffer);
      resolve(Buffer.concat(chunks).toString());
    });
    request.on("error", reject);
  });

const keyLines = async (url: string): Promise<string[]> =>
  (await (await fetch(url)).text()).split("\n").filter((line) => line.startsWith("#EXT-X-KEY"));

test("a licence's address names the host that the MPD was asked from: players look below their own page else", async (t) => {
  const url = `${await packagerOf(t, "cenc")}/i/film.mp4/manifest.mpd`;
  const addressFor = async (host: string) => /<dashif:Laurl[^>]*>([^<]*)</.exec(await textFor(url, host))?.[1];
  assert.equal(await addressFor("one.example:5000"), "http://one.example:5000/i/film.mp4/clearkey");
  assert.equal(await addressFor("two.example"), "http://two.example/i/film.mp4/clearkey");
  assert.equal(await addressFor("[::1]:80"), "http://[::1]:80/i/film.mp4/clearkey");
  const named = await packagerOf(t, "cenc", { CASTERPAK_OUTPUT_SERVERNAME: "cdn", CASTERPAK_OUTPUT_USE_HTTPS: "on" });
  assert.match(await textFor(`${named}/i/film.mp4/manifest.mpd`, "x"), />https:\/\/cdn\/i\/film.mp4\/clearkey</);
});

test("an MPD tells the scheme, then the licence, then the common header; with a key server no licence", async (t) => {
  const schemesOf = async (url: string) => {
    const text = await (await fetch(`${url}/i/film.mp4/manifest.mpd`)).text();
    const [set = ""] = text.split("</AdaptationSet>");
    return [...set.matchAll(/<ContentProtection schemeIdUri="([^"]*)"/g)].map(([, uri]) => uri);
  };
  assert.deepEqual(await schemesOf(await packagerOf(t, "cbcs")), [SCHEMES.mp4, SCHEMES.clearKey, SCHEMES.common]);
  const elsewhere = { CASTERPAK_ENCRYPTION_KEY_URL: "https://keys.example/film" };
  assert.deepEqual(await schemesOf(await packagerOf(t, "cbcs", elsewhere)), [SCHEMES.mp4, SCHEMES.common]);
});

test("playlists of fMP4 name the key and the licence, those of MPEG-TS the key", async (t) => {
  const cbcs = `${await packagerOf(t, "cbcs")}/i/film.mp4`;
  const [identity = "", licence = "", ...others] = await keyLines(`${cbcs}/cmaf_0_v.m3u8`);
  const rest = /,IV=0x[0-9a-f]{32},KEYFORMAT="([^"]*)",KEYFORMATVERSIONS="1"$/;
  assert.match(identity, /^#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key_0.bin",/);
  assert.match(licence, /^#EXT-X-KEY:METHOD=SAMPLE-AES,URI="clearkey",/);
  assert.deepEqual([rest.exec(identity)?.[1], rest.exec(licence)?.[1], others], ["identity", "org.w3.clearkey", []]);
  assert.deepEqual(
    (await keyLines(`${cbcs}/index_0_av.m3u8`)).map((line) => line.replace(/0x\w+/, "0x…")),
    ['#EXT-X-KEY:METHOD=SAMPLE-AES,URI="key_0.bin",IV=0x…,KEYFORMAT="identity",KEYFORMATVERSIONS="1"'],
  );
  assert.deepEqual(await keyLines(`${await packagerOf(t, "cenc")}/i/film.mp4/cmaf_0_a.m3u8`), [
    '#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="key_0.bin",KEYFORMAT="identity",KEYFORMATVERSIONS="1"',
    '#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI="clearkey",KEYFORMAT="org.w3.clearkey",KEYFORMATVERSIONS="1"',
  ]);
  const fairPlay = await packagerOf(t, "cbcs", { CASTERPAK_ENCRYPTION_KEY_URL: "skd://keys/film" });
  const [asset = "", ...more] = await keyLines(`${fairPlay}/i/film.mp4/cmaf_0_v.m3u8`);
  assert.match(asset, /URI="skd:\/\/keys\/film",.*KEYFORMAT="com.apple.streamingkeydelivery"/);
  assert.deepEqual(more, []);
});

/** Attributes of key tags in a playlist, with the addresses that their URIs lead to. */
const keysIn = async (address: string, tag: string): Promise<string[]> =>
  (await (await fetch(address)).text())
    .split(/\r?\n/)
    .filter((line) => line.startsWith(`${tag}:`))
    .map((line) => line.slice(tag.length + 1))
    .map((line) => line.replace(/URI="([^"]*)"/, (_, uri: string) => `URI="${new URL(uri, address)}"`));

/** Addresses of the media playlists that a master names. */
const mediaIn = async (address: string): Promise<string[]> => {
  const lines = (await (await fetch(address)).text()).split(/\r?\n/);
  const uris = lines.map((line) => (/^#EXT-X-MEDIA:.*URI="([^"]*)"/.exec(line) ?? /^([^#].*)/.exec(line))?.[1]);
  return uris.filter((uri) => uri !== undefined).map((uri) => new URL(uri, address).href);
};

test("masters announce the keys of their media playlists, each once; clear ones and those without attributes none", async (t) => {
  const folder = await tempDir(t);
  const inputs = { alike_1: "moov-first", alike_2: "moov-last", other_1: "moov-first", other_2: "gop-10-s" };
  for (const [name, input] of Object.entries(inputs)) {
    await copyFile(await makeInput(input, await sharedMediaDir()), join(folder, `${name}.mp4`));
  }
  const fields = {
    ip: null,
    startSeconds: null,
    endSeconds: Math.floor(Date.now() / 1000) + 600,
    id: null,
    data: null,
  };
  const token = `hdnts=${makeToken({ ...fields, acl: ["/i/*"] }, { key: tokenKey("a-password") })}`;
  for (const method of ["none", "aes-128", "sample-aes", "cbcs", "cenc"]) {
    for (const more of [{}, { CASTERPAK_TOKEN_PASSWORD: "a-password" }]) {
      const env = { CASTERPAK_ENCRYPTION_METHOD: method, CASTERPAK_ENCRYPTION_KEY: KEY, ...more };
      const { url } = await startTestPackager(t, { folder, env });
      for (const set of ["alike_1.mp4", "alike_,1,2,.mp4.csmil", "other_,1,2,.mp4.csmil"]) {
        for (const leaf of method === "cenc" ? ["cmaf.m3u8"] : ["master.m3u8", "cmaf.m3u8"]) {
          const master = `${url}/i/${set}/${leaf}?${token}`;
          const media = await mediaIn(master);
          assert.ok(media.length > 0, master);
          const ofMedia = (await Promise.all(media.map((address) => keysIn(address, "#EXT-X-KEY")))).flat();
          // The IV of a whole segment is that segment's own.
          const expected = ofMedia.map((key) => (method === "aes-128" ? key.replace(/,IV=\w+/, "") : key));
          const announced = await keysIn(master, "#EXT-X-SESSION-KEY");
          assert.deepEqual(announced.toSorted(), [...new Set(expected)].sort(), `${method} ${set} ${leaf}`);
          assert.equal(announced.length > 0, method !== "none", `${method} ${set} ${leaf}`);
          assert.deepEqual(await keysIn(`${master}&attributes=off`, "#EXT-X-SESSION-KEY"), []);
        }
      }
    }
  }
});

test("a page of another origin may ask for a licence, and gets the key that playlists name", async (t) => {
  const film = `${await packagerOf(t, "cenc")}/i/film.mp4`;
  const origin = "https://player.example";
  const asks = { origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" };
  const preflight = await fetch(`${film}/clearkey`, { method: "OPTIONS", headers: asks });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get("access-control-allow-origin"), "*");
  assert.match(preflight.headers.get("access-control-allow-headers") ?? "", /Content-Type/);
  const answer = await fetch(`${film}/clearkey`, {
    method: "POST",
    headers: { origin, "content-type": "application/json" },
    body: JSON.stringify({ kids: [Buffer.from(KEY_ID, "hex").toString("base64url")], type: "temporary" }),
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("access-control-allow-origin"), "*");
  const { keys } = (await answer.json()) as { readonly keys: readonly { readonly k: string; readonly kid: string }[] };
  assert.deepEqual(
    keys.map(({ k, kid }) => [
      Buffer.from(k, "base64url").toString("hex"),
      Buffer.from(kid, "base64url").toString("hex"),
    ]),
    [[KEY, KEY_ID]],
  );
  const key = Buffer.from(await (await fetch(`${film}/key_0.bin`)).arrayBuffer());
  assert.equal(key.toString("hex"), KEY);
});
