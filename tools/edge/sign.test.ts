import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { Guard } from "../../edge/guard/guard.ts";
import { signCommand } from "./sign.ts";

const NOW_MS = 1_800_000_000_000;
const run = (line: string, key = ""): string => signCommand(line.split(" "), { nowMs: NOW_MS, readKey: () => key });
const URL_TEXT = "https://cdn.acme.example/vod/film-7/master.m3u8?v=1";

for (const algorithm of ["HS256", "EdDSA"]) {
  test(`a new ${algorithm} key signs URLs that open the folder for thirteen hours`, () => {
    const [line = "", ...pem] = run(`--new-key ${algorithm} --key-id k1`).split("\n");
    const key = JSON.parse(line);
    const signed = new URL(run(`--url ${URL_TEXT} --key-id k1 --key-file f`, key.secret ?? pem.join("\n")));
    const guard = new Guard([key]);
    const reason = (path: string, laterSeconds = 0): string => {
      const nowMs = NOW_MS + laterSeconds * 1_000;
      const verdict = guard.check({ path, query: "", host: signed.host, address: "192.0.2.7", nowMs });
      return verdict.ok ? verdict.path : verdict.reason;
    };
    assert.equal(signed.search, "?v=1");
    assert.equal(reason(signed.pathname), "/vod/film-7/master.m3u8");
    assert.equal(reason(new URL("720p/1.ts", signed).pathname, 13 * 3_600), "/vod/film-7/720p/1.ts");
    assert.equal(reason(signed.pathname, 13 * 3_600 + 30), "expired");
    assert.equal(reason(signed.pathname.replace("film-7", "film-8")), "wrong-path");
  });
}

test("each wish stands in the token", () => {
  const secret = Buffer.alloc(32).toString("base64url");
  const more = "--ttl 15m --delay 90s --address 2001:db8::7 --prefix / --place query";
  const { searchParams } = new URL(run(`--url ${URL_TEXT} --key-id k1 --key-file f ${more}`, secret));
  const token = searchParams.get("token") ?? "";
  assert.equal(token.slice(0, token.lastIndexOf(".")), "k1.1800000900.1800000090.20010db800000000.Lw");
});

test("a mistake is said, with how it is done, and the exit code is that of wrong usage", () => {
  const lines: [line: string, message: RegExp][] = [
    ["--url x", /--key-id is missing/],
    ["--key-id k", /--url and --key-file/],
    ["--key-id k --url x --key-file f", /--url x is no URL/],
    ["--key-id k --new-key RS256", /HS256 and EdDSA/],
    [`--key-id k --url ${URL_TEXT} --key-file f`, /key k: an HS256 secret/],
    ["--colour red", /Unknown option/],
  ];
  for (const [line, message] of lines) assert.throws(() => run(line), message, line);
  const secret = Buffer.alloc(32).toString("base64url");
  const base = `--key-id k --url ${URL_TEXT} --key-file f`;
  assert.throws(() => run(`${base} --ttl 5`, secret), /--ttl 5 is no time/);
  assert.throws(() => run(`${base} --place head`, secret), /--place head/);
  const { status, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, "sign.ts"), "--key-id", "k"], {
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.equal(status, 64);
  assert.match(stderr, /^edge:sign: --url and --key-file are needed\n\nedge:sign --url URL/);
});
