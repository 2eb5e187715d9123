import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { EdgeConfig, EdgeRule, EdgeSite, EdgeSource } from "../../contracts/edge-config.ts";
import { noOpenssl } from "../../test/support/certificate.ts";
import { tempDir } from "../../test/support/platform.ts";
import { configOf } from "../fleet/config-text.ts";
import { compileConfig } from "./compile.ts";
import { configWith, pemIn, SECRET, siteWith } from "./config.fixture.ts";
import { ConfigRefused, sentenceOf } from "./refused.ts";
import { DEFAULT_RULE, NO_SITES, type Rule, type Sites } from "./sites.ts";

const HOME = "/var/lib/edge";
const noFiles = (path: string): string => {
  throw Object.assign(new Error(path), { code: "ENOENT" });
};
const compiled = (config: EdgeConfig, more: { readText?: typeof noFiles; former?: Sites } = {}): Sites =>
  compileConfig(configOf(config), { readText: noFiles, homeDir: HOME, ...more });
const refusal = (compile: () => unknown): string[] => {
  try {
    compile();
    return [];
  } catch (error) {
    if (error instanceof ConfigRefused) return error.errors.map(sentenceOf);
    throw error;
  }
};

describe("sites", () => {
  test("are found by host, and the wildcard's where nobody names it", () => {
    const sites = compiled({
      customers: [
        { id: "acme", tenant: "default", sites: [siteWith({ hostnames: ["a.example", "b.example"] })] },
        { id: "rest", sites: [siteWith({ hostnames: ["*", "c.example"] })] },
      ],
    });
    const found = (host: string) => sites.find(host)?.id;
    assert.equal(found("a.example"), "acme/a.example");
    assert.equal(found("b.example"), "acme/a.example");
    assert.equal(found("c.example"), "rest/*");
    assert.equal(found("other.example"), "rest/*");
    assert.deepEqual(
      sites.all.map(({ customer, tenant, isWildcard }) => [customer, tenant, isWildcard]),
      [
        ["acme", "default", false],
        ["rest", null, true],
      ],
    );
  });

  test("are found by whole names alone, and by none that JavaScript knows", () => {
    const sites = compiled(configWith(siteWith({ hostnames: ["a.example"] })));
    for (const host of ["x.a.example", "example", "", "*", "__proto__", "constructor", "A.example"]) {
      assert.equal(sites.find(host), undefined, host);
    }
    assert.equal(NO_SITES.find("a.example"), undefined);
  });

  test("keep their id wherever they stand", () => {
    const [one, two] = [siteWith({ hostnames: ["a.example"] }), siteWith({ hostnames: ["b.example"] })];
    const ids = (config: EdgeConfig) => ["a.example", "b.example"].map((host) => compiled(config).find(host)?.id);
    assert.deepEqual(ids(configWith(one, two)), ids(configWith(two, one)));
  });

  test("can't be changed", () => {
    const [site] = compiled(configWith(siteWith())).all;
    assert.ok(Object.isFrozen(site) && Object.isFrozen(site?.ruleFor("/")) && Object.isFrozen(DEFAULT_RULE));
  });

  test("have what their words say, and plain defaults for the rest", () => {
    const [plain] = compiled(configWith(siteWith())).all;
    assert.deepEqual([plain?.parents, plain?.health, plain?.signing, plain?.certificate], [[], null, null, null]);
    const keys = [{ id: "k", algorithm: "HS256" as const, secret: SECRET }];
    const [site] = compiled(
      configWith(
        siteWith({
          parents: [{ id: "s", url: "http://10.0.0.2:8081/" }],
          health: { path: "/health" },
          signing: { keys },
        }),
      ),
    ).all;
    assert.deepEqual(site?.parents, [{ id: "s", url: "http://10.0.0.2:8081" }]);
    assert.deepEqual(site?.health, { path: "/health", intervalMs: 2_000 });
    assert.deepEqual(site?.signing, { prefix: "/", keys });
  });

  test("have their origins by order, those of one order as they were written", () => {
    const [site] = compiled(
      configWith(
        siteWith({
          origins: [
            { id: "d", plexbd: "packager", order: 2 },
            { id: "a", url: "https://o.example/base//", weight: 3 },
            { id: "b", url: "http://o.example", hostHeader: "x.example" },
            { id: "c", source: { url: "file:///srv/films%20new" }, order: 1 },
          ],
        }),
      ),
    ).all;
    assert.deepEqual(site?.origins, [
      { id: "a", order: 0, weight: 3, kind: "http", url: "https://o.example/base", hostHeader: null },
      { id: "b", order: 0, weight: 1, kind: "http", url: "http://o.example", hostHeader: "x.example" },
      { id: "c", order: 1, weight: 1, kind: "source", settings: { kind: "filesystem", root: "/srv/films new" } },
      { id: "d", order: 2, weight: 1, kind: "plexbd", plexbd: "packager" },
    ]);
  });
});

