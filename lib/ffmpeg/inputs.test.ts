import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSource } from "../../domain/source-url.ts";
import { parseVersion } from "./binary.ts";
import { canBurst, loopInput, networkInput } from "./inputs.ts";

const inputOf = (url: string, address: string | null = null): string => {
  const parsed = parseSource(url);
  assert.ok(parsed.ok && parsed.source.kind !== "pl");
  return networkInput(parsed.source, { address, analysisMs: 500 }).join(" ");
};

test("each kind of source is confined to its protocols and containers", () => {
  const cases: readonly [url: string, address: string | null, expected: RegExp][] = [
    [
      "udp://239.0.0.1:5000",
      null,
      /-protocol_whitelist udp -format_whitelist mpegts -f mpegts -i udp:\/\/239\.0\.0\.1:5000\?fifo_size=50000/,
    ],
    [
      "udp://239.0.0.1:5000?fifo_size=1000000&localaddr=127.0.0.1",
      null,
      /\?fifo_size=1000000&overrun_nonfatal=1&localaddr=127\.0\.0\.1$/,
    ],
    ["udp://[ff02::1]:5000", null, /udp:\/\/\[ff02::1\]:5000\?/],
    [
      "http://example.org/a.ts",
      "1.1.1.1",
      /-protocol_whitelist http,https,tcp,tls,httpproxy,crypto .* -re -i http:\/\/example\.org\/a\.ts$/,
    ],
    ["https://example.org/a.m3u8", null, /-live_start_index -2 -re -i https:\/\/example\.org\/a\.m3u8$/],
    [
      "srt://example.org:9000?latency=200000",
      "1.1.1.1",
      /-protocol_whitelist srt .*srt:\/\/1\.1\.1\.1:9000\?latency=200000&mode=caller$/,
    ],
    ["srt://:9000?mode=listener", null, /-i srt:\/\/:9000\?mode=listener$/],
    ["rtmp://0.0.0.0:1936/live/key?listen=1", null, /-listen 1 -i rtmp:\/\/0\.0\.0\.0:1936\/live\/key$/],
    ["rtmp://:1936/live/key?listen=1", null, /-i rtmp:\/\/0\.0\.0\.0:1936\/live\/key$/],
    [
      "rtmp://example.org/live/key",
      "1.1.1.1",
      /-re -rtmp_tcurl rtmp:\/\/example\.org:1935\/live -rtmp_live live -i rtmp:\/\/1\.1\.1\.1:1935\/live\/key$/,
    ],
    ["rtmps://example.org/live/key", "1.1.1.1", /-i rtmps:\/\/example\.org:443\/live\/key$/],
  ];
  for (const [url, address, expected] of cases) assert.match(inputOf(url, address), expected, url);
  for (const [url] of cases) assert.doesNotMatch(inputOf(url), /file|concat|pipe|data/, url);
});

test("a loop may read files and nothing else", () => {
  assert.equal(
    loopInput("/x/list.ffconcat", 8.04).join(" "),
    "-protocol_whitelist file -format_whitelist concat,mov -re -readrate_initial_burst 8.040 -f concat -i /x/list.ffconcat",
  );
  assert.equal(loopInput("/x/list.ffconcat", 0).includes("-readrate_initial_burst"), false);
});

test("the version decides whether a loop can be read ahead", () => {
  const cases: readonly [string, boolean][] = [
    ["ffmpeg version n7.0-7-gd38bf5e08e-20240407 Copyright", true],
    ["ffmpeg version 5.1.9-0+deb12u1 Copyright", false],
    ["ffmpeg version 6.0 Copyright", false],
    ["ffmpeg version 6.1.1-3ubuntu5 Copyright", true],
    ["ffmpeg version N-112515-gfb1b88af77 Copyright", true],
  ];
  for (const [text, expected] of cases) assert.equal(canBurst(parseVersion(text)), expected, text);
});
