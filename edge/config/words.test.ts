/** What the words of an edge.json may be: the contract's schema, as operators meet it. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { durationMs, type EdgeSite, KEPT } from "../../contracts/edge-config.ts";
import { duration } from "../../lib/config/kinds.ts";
import { newSigningPair } from "../../lib/crypto/ed25519.ts";
import { configOf, parseConfigText } from "../fleet/config-text.ts";
import { Guard } from "../guard/guard.ts";
import { compileConfig } from "./compile.ts";
import { configWith, SECRET, siteWith } from "./config.fixture.ts";
import { ConfigRefused, sentenceOf } from "./refused.ts";

/** What is wrong with a value, a line each. */
const complaints = (read: () => unknown): string[] => {
  try {
    read();
    return [];
  } catch (error) {
    if (error instanceof ConfigRefused) return error.errors.map(sentenceOf);
    throw error;
  }
};
const ofSite = (more: object): string[] =>
  complaints(() => configOf(configWith(siteWith(more as Partial<EdgeSite>)))).map((line) =>
    line.replace("customers.0.sites.0.", ""),
  );
const many = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

test("a configuration with every word is taken as it is written", () => {
  const config = {
    customers: [
      {
        id: "acme",
        tenant: "default",
        sites: [
          {
            hostnames: ["cdn.acme.example", "127.0.0.1", "[::1]", "*"],
            certificate: { certFile: "/etc/acme.crt", keyFile: "/etc/acme.key" },
            origins: [
              { id: "a", url: "https://o.example:8443/base", order: 0, weight: 2, hostHeader: "o.example:8443" },
              { id: "b", source: { url: "s3://films/2026", region: "eu-west-1", pathStyle: true }, order: 1 },
              { id: "c", plexbd: "live", order: 1 },
            ],
            parents: [{ id: "shield-1", url: "http://10.0.0.2:8081" }],
            health: { path: "/health", intervalMs: 2000 },
            rules: [
              {
                ...{
                  prefix: "/hls/",
                  suffixes: [".m3u8"],
                  cache: "override",
                  ttl: "2s",
                  negativeTtl: "1s",
                  grace: "1h",
                },
                ...{ staleWhileRevalidate: "10s", query: ["v", "q"], stripSetCookie: true, prefetch: true },
              },
              { cache: "bypass", query: "drop" },
            ],
            signing: {
              prefix: "/vod/",
              keys: [
                { id: "k1", algorithm: "HS256", secret: SECRET },
                { id: "k2", algorithm: "EdDSA", publicKey: SECRET },
              ],
            },
          },
        ],
      },
    ],
  };
  assert.deepEqual(parseConfigText(JSON.stringify(config)), config);
  assert.deepEqual(configOf({ customers: [] }), { customers: [] });
});

test("durations are read as those of variables are", () => {
  const kind = duration(0, Number.MAX_SAFE_INTEGER);
  const read = (text: string): number | undefined => {
    try {
      return kind.parse(text);
    } catch {
      return undefined;
    }
  };
  for (const text of ["0s", "500ms", "1.5s", "2m", "36h", "1", "s", "1d", "-1s", "1 s", "1.2345s", "9999999999s", ""]) {
    assert.equal(durationMs(text), read(text), text);
  }
  assert.equal(durationMs("1.5s"), 1_500);
});

describe("an unknown word is an error", () => {
  test("wherever it stands", () => {
    const config = configWith(siteWith());
    assert.deepEqual(
      complaints(() => configOf({ ...config, extra: 1 })),
      ["extra: is not a known field"],
    );
    assert.deepEqual(ofSite({ hostname: "x" }), ["hostname: is not a known field"]);
    assert.deepEqual(ofSite({ rules: [{ cache: "honour", ttlMs: 5 }] }), ["rules.0.ttlMs: is not a known field"]);
    assert.deepEqual(ofSite({ origins: [{ id: "a", url: "http://o", source_url: "" }] }), [
      "origins.0.source_url: is not a known field",
    ]);
  });

  test("also one that JavaScript gives a meaning", () => {
    assert.deepEqual(
      complaints(() => parseConfigText('{"customers":[],"__proto__":{"customers":[]}}')),
      ["__proto__: is not a known field"],
    );
  });
});

test("text that is no JSON is refused with its place and without its content", () => {
  const [line = "", ...more] = complaints(() => parseConfigText(`{\n "secret": "${SECRET}"\n "x"}`));
  assert.equal(more.length, 0);
  assert.match(line, /^is not JSON/);
  assert.ok(!line.includes(SECRET));
});

