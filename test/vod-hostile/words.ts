/** What means harm in names, paths, headers and JSON. All of it comes from a seed. */
import type { Random } from "../support/seeded.ts";

export const one = <T>(random: Random, all: readonly T[]): T => all[random.int(all.length)] as T;
export const chance = (random: Random, of: number): boolean => random.int(of) === 0;

/** Ways up, in many spellings. */
const UPS = [
  "..",
  "../..",
  "%2e%2e",
  "%2E%2e",
  ".%2e",
  "..%2f",
  "..%2f..%2f..",
  "%2e%2e%2f",
  "%252e%252e%252f",
  "..%5c",
  "..\\",
  "....//",
  "..;",
  "..%00",
  "%c0%ae%c0%ae",
  "%c0%ae%c0%ae%c0%af",
  "%e0%80%ae%e0%80%ae",
  "\xc0\xae\xc0\xae",
  "%uff0e%uff0e",
  ".",
  "%2e",
  "//",
  "/./",
];
const ODD = [
  "%00",
  "%0a",
  "%0d%0aX-Injected:%20yes",
  "%",
  "%zz",
  "%ff%fe",
  "%F4%90%80%80",
  "%ed%a0%80",
  "\xff",
  "\x01",
  "#",
  "?",
  "'",
  '"',
  "<script>",
  "|",
  "*",
  ":",
  "~",
  ";a=b",
  "@",
  "$(id)",
  "`id`",
  "\\",
  "nul",
  "a".repeat(300),
];
export const LEAVES = [
  "set.json",
  "public.json",
  "canary",
  "canary.mp4",
  "master.m3u8",
  "manifest.mpd",
  "key.1.bin",
  "etc/passwd",
  "proc/self/environ",
  "r1/source-1.mp4",
  "r1/chunks/source/0-1.mp4",
  "r1/audio-1.mp4",
  "run/master-key",
  "source.m3u8",
  "storyboard.vtt",
];

/** A path's piece that means harm. */
export const piece = (random: Random): string =>
  chance(random, 2) ? one(random, UPS) : chance(random, 40) ? "b".repeat(9_000) : one(random, ODD);

/** Pieces with slashes of some kind between them. */
export const wayUp = (random: Random): string => {
  const slash = one(random, ["/", "/", "/", "%2f", "%2F", "%252f", "\\", "%5c"]);
  return Array.from({ length: 1 + random.int(5) }, () => piece(random)).join(slash);
};

/** Names as people or their enemies give them. */
export const NAMES = [
  "../../../canary",
  "..\\..\\canary",
  "/etc/passwd",
  "C:\\canary",
  "\u0000",
  "a\u0000.mp4",
  "a\r\nX-Injected: yes",
  "\u202egpj.exe",
  "\ud800",
  "\udfff\ud800",
  "\ufeff",
  "\u{10ffff}",
  "é".repeat(400),
  "a".repeat(100_000),
  "'; drop table title; --",
  "%27%20or%201=1",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is what some templates would replace
  "${process.env.PATH}",
  "{{constructor.constructor('return process')()}}",
  "<img src=x onerror=alert(1)>",
  "|cat canary",
  "-i canary -f null",
  "concat:canary|canary",
  "file:canary",
  "__proto__",
  "constructor",
  "toString",
  "",
  " ",
  ".",
  "..",
  "CON",
  "𝕬𝖇",
  "a/b/c",
  "\\\\host\\share",
  "%s%n%x",
  "\u2028",
  "z\u0301".repeat(5_000),
] as const;

const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e308,
  -0,
  2 ** 53,
  2_147_483_648,
  "",
  [],
  {},
  [[]],
  [null],
  [{}],
  { length: -1 },
  { $ne: null },
  { toString: 1 },
  "2026-02-30T00:00:00Z",
  "0000-01-01T00:00:00Z",
  "+275760-09-13T00:00:00.000Z",
  "not-a-uuid",
  "00000000-0000-0000-0000-000000000000",
  "http://127.0.0.1:1/",
  "http://169.254.169.254/latest/meta-data",
  "http://[::ffff:127.0.0.1]/",
  "http://0x7f000001/",
  "http://localhost/",
  "file:///etc/passwd",
  "gopher://127.0.0.1:1/",
  "http://user:pass@127.0.0.1/",
];

export const value = (random: Random): unknown => (chance(random, 3) ? one(random, NAMES) : one(random, VALUES));

const nested = (depth: number, [open, close]: readonly [string, string]): string =>
  open.repeat(depth) + close.repeat(depth);

/** Bodies that are no JSON, or none that an object comes out of; each is the client's fault. */
export const BROKEN: readonly Buffer[] = [
  Buffer.from("{"),
  Buffer.from("[]"),
  Buffer.from("null"),
  Buffer.from('"text"'),
  Buffer.from("1e999"),
  Buffer.from("NaN"),
  Buffer.from('{"name":}'),
  Buffer.from("{'name':'x'}"),
  Buffer.from('{"name":"x"}{"name":"y"}'),
  Buffer.from('{"__proto__":{"isAdmin":true},"name":"x"}'),
  Buffer.from('{"name":{"__proto__":{"x":1}}}'),
  Buffer.from(`{"name":${nested(40, ["[", "]"])}}`),
  Buffer.from(`{"name":${nested(50_000, ["[", "]"])}}`),
  Buffer.from(nested(100_000, ['{"a":', "}"])),
  Buffer.from([0x7b, 0x22, 0x6e, 0x22, 0x3a, 0x22, 0xff, 0xfe, 0x22, 0x7d]),
  Buffer.from([0x7b, 0x22, 0x6e, 0x22, 0x3a, 0x22, 0xc0, 0xaf, 0x22, 0x7d]),
  Buffer.from([0x7b, 0x22, 0x6e, 0x22, 0x3a, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x7d]),
  Buffer.from(`{"name":"${"x".repeat(300_000)}"}`),
  Buffer.from('{"name":"\\u0000"}'),
  Buffer.from('{"name":"\\ud800"}'),
  Buffer.from([0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]),
];

export const CURSORS = [
  "x",
  "%00",
  "-1",
  "0",
  "null",
  "e30",
  "eyJpZCI6MX0",
  Buffer.from(JSON.stringify(["' or 1=1", 1e300, null])).toString("base64url"),
  Buffer.from(JSON.stringify({ __proto__: null, at: "now()", id: "../" })).toString("base64url"),
  Buffer.from("\xff\xfe").toString("base64url"),
  "A".repeat(5_000),
  "..%2f..%2f",
  "%ff",
];

export const RANGES = [
  "bytes=0-",
  "bytes=-1",
  "bytes=9-1",
  "bytes=0-0",
  "bytes=99999999999999999999-",
  "bytes=-99999999999999999999",
  "bytes=0-18446744073709551616",
  "bytes=0-0,2-3,5-6",
  `bytes=${Array.from({ length: 500 }, (_, at) => `${at}-${at}`).join(",")}`,
  "bytes=--1",
  "bytes=1--1",
  "bytes=a-b",
  "bytes=",
  "bytes",
  "items=0-1",
  "bytes=0x0-0x10",
  "bytes= 0 - 5 ",
  "BYTES=0-5",
  "bytes=0-5\t",
  "bytes=\xff-1",
  "bytes=1e3-2e3",
];