describe("rules", () => {
  const finder = (...rules: EdgeRule[]) => compiled(configWith(siteWith({ rules }))).all[0]!.ruleFor;

  test("the first that fits a path counts, by prefix and by suffix", () => {
    const rule = finder(
      { prefix: "/hls/", suffixes: [".m3u8", ".mpd"], cache: "override", ttl: "2s" },
      { suffixes: [".m3u8"], cache: "override", ttl: "3s" },
      { prefix: "/hls/", cache: "override", ttl: "4s" },
    );
    const ttl = (path: string) => rule(path).ttlMs;
    assert.deepEqual(["/hls/a.m3u8", "/hls/a.mpd", "/a.m3u8", "/hls/a.ts", "/hls", "/x/hls/a.ts"].map(ttl), [
      2_000,
      2_000,
      3_000,
      4_000,
      null,
      null,
    ]);
    assert.equal(rule("/hls"), DEFAULT_RULE);
  });

  test("are written as people write paths, and fit them in their normal form", () => {
    const rule = finder(
      { prefix: "/%7Eann/f%C3%bclle/", cache: "override", ttl: "1s" },
      { prefix: "/größe/", suffixes: [".ä"], cache: "override", ttl: "2s" },
    );
    const ttl = (path: string) => rule(path).ttlMs;
    assert.deepEqual(["/~ann/f%C3%BClle/a", "/gr%C3%B6%C3%9Fe/x.%C3%A4", "/gr"].map(ttl), [1_000, 2_000, null]);
  });

  test("say everything in ms, and have the usual where they are silent", () => {
    assert.deepEqual(finder({ cache: "honour" })("/"), DEFAULT_RULE);
    const usual: Rule = { ...DEFAULT_RULE, cache: "override", ttlMs: 1_500 };
    assert.deepEqual(finder({ cache: "override", ttl: "1.5s" })("/"), usual);
    assert.deepEqual(
      finder({
        ...{ cache: "honour", ttl: "0s", negativeTtl: "5s", grace: "2h", staleWhileRevalidate: "10s" },
        ...{ query: ["v", "q"], stripSetCookie: true, prefetch: true },
      })("/"),
      {
        ...{ cache: "honour", ttlMs: 0, negativeTtlMs: 5_000, graceMs: 7_200_000, staleWhileRevalidateMs: 10_000 },
        ...{ query: new Set(["v", "q"]), stripSetCookie: true, prefetch: true },
      },
    );
    assert.deepEqual([DEFAULT_RULE.negativeTtlMs, DEFAULT_RULE.graceMs, DEFAULT_RULE.ttlMs], [1_000, 3_600_000, null]);
  });
});

