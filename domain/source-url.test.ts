import assert from "node:assert/strict";
import { test } from "node:test";
import { isAllowedAddress, isMulticastAddress, isPrivateAddress } from "./ip-address.ts";
import { namesPrivateAddress, outgoingHost, parseSource, type Source, type SourceKind } from "./source-url.ts";

const sourceOf = (url: string, type?: SourceKind): Source => {
  const parsed = parseSource(url, type);
  assert.ok(parsed.ok, parsed.ok ? "" : `${url}: ${parsed.reason}`);
  return parsed.source;
};

test("the multicast URL of the playback document keeps its options", () => {
  assert.deepEqual(sourceOf("udp://239.0.21.41:5000?fifo_size=1000000&overrun_nonfatal=1", "udp"), {
    kind: "udp",
    host: "239.0.21.41",
    port: 5000,
    multicast: true,
    options: { fifo_size: "1000000", overrun_nonfatal: "1" },
  });
});

test("each scheme is read into its own kind of source", () => {
  const cases: readonly [string, Partial<Source>][] = [
    ["udp://@239.0.0.1:1234?localaddr=127.0.0.1", { kind: "udp", host: "239.0.0.1", port: 1234 }],
    ["udp://:5000", { kind: "udp", host: "", multicast: false }],
    ["udp://[ff02::1]:5000", { kind: "udp", host: "ff02::1", multicast: true }],
    ["pl:///myloop", { kind: "pl", name: "myloop" }],
    ["http://example.org/live.ts", { kind: "http", host: "example.org", port: 80 }],
    ["https://example.org:8443/a/index.m3u8?x=1", { kind: "hls", host: "example.org", port: 8443 }],
    ["srt://example.org:9000?latency=200000&passphrase=0123456789", { kind: "srt", mode: "caller", port: 9000 }],
    ["srt://:9000?mode=listener", { kind: "srt", mode: "listener", host: "" }],
    ["rtmp://example.org/live/key", { kind: "rtmp", listen: false, port: 1935, path: "/live/key" }],
    ["rtmp://0.0.0.0:1936/live/key?listen=1", { kind: "rtmp", listen: true, port: 1936 }],
    ["rtmps://example.org/live/key", { kind: "rtmp", secure: true, port: 443 }],
  ];
  for (const [url, expected] of cases) {
    const source = sourceOf(url);
    assert.deepEqual({ ...source, ...expected }, source, url);
  }
  assert.equal(sourceOf("http://example.org/live", "hls").kind, "hls");
});

test("options that are not in the list never reach ffmpeg", () => {
  const source = sourceOf("udp://239.0.0.1:1234?fifo_size=7&localport=22&fifo_name=/etc/passwd");
  assert.deepEqual(source.kind === "udp" && source.options, { fifo_size: "7" });
});

test("what is not a source URL is refused with a reason", () => {
  const refused = [
    ...["file:///etc/passwd", "concat:a|b", "pipe:0", "data:,x", "subfile://x", "gopher://x/", "rtp://239.0.0.1:5000"],
    ...["pl:///../x", "pl:///a/b", "pl:///..", "pl:///", "pl://x/y", "pl:///.hidden", "pl:///a..b", "pl:///x?y"],
    ...["udp://239.0.0.1", "udp://239.0.0.1:0", "udp://239.0.0.1:99999", "udp://evil.example:5000", "udp://"],
    ...["udp://239.0.0.1:1?localaddr=evil", "udp://239.0.0.1:1?fifo_size=x", "http://", "https://a b/"],
    ...["srt://h", "srt://h:1?mode=rendezvous", "srt://evil.example:9000?mode=listener", "srt://:9000?mode=caller"],
    ...["rtmp://h", "rtmp://h/", "rtmps://0.0.0.0/a/b?listen=1", "rtmp://h/a b", "rtmp://h/a'b", "constructor://x"],
    ...["", "x", "udp:", `http://example.org/${"x".repeat(2000)}`, "http://example.org/\nx", "http://exa|mple/"],
  ];
  for (const url of refused) {
    const parsed = parseSource(url);
    assert.equal(parsed.ok, false, url);
    assert.ok(!parsed.ok && parsed.reason.length > 10 && !parsed.mismatch, url);
  }
});

test("a URL of another source type is a mismatch, not a bad URL", () => {
  for (const [url, type] of [
    ["udp://239.0.0.1:5000", "pl"],
    ["pl:///x", "udp"],
    ["http://example.org/x", "srt"],
    ["srt://example.org:1", "http"],
  ] as const) {
    const parsed = parseSource(url, type);
    assert.deepEqual([parsed.ok, !parsed.ok && parsed.mismatch], [false, true], url);
  }
});

test("addresses that are not public are private, in every way of writing them", () => {
  const privates = [
    ...["127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254", "0.0.0.0"],
    ...["100.64.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "[::1]", "fe80::1%eth0", "fd00::1"],
    ...["::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::", "2001:db8::1"],
    ...["ff02::1", "not an address", "", "1.2.3", "01.2.3.4", "::1::2", "1:2:3:4:5:6:7:8:9"],
  ];
  for (const address of privates) assert.equal(isPrivateAddress(address), true, address);
  const publics = ["1.1.1.1", "172.32.0.1", "192.169.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"];
  for (const address of publics) assert.equal(isPrivateAddress(address), false, address);
});

test("an allowed network lets its addresses through and no others", () => {
  assert.equal(isAllowedAddress("10.1.2.3", ["10.1.0.0/16"]), true);
  assert.equal(isAllowedAddress("::ffff:10.1.2.3", ["10.1.0.0/16"]), true);
  assert.equal(isAllowedAddress("10.2.0.1", ["10.1.0.0/16", "fd00::/8"]), false);
  assert.equal(isAllowedAddress("fd12::1", ["10.1.0.0/16", "fd00::/8"]), true);
  assert.equal(isAllowedAddress("127.0.0.1", ["127.0.0.1"]), true);
  assert.equal(isAllowedAddress("10.1.2.3", ["nonsense", "10.0.0.0/99"]), false);
  assert.equal(
    isMulticastAddress("239.1.1.1") && isMulticastAddress("ff02::1") && !isMulticastAddress("1.1.1.1"),
    true,
  );
});

test("only what goes out to one host is looked at by the private-address rule", () => {
  const hosts = [
    ["udp://239.0.0.1:5000", null],
    ["udp://127.0.0.1:5000", null],
    ["pl:///x", null],
    ["srt://127.0.0.1:9000?mode=listener", null],
    ["rtmp://127.0.0.1/live/key?listen=1", null],
    ["srt://127.0.0.1:9000", "127.0.0.1"],
    ["rtmp://h.example/live/key", "h.example"],
    ["http://[::1]:80/x", "::1"],
    ["http://2130706433/x", "127.0.0.1"], // the WHATWG parser folds odd spellings
  ] as const;
  for (const [url, host] of hosts) assert.equal(outgoingHost(sourceOf(url)), host, url);
  assert.equal(namesPrivateAddress(sourceOf("http://0x7f.1/x")), true);
  assert.equal(namesPrivateAddress(sourceOf("http://localhost/x")), true);
  assert.equal(namesPrivateAddress(sourceOf("http://example.org/x")), false);
});
