import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ConfigError, type PackagerConfig, readSettings, type Settings } from "./config.ts";
import { VARIABLES } from "./variables.ts";

const ALONE = { ROLES: "packager", DATA_DIR: "/var/lib/castellan" };
const read = (env: Record<string, string> = {}): Settings => readSettings({ ...ALONE, ...env }, false);
const packagerOf = (env: Record<string, string> = {}): PackagerConfig => read(env).packager!;
const problemOf = (env: Record<string, string>): string => {
  try {
    read(env);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    assert.ok(!error.message.includes("\n"), error.message);
    return error.message;
  }
  return "";
};

const iniOf = (t: TestContext, text: string): { CASTERPAK_CONFIG: string } => {
  const dir = mkdtempSync(join(tmpdir(), "castellan-ini-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, "config.ini");
  writeFileSync(file, text);
  return { CASTERPAK_CONFIG: file };
};

test("a packager alone needs no bus and no database, and the others need no packager", () => {
  const alone = read();
  assert.deepEqual([alone.roles, alone.natsUrl, alone.allInOne], [["packager"], null, false]);
  const others = readSettings({ ROLES: "gateway,control,streamer,edge" }, false);
  assert.deepEqual([others.allInOne, others.packager], [true, null]);
  assert.throws(() => readSettings({ ROLES: "packager,edge" }, false), /^ConfigError: NATS_URL: is needed/);
});

test("without any setting it is what CasterPak is without any", () => {
  const MiB = 2 ** 20;
  const hours = 3_600_000;
  assert.deepEqual(packagerOf(), {
    port: 5000,
    urlPrefix: "/i/",
    serverName: null,
    useHttps: false,
    trustedProxies: [],
    sanitize: "refuse",
    segmentSeconds: 6,
    childManifestFilename: "index_0_av.m3u8",
    segmentVersion: true,
    segmentSlots: 8,
    indexCacheBytes: 48 * MiB,
    sourceRecheckMs: 1000,
    source: { kind: "filesystem", root: "/mnt/data/videos" },
    connectTimeoutMs: 10_000,
    idleTimeoutMs: 10_000,
    inputCache: {
      on: false,
      mode: "ranges",
      dir: "/tmp/video_input",
      ageMs: 144 * hours,
      sizeBytes: 8192 * MiB,
      limitPercent: 85,
    },
    segmentCache: { on: false, dir: "/tmp/segments", ageMs: 72 * hours, sizeBytes: 16_384 * MiB, limitPercent: 85 },
    cacheDatabase: "/var/lib/castellan/packager/cacheDB.db",
    cleanup: { intervalMs: 300_000, cron: null },
    logs: { access: null, error: null, cache: null },
    adminToken: null,
    tokens: [],
    tokenSalt: null,
    encryption: [],
  } satisfies PackagerConfig);
});

test("every option of a CasterPak config.ini is read, whatever case its name has", (t) => {
  const file = iniOf(
    t,
    `# as CasterPak ships it, with other values
[application]
debug = True
[cache]
segment_file_age = 10
segment_file_cache_size = 20
segment_file_cache_limit = 30
input_file_age = 40
input_file_cache_size = 50
input_file_cache_limit = 60
cleanup_interval = 70
[input]
input_type = http
videoCachePath = /var/cache/in
[output]
use_https: yes
segmentParentPath = /var/cache/out
SEGMENTDURATION = 8
childManifestFilename = list.m3u8
serverName = video.example.net:8443
[bento4]
binaryPath = /usr/local/bin
[filesystem]
videoParentPath = /srv/films
cache_input = True
[http]
url = http://files.example.net/a;b/#x/
[logging]
access_log = -
error_log = /var/log/casterpak.error.log
cache_log = /var/log/casterpak.cache.log
`,
  );
  const settings = read(file);
  assert.deepEqual(settings.warnings, []);
  assert.equal(settings.logLevel, "debug");
  const { source, logs, inputCache, segmentCache, cleanup, ...rest } = settings.packager!;
  assert.deepEqual(source, { kind: "http", url: "http://files.example.net/a;b/#x", caFile: null });
  assert.deepEqual(logs, { access: "-", error: "/var/log/casterpak.error.log", cache: "/var/log/casterpak.cache.log" });
  assert.deepEqual([inputCache.ageMs, inputCache.sizeBytes, inputCache.limitPercent], [2_400_000, 50 * 2 ** 20, 60]);
  assert.deepEqual(
    [segmentCache.ageMs, segmentCache.sizeBytes, segmentCache.limitPercent],
    [600_000, 20 * 2 ** 20, 30],
  );
  assert.deepEqual([inputCache.dir, segmentCache.dir, cleanup.intervalMs], ["/var/cache/in", "/var/cache/out", 70_000]);
  assert.deepEqual(
    [rest.useHttps, rest.segmentSeconds, rest.childManifestFilename, rest.serverName],
    [true, 8, "list.m3u8", "video.example.net:8443"],
  );
});

test("the environment counts more than the file, also for options that the file does not have", (t) => {
  const file = iniOf(t, "[output]\nsegmentDuration = 8\n#use_https = True\n");
  const packager = packagerOf({ ...file, CASTERPAK_OUTPUT_SEGMENTDURATION: "4", CASTERPAK_OUTPUT_USE_HTTPS: "True" });
  assert.deepEqual([packager.segmentSeconds, packager.useHttps], [4, true]);
  assert.equal(packagerOf({ ...file, CASTERPAK_OUTPUT_SEGMENTDURATION: "" }).segmentSeconds, 8, "empty is unset");
});

test("a file's options become the variables of the same section and option", () => {
  for (const variable of Object.values(VARIABLES)) {
    if (!("ini" in variable) || !variable.ini) continue;
    const { section, option } = variable.ini;
    assert.equal(variable.env, `CASTERPAK_${section}_${option}`.toUpperCase());
  }
});

test("a wrong value in the file names its section and option, a wrong one in the environment its variable", (t) => {
  const file = iniOf(t, "[output]\nsegmentDuration = 61\n[token]\npassword = \u0007bell\n");
  const takes = "is not a whole number from 1 to 60.";
  assert.equal(problemOf(file), `output.segmentDuration: "61" in ${file.CASTERPAK_CONFIG} ${takes}`);
  assert.equal(
    problemOf({ ...file, CASTERPAK_OUTPUT_SEGMENTDURATION: "0" }),
    `CASTERPAK_OUTPUT_SEGMENTDURATION: "0" ${takes}`,
  );
  assert.doesNotMatch(problemOf({ ...file, CASTERPAK_OUTPUT_SEGMENTDURATION: "6" }), /bell/);
});

test("a file that can't be read stops the start with one line", (t) => {
  assert.match(problemOf({ CASTERPAK_CONFIG: "/nowhere/config.ini" }), /^CASTERPAK_CONFIG: .*ENOENT/);
  const broken = iniOf(t, "[output]\nsegmentDuration\n");
  assert.match(problemOf(broken), /^CASTERPAK_CONFIG: .*config\.ini: line 2 is neither \[section\] nor option = value/);
  assert.match(problemOf(iniOf(t, "debug = on\n")), /debug stands before any \[section\]/);
  assert.equal(
    readSettings({ ROLES: "edge", NATS_URL: "nats://b", ...broken }, false).packager,
    null,
    "others don't look",
  );
});

test("what is no setting is a warning that names it", (t) => {
  const file = iniOf(t, "[output]\nsegmentDurations = 8\n[player]\nskin = dark\n[bento4]\nbinaryPath = /bin\n");
  const { warnings } = read({ ...file, CASTERPAK_FILESYSTEM_VIDEOPARENTPAHT: "/x", CASTERPAK_TOKEN_TV_PASSWORD: "pw" });
  assert.deepEqual(warnings, [
    `output.segmentDurations in ${file.CASTERPAK_CONFIG} is no setting`,
    `player.skin in ${file.CASTERPAK_CONFIG} is no setting`,
    "CASTERPAK_FILESYSTEM_VIDEOPARENTPAHT is no setting",
  ]);
});

test("each kind of source comes with its own settings, and says which one is missing", () => {
  const sourceOf = (kind: string, env: Record<string, string> = {}) =>
    packagerOf({ CASTERPAK_INPUT_INPUT_TYPE: kind, ...env }).source;
  const missing: Record<string, string> = {
    http: "CASTERPAK_HTTP_URL",
    s3: "CASTERPAK_S3_BUCKET",
    ftp: "CASTERPAK_FTP_HOST",
    sftp: "CASTERPAK_SFTP_HOST",
    scp: "CASTERPAK_SCP_HOST",
    rsync: "CASTERPAK_RSYNC_HOST",
  };
  for (const [kind, variable] of Object.entries(missing)) {
    assert.equal(problemOf({ CASTERPAK_INPUT_INPUT_TYPE: kind }), `${variable}: is needed by input type ${kind}.`);
  }
  const s3 = {
    CASTERPAK_S3_BUCKET: "films",
    CASTERPAK_S3_ENDPOINT: "http://s3.lan:9000/",
    CASTERPAK_S3_PREFIX: "/a/b/",
  };
  const place = { kind: "s3", bucket: "films", endpoint: "http://s3.lan:9000", region: "us-east-1", prefix: "a/b" };
  assert.deepEqual(sourceOf("s3", s3), { ...place, credentials: null, pathStyle: true, restore: null });
  const restored = sourceOf("s3", { ...s3, CASTERPAK_S3_ENDPOINT: "", CASTERPAK_S3_RESTORE_TIER: "Bulk" });
  assert.deepEqual(restored, {
    ...{ ...place, endpoint: null, credentials: null, pathStyle: false, restore: { tier: "Bulk", days: 7 } },
  });
  assert.match(
    problemOf({ CASTERPAK_INPUT_INPUT_TYPE: "s3", ...s3, CASTERPAK_S3_ACCESS_KEY_ID: "AK" }),
    /^CASTERPAK_S3_SECRET_ACCESS_KEY: is needed/,
  );
  assert.deepEqual(sourceOf("ftp", { CASTERPAK_FTP_HOST: "ftp.lan" }), {
    ...{ kind: "ftp", host: "ftp.lan", port: 21, user: "anonymous", password: "anonymous@", path: "", secure: "off" },
    caFile: null,
  });
  const login = { CASTERPAK_SCP_HOST: "h", CASTERPAK_SCP_USER: "u", CASTERPAK_SCP_KEYFILE: "/k" };
  assert.deepEqual(sourceOf("scp", { ...login, CASTERPAK_SCP_KNOWN_HOSTS: "/kh", CASTERPAK_SCP_PATH: "/v" }), {
    ...{ kind: "scp", host: "h", port: 22, user: "u", password: null, keyFile: "/k", passphrase: null },
    ...{ knownHostsFile: "/kh", path: "/v" },
  });
  const rsync = { CASTERPAK_RSYNC_HOST: "h", CASTERPAK_RSYNC_MODULE: "films" };
  const daemon = sourceOf("rsync", rsync) as { port: number; module: string };
  assert.deepEqual([daemon.port, daemon.module], [873, "films"]);
});

test("copies are kept where that is asked for, and always where only whole files can be had", () => {
  const caches = (env: Record<string, string>): boolean => packagerOf(env).inputCache.on;
  const http = { CASTERPAK_INPUT_INPUT_TYPE: "http", CASTERPAK_HTTP_URL: "http://h/" };
  assert.equal(caches(http), false);
  assert.equal(caches({ ...http, CASTERPAK_HTTP_CACHE_INPUT: "True" }), true);
  assert.equal(caches({ ...http, CASTERPAK_FILESYSTEM_CACHE_INPUT: "True" }), false);
  assert.equal(caches({ CASTERPAK_INPUT_INPUT_TYPE: "scp", CASTERPAK_SCP_HOST: "h" }), true);
});

test("token rules come from [token] and from as many [token_name] as there are, named ones first", (t) => {
  const file = iniOf(
    t,
    "[token]\npassword = old;one#1\nalternate_password = new\n[token_sports]\npaths = /sports/*, tennis/*\npassword = s\n",
  );
  assert.deepEqual(
    packagerOf({ ...file, CASTERPAK_TOKEN_FILMS_4K_PASSWORD: "f", CASTERPAK_TOKEN_FILMS_4K_PATHS: "/4k/*" }).tokens,
    [
      { name: "films_4k", paths: ["/4k/*"], password: "f", alternatePassword: null, sessionMs: 86_400_000 },
      {
        name: "sports",
        paths: ["/sports/*", "/tennis/*"],
        password: "s",
        alternatePassword: null,
        sessionMs: 86_400_000,
      },
      { name: "default", paths: ["/*"], password: "old;one#1", alternatePassword: "new", sessionMs: 86_400_000 },
    ],
  );
});

test("paths that were to be protected are never open because a password is missing", () => {
  assert.equal(
    problemOf({ CASTERPAK_TOKEN_PATHS: "/protected/*" }),
    "CASTERPAK_TOKEN_PASSWORD: is needed where paths is set.",
  );
  assert.equal(
    problemOf({ CASTERPAK_TOKEN_TV_ALTERNATE_PASSWORD: "x" }),
    "CASTERPAK_TOKEN_TV_PASSWORD: is needed where alternate_password is set.",
  );
});

test("encryption rules name a method and a key, or what keys are made from", () => {
  const KEY = "00112233445566778899AABBCCDDEEFF";
  const { encryption } = packagerOf({
    CASTERPAK_ENCRYPTION_METHOD: "aes-128",
    CASTERPAK_ENCRYPTION_KEY: KEY,
    CASTERPAK_ENCRYPTION_KEY_URL: "https://keys.example.net/k",
    CASTERPAK_ENCRYPTION_FREE_PATHS: "/free/*",
    CASTERPAK_ENCRYPTION_FREE_METHOD: "none",
  });
  const nothing = { key: null, keyId: null, secret: null, keyUrl: null };
  assert.deepEqual(encryption, [
    { ...nothing, name: "free", paths: ["/free/*"], method: "none" },
    {
      ...{ ...nothing, name: "default", paths: ["/*"], method: "aes-128" },
      ...{ key: KEY.toLowerCase(), keyUrl: "https://keys.example.net/k" },
    },
  ]);
  assert.match(
    problemOf({ CASTERPAK_ENCRYPTION_METHOD: "cbcs" }),
    /^CASTERPAK_ENCRYPTION_KEY: or CASTERPAK_ENCRYPTION_SEC/,
  );
  assert.match(problemOf({ CASTERPAK_ENCRYPTION_KEY: "beef" }), /^CASTERPAK_ENCRYPTION_KEY: its value is not 32 hex/);
});

test("a bad value of each kind is one line that names its variable", () => {
  const bad: Record<string, string[]> = {
    PACKAGER_PORT: ["70000", "x"],
    CASTERPAK_CACHE_SEGMENT_FILE_AGE: ["0", "-5", "soon"],
    CASTERPAK_CACHE_INPUT_FILE_CACHE_SIZE: ["0", "8 TB?"],
    CASTERPAK_CACHE_INPUT_FILE_CACHE_LIMIT: ["0", "101"],
    CASTERPAK_CACHE_CLEANUP_INTERVAL: ["0", "2 weeks"],
    CASTERPAK_CACHE_CLEANUP_CRON: ["daily", "* * *", "61 * * * *", "0 24 * * *"],
    CASTERPAK_INPUT_INPUT_TYPE: ["gopher"],
    CASTERPAK_OUTPUT_URL_PREFIX: ["/", "/../", "/i i/"],
    CASTERPAK_OUTPUT_SERVERNAME: ["ftp://x", "https://", "https://x/y", "https://u@x", "a b"],
    CASTERPAK_OUTPUT_CHILDMANIFESTFILENAME: ["../x.m3u8", "index"],
    CASTERPAK_TOKEN_PATHS: [",", " , "],
    CASTERPAK_APPLICATION_ADMIN_TOKEN: ["short"],
  };
  for (const [variable, values] of Object.entries(bad)) {
    for (const value of values) {
      const problem = problemOf({ [variable]: value });
      assert.ok(problem.startsWith(`${variable}: `), `${variable}=${value}: ${problem}`);
    }
  }
});

test("sizes and times may say their unit", () => {
  const { inputCache, cleanup, connectTimeoutMs, urlPrefix } = packagerOf({
    CASTERPAK_CACHE_INPUT_FILE_CACHE_SIZE: "2GiB",
    CASTERPAK_CACHE_INPUT_FILE_AGE: "3d",
    CASTERPAK_CACHE_CLEANUP_INTERVAL: "2m",
    CASTERPAK_INPUT_CONNECT_TIMEOUT: "1.5",
    CASTERPAK_OUTPUT_URL_PREFIX: "vod/films",
  });
  assert.deepEqual([inputCache.sizeBytes, inputCache.ageMs], [2 * 2 ** 30, 3 * 86_400_000]);
  assert.deepEqual([cleanup.intervalMs, connectTimeoutMs, urlPrefix], [120_000, 1500, "/vod/films/"]);
});

test("a scheme before the server's name says what playlists begin with", () => {
  const addressOf = (name: string, https = "") => {
    const { serverName, useHttps } = packagerOf({
      CASTERPAK_OUTPUT_SERVERNAME: name,
      CASTERPAK_OUTPUT_USE_HTTPS: https,
    });
    return `${useHttps ? "https" : "http"}://${serverName}`;
  };
  assert.equal(addressOf("x.example:8443"), "http://x.example:8443");
  assert.equal(addressOf("x.example:8443", "on"), "https://x.example:8443");
  assert.equal(addressOf("https://x.example:8443/"), "https://x.example:8443");
  assert.equal(addressOf("http://[::1]:80", "on"), "http://[::1]:80");
});

test("the documentation's examples are good as they are pasted", (t) => {
  const docs = readFileSync(join(import.meta.dirname, "../../docs/packager.md"), "utf8");
  const examples = [...docs.matchAll(/```ini\n(.*?)```/gs)].map(([, text = ""]) => text);
  assert.ok(examples.length >= 2);
  for (const text of examples) assert.deepEqual(read(iniOf(t, text)).warnings, [], text);
  const [rule] = packagerOf(iniOf(t, examples.find((text) => text.includes("secret =")) ?? "")).encryption;
  assert.deepEqual(rule?.secret, "a text of 16 characters or more, kept like a password");
});