describe("a source", () => {
  const settingsOf = (source: EdgeSource) => {
    const [origin] = compiled(configWith(siteWith({ origins: [{ id: "a", source }] }))).all[0]!.origins;
    return origin?.kind === "source" ? origin.settings : undefined;
  };
  const ssh = { port: 22, password: null, keyFile: null, passphrase: null };
  const knownHostsFile = `${HOME}/.ssh/known_hosts`;

  test("becomes the settings that its kind is opened with", () => {
    const cases: [source: EdgeSource, settings: object][] = [
      [{ url: "file:///srv/films" }, { kind: "filesystem", root: "/srv/films" }],
      [{ url: "https://o.example/films/" }, { kind: "http", url: "https://o.example/films", caFile: null }],
      [
        { url: "http://o.example", user: "a b", password: "p@ss:/" },
        { kind: "http", url: "http://a%20b:p%40ss%3A%2F@o.example", caFile: null },
      ],
      [
        { url: "s3://films/2026/" },
        {
          ...{ kind: "s3", bucket: "films", endpoint: null, region: "us-east-1", prefix: "2026" },
          ...{ credentials: null, pathStyle: false },
        },
      ],
      [
        { url: "s3://films", endpoint: "http://minio:9000", accessKeyId: "k", secretAccessKey: "s" },
        {
          ...{ kind: "s3", bucket: "films", endpoint: "http://minio:9000", region: "us-east-1", prefix: "" },
          ...{ credentials: { accessKeyId: "k", secretAccessKey: "s" }, pathStyle: true },
        },
      ],
      [
        { url: "ftp://[::1]:2121/films%20new", explicitTls: true },
        {
          ...{ kind: "ftp", host: "::1", port: 2121, user: "anonymous", password: "anonymous@", path: "/films new" },
          ...{ secure: "explicit", caFile: null },
        },
      ],
      [
        { url: "ftps://f.example", user: "u", password: "p" },
        {
          ...{ kind: "ftp", host: "f.example", port: 990, user: "u", password: "p", path: "" },
          ...{ secure: "implicit", caFile: null },
        },
      ],
      [
        { url: "sftp://f.example:2222/films", user: "u" },
        { kind: "sftp", ...ssh, host: "f.example", port: 2222, user: "u", knownHostsFile, path: "/films" },
      ],
      [
        { url: "scp://f.example", user: "u", keyFile: "/k", passphrase: "p", knownHostsFile: "/h" },
        {
          ...{ kind: "scp", ...ssh, host: "f.example", user: "u", keyFile: "/k", passphrase: "p", path: "" },
          ...{ knownHostsFile: "/h" },
        },
      ],
      [
        { url: "rsync://f.example/films/2026", user: "u" },
        {
          ...{ kind: "rsync", ...ssh, host: "f.example", port: 873, user: "u", knownHostsFile },
          ...{ module: "films", path: "2026" },
        },
      ],
      [
        { url: "rsync+ssh://f.example/films", user: "u" },
        { kind: "rsync", ...ssh, host: "f.example", user: "u", knownHostsFile, module: null, path: "/films" },
      ],
    ];
    for (const [source, settings] of cases) assert.deepEqual(settingsOf(source), settings, source.url);
  });

  test("that can't be is told by its field", () => {
    const at = "customers.0.sites.0.origins.0.source.";
    const cases: [source: EdgeSource, line: string][] = [
      [{ url: "file:///srv", password: "p" }, "password: has no meaning for file://"],
      [{ url: "s3://b", accessKeyId: "k" }, "accessKeyId: and secretAccessKey are given together"],
      [{ url: "https://o.example", password: "p" }, "user: is needed by the password"],
      [{ url: "rsync://f.example/" }, "url: needs a module: rsync://host/module/folder"],
      [{ url: "file:///srv/%zz" }, "url: can't be read"],
      [{ url: "file:///srv/a%2fb" }, "url: can't be read"],
    ];
    for (const [source, line] of cases) {
      assert.deepEqual(
        refusal(() => settingsOf(source)),
        [at + line],
      );
    }
  });
});