test("each bad value is told with its path", () => {
  const HOST = 'must be a host name in lower case without a port, or "*" for every other host';
  const URL_SAYS = "must be an http:// or https:// URL without query, fragment or credentials";
  for (const hostname of [
    "CDN.example",
    "a.example:80",
    "a..b",
    "-a.b",
    "a.",
    "bücher.example",
    "*.a.example",
    "0x7f.1",
    "",
  ]) {
    assert.deepEqual(ofSite({ hostnames: [hostname] }), [`hostnames.0: ${HOST}`], hostname);
  }
  for (const url of [
    "ftp://o/",
    "http://",
    "http://u:p@o/",
    "http://o/?q",
    "http://o/#f",
    "o.example",
    "http://o/ x",
  ]) {
    assert.deepEqual(ofSite({ origins: [{ id: "a", url }] }), [`origins.0.url: ${URL_SAYS}`], url);
  }
  const cases: [more: object, line: RegExp][] = [
    [{ origins: [{ id: "a" }] }, /^origins\.0: must have one of url, source and plexbd$/],
    [{ origins: [{ id: "a", url: "http://o", plexbd: "live" }] }, /^origins\.0: must have one of/],
    [{ origins: [{ id: "a", plexbd: "live", hostHeader: "x" }] }, /^origins\.0\.hostHeader: has a meaning with url/],
    [{ origins: [{ id: "a", url: "http://o", hostHeader: "x\r\ny" }] }, /^origins\.0\.hostHeader: must be a host/],
    [{ origins: [{ id: "a/b", url: "http://o" }] }, /^origins\.0\.id: must be 1 to 63 letters/],
    [{ origins: [{ id: "a", source: { url: "gopher://x" } }] }, /^origins\.0\.source\.url: must be a URL of file, /],
    [{ origins: [{ id: "a", source: { url: "file://host/x" } }] }, /^origins\.0\.source\.url: must be a URL of file, /],
    [{ origins: [{ id: "a", source: { url: "ftp://u:p@h/x" } }] }, /^origins\.0\.source\.url: must be a URL of file, /],
    [{ parents: [{ id: "a", url: "10.0.0.2:8081" }] }, /^parents\.0\.url: must be an http/],
    [{ health: { path: "health" } }, /^health\.path: must be a path that begins with a slash/],
    [{ health: { path: "/h", intervalMs: 10 } }, /^health\.intervalMs: /],
    [{ rules: [{ cache: "always" }] }, /^rules\.0\.cache: /],
    [{ rules: [{ cache: "honour", ttl: "5" }] }, /^rules\.0\.ttl: must be a length of time from 0ms to 8784h/],
    [{ rules: [{ cache: "honour", grace: "9000h" }] }, /^rules\.0\.grace: must be a length of time/],
    [{ rules: [{ cache: "honour", negativeTtl: "25h" }] }, /^rules\.0\.negativeTtl: must be .* to 24h/],
    [{ rules: [{ cache: "override" }] }, /^rules\.0\.ttl: is needed by override$/],
    [{ rules: [{ cache: "bypass", ttl: "1s" }] }, /^rules\.0\.cache: bypass keeps nothing/],
    [{ rules: [{ cache: "honour", prefix: "hls/" }] }, /^rules\.0\.prefix: must be a path/],
    [{ rules: [{ cache: "honour", query: ["a&b"] }] }, /^rules\.0\.query\.0: must be a parameter's name$/],
    [
      { signing: { keys: [{ id: "k", algorithm: "HS256", secret: "short" }] } },
      /^signing\.keys\.0\.secret: must be 32/,
    ],
    [{ signing: { keys: [{ id: "k", algorithm: "none" }] } }, /^signing\.keys\.0\.algorithm: /],
    [
      { signing: { keys: [{ id: "k", algorithm: "EdDSA", publicKey: `${SECRET}AAAA` }] } },
      /publicKey: must be 32 bytes/,
    ],
    [{ signing: { keys: [] } }, /^signing\.keys: /],
    [{ certificate: { certFile: "/x" } }, /^certificate: must have certFile and keyFile, or cert and key$/],
    [{ certificate: { certFile: "/x", keyFile: "/y", cert: "z" } }, /^certificate\.cert: must be PEM$/],
    [{ certificate: { cert: "x", key: "y" } }, /^certificate\.cert: must be PEM$/],
    [{ signing: { keys: [{ id: "k", algorithm: "HS256", secret: KEPT }] } }, /^signing\.keys\.0\.secret: must be 32/],
  ];
  for (const [more, expected] of cases) assert.match(ofSite(more)[0] ?? "taken", expected, JSON.stringify(more));
});

test("a path has one reading", () => {
  const health = (path: string) => ofSite({ health: { path } });
  for (const path of ["/", "/a", "/a%20b/", "/ä/", "/a.b/..c", "/%C3%A4", "/%7Euser"])
    assert.deepEqual(health(path), [], path);
  const bad = ["", "a", "/a?b", "/a#b", "/a b", "/a\\b", "/a%2fb", "/a%5Cb", "/a%00", "/a%1f", "/a%7F", "/a%", "/a%zz"];
  for (const path of [
    ...bad,
    "/./a",
    "/a/..",
    "/%2E%2e/a",
    "/a\n",
    "/\ud800",
    `/${"a".repeat(1_024)}`,
    `/${"ä".repeat(171)}`,
  ]) {
    assert.equal(health(path).length, 1, path);
  }
});

test("what opens signed URLs is taken by their guard", () => {
  const secrets = (sizeBytes: number) => Buffer.alloc(sizeBytes, 0xfb).toString("base64url");
  const keys = [
    ...[32, 33, 34, 64, 256].map((size) => ({ id: `k-${size}`, algorithm: "HS256" as const, secret: secrets(size) })),
    { id: "e_1", algorithm: "EdDSA" as const, publicKey: newSigningPair().publicKey },
  ];
  for (const prefix of ["/", "/vod", "/ä/", "/%C3%A4/", "/a%20b", `/${"ä".repeat(170)}`, `/${"a".repeat(1_023)}`]) {
    assert.deepEqual(ofSite({ signing: { prefix, keys } }), []);
    const [site] = compileConfig(configWith(siteWith({ signing: { prefix, keys } })), { readText: String }).all;
    assert.ok(new Guard(site?.signing?.keys ?? [], { prefix: site?.signing?.prefix ?? "" }));
  }
  const bad = [`${SECRET.slice(0, -1)}J`, `${SECRET}=`, secrets(31), secrets(257), SECRET.replace("c", "+")];
  for (const secret of bad) {
    assert.equal(ofSite({ signing: { keys: [{ id: "k", algorithm: "HS256", secret }] } }).length, 1, secret);
  }
  for (const id of ["", "a.b", "a".repeat(33)]) {
    assert.equal(ofSite({ signing: { keys: [{ id, algorithm: "HS256", secret: SECRET }] } }).length, 1, id);
  }
});

test("every list has an end", () => {
  const origin = (index: number) => ({ id: `o${index}`, url: "http://o.example" });
  const rule = { cache: "honour" };
  const cases: [within: object, beyond: object][] = [
    [{ hostnames: many(100, (i) => `h${i}.example`) }, { hostnames: many(101, (i) => `h${i}.example`) }],
    [{ origins: many(16, origin) }, { origins: many(17, origin) }],
    [{ parents: many(64, origin) }, { parents: many(65, origin) }],
    [{ rules: many(200, () => rule) }, { rules: many(201, () => rule) }],
    [
      { rules: [{ ...rule, suffixes: many(50, () => ".x") }] },
      { rules: [{ ...rule, suffixes: many(51, () => ".x") }] },
    ],
    [{ rules: [{ ...rule, query: many(50, () => "v") }] }, { rules: [{ ...rule, query: many(51, () => "v") }] }],
    [
      { signing: { keys: many(16, (i) => ({ id: `k${i}`, algorithm: "HS256", secret: SECRET })) } },
      { signing: { keys: many(17, (i) => ({ id: `k${i}`, algorithm: "HS256", secret: SECRET })) } },
    ],
  ];
  for (const [within, beyond] of cases) {
    assert.deepEqual(ofSite(within), []);
    assert.equal(ofSite(beyond).length, 1, JSON.stringify(beyond).slice(0, 60));
  }
  assert.equal(ofSite({ hostnames: [] }).length, 1);
  assert.equal(ofSite({ origins: [] }).length, 1);
  const sites = (count: number) => configWith(...many(count, (i) => siteWith({ hostnames: [`h${i}.example`] })));
  assert.deepEqual(
    complaints(() => configOf(sites(100))),
    [],
  );
  assert.equal(complaints(() => configOf(sites(101))).length, 1);
  const customers = (count: number, hostnameCount: number) => ({
    customers: many(count, (i) => ({
      id: `c${i}`,
      sites: [siteWith({ hostnames: many(hostnameCount, (j) => `h${j}.c${i}.example`) })],
    })),
  });
  assert.deepEqual(
    complaints(() => configOf(customers(10_000, 2))),
    [],
  );
  assert.equal(complaints(() => configOf(customers(10_001, 1))).length, 1);
  assert.deepEqual(
    complaints(() => configOf(customers(201, 100))),
    ["customers: must have at most 20000 hostnames in all"],
  );
});

test("a hostname belongs to one site of one customer, and ids are named once", () => {
  const site = siteWith({ hostnames: ["a.example", "*"] });
  const twice = {
    customers: [
      { id: "acme", sites: [site] },
      { id: "other", sites: [siteWith({ hostnames: ["b.example", "*"] })] },
    ],
  };
  assert.deepEqual(
    complaints(() => configOf(twice)),
    ["customers.1.sites.0.hostnames.1: * is named before, by acme"],
  );
  assert.deepEqual(ofSite({ hostnames: ["a.example", "a.example"] }), [
    "hostnames.1: a.example is named before, by acme",
  ]);
  assert.deepEqual(
    complaints(() => configOf({ customers: [...twice.customers.slice(0, 1), { id: "acme", sites: [siteWith()] }] })),
    ["customers.1.id: is the id of another customer too"],
  );
  const a = { id: "a", url: "http://o.example" };
  assert.deepEqual(ofSite({ origins: [a, a] }), ["origins: must have each id once"]);
  assert.deepEqual(ofSite({ parents: [a, a] }), ["parents: must have each id once"]);
  const key = { id: "k", algorithm: "HS256", secret: SECRET };
  assert.deepEqual(ofSite({ signing: { keys: [key, key] } }), ["signing.keys: must have each id once"]);
});