describe("certificates", { skip: noOpenssl }, () => {
  const asText = ({ cert, key }: { cert: string; key: string }): Partial<EdgeSite> => ({ certificate: { cert, key } });

  test("come as text or from files, and say when they run out", async (t) => {
    const pem = pemIn(await tempDir(t), "one");
    const read: string[] = [];
    const readText = (path: string): string => {
      read.push(path);
      return path === "/etc/one.crt" ? pem.cert : pem.key;
    };
    const files = { certificate: { certFile: "/etc/one.crt", keyFile: "/etc/one.key" } };
    const [fromText] = compiled(configWith(siteWith(asText(pem)))).all;
    const [fromFiles] = compiled(configWith(siteWith(files)), { readText }).all;
    assert.deepEqual(fromFiles?.certificate, fromText?.certificate);
    assert.deepEqual(read, ["/etc/one.crt", "/etc/one.key"]);
    const leftMs = (fromText?.certificate?.expiresAtMs ?? 0) - Date.now();
    assert.ok(leftMs > 86_400_000 && leftMs <= 2 * 86_400_000, String(leftMs));
  });

  test("that do not belong together, or can't be read, are refused with every fault of all sites", async (t) => {
    const dir = await tempDir(t);
    const [one, two] = [pemIn(dir, "one"), pemIn(dir, "two")];
    const damaged = one.cert.replace(/\n[A-Za-z0-9+/]{4}/, "\nAAAA");
    const site = (hostname: string, certificate: EdgeSite["certificate"]) =>
      siteWith({ hostnames: [hostname], ...(certificate ? { certificate } : {}) });
    const config = configWith(
      site("a.example", { cert: one.cert, key: two.key }),
      site("b.example", { cert: damaged, key: one.key }),
      site("c.example", { cert: one.cert, key: one.key.replace(/\n[A-Za-z0-9+/]{9}/, "\nAAAAAAAAA") }),
      site("d.example", { certFile: "/nowhere.crt", keyFile: "/nowhere.key" }),
      site("e.example", { cert: two.cert, key: two.key }),
    );
    const at = (index: number) => `customers.0.sites.${index}.certificate`;
    assert.deepEqual(
      refusal(() => compiled(config)),
      [
        `${at(0)}: the certificate and the private key do not belong together`,
        `${at(1)}: the certificate can't be read`,
        `${at(2)}: the private key can't be read, or needs a passphrase`,
        `${at(3)}.certFile: the file /nowhere.crt can't be read (ENOENT)`,
        `${at(3)}.keyFile: the file /nowhere.key can't be read (ENOENT)`,
      ],
    );
  });

  test("go to other threads as texts, and make the same sites there without the files", async (t) => {
    const pem = pemIn(await tempDir(t), "one");
    const readText = (path: string): string => (path === "/one.crt" ? pem.cert : pem.key);
    const certificate = { certFile: "/one.crt", keyFile: "/one.key" };
    const rules: EdgeRule[] = [{ suffixes: [".m3u8"], cache: "override", ttl: "2s" }];
    const here = compiled(
      {
        customers: [
          { id: "acme", tenant: "default", sites: [siteWith(), siteWith({ hostnames: ["b.example"], certificate })] },
          { id: "other", sites: [siteWith({ hostnames: ["c.example"], rules })] },
        ],
      },
      { readText },
    );
    const { config, texts } = structuredClone(here.madeOf)!;
    const there = compileConfig(configOf(config), { readText: (path) => texts.get(path) ?? noFiles(path) });
    const plain = ({ all }: Sites) => all.map(({ ruleFor, ...site }) => ({ ...site, rule: ruleFor("/a.m3u8") }));
    assert.deepEqual(plain(there), plain(here));
    assert.equal(there.find("b.example")?.certificate?.cert, pem.cert);
  });

  test("whose bytes are the same stay the same objects", async (t) => {
    const dir = await tempDir(t);
    const [one, two] = [pemIn(dir, "one"), pemIn(dir, "two")];
    const config = (second: typeof one) =>
      configWith(
        siteWith({ hostnames: ["a.example"], ...asText(one) }),
        siteWith({ hostnames: ["b.example"], ...asText(second) }),
      );
    const former = compiled(config(one));
    const next = compiled(config(two), { former });
    const certificate = (sites: Sites, host: string) => sites.find(host)?.certificate;
    assert.equal(certificate(next, "a.example"), certificate(former, "a.example"));
    assert.equal(certificate(next, "b.example")?.cert, two.cert);
  });
});
