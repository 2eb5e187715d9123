import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { stripTokens, TokenGate, type TokenGateOptions, type TokenVerdict } from "./tokens.ts";

// Made by Akamai's public generator (akamai/EdgeAuth-Token-Python) with this key.
const KEY = "52a152a152a152a152a152a152a1";
const OTHER_KEY = "aabbccddeeff00112233445566778899";
const START = 1_700_000_000;
const MASTER = "/i/protected/movie.mp4/master.m3u8";
const ACL_TOKEN =
  "st=1700000000~exp=1700000300~acl=/i/protected/*~hmac=87636f1427255ae2c3ab57a55a12f02aa7c83035032374831b776fb489b031ba";

const now = { ms: (START + 100) * 1000 };
const clock = { nowMs: () => now.ms };

const gateWith = (options: Partial<TokenGateOptions> & { password?: string; alternatePassword?: string } = {}) => {
  const { password = KEY, alternatePassword = null, ...rest } = options;
  const rules = [{ paths: ["/protected/*"], password, alternatePassword, sessionMs: 86_400_000 }];
  return new TokenGate({ rules, prefix: "/i/", clock, ...rest });
};

const request = (path: string, query = "") => ({ path, query, remoteAddress: "192.0.2.7" });

const at = <T>(seconds: number, act: () => T): T => {
  const before = now.ms;
  now.ms = seconds * 1000;
  try {
    return act();
  } finally {
    now.ms = before;
  }
};

const said = (verdict: TokenVerdict): string => {
  if (verdict.allowed) return "allowed";
  const { code, data } = verdict.refusal;
  return data ? `${code}: ${String(data.reason)}` : code;
};

const signed = (body: string, key = KEY, hidden = ""): string =>
  `${body}~hmac=${createHmac("sha256", Buffer.from(key, "hex")).update(`${body}${hidden}`).digest("hex")}`;

test("tokens of Akamai's public generator are taken: ACLs, one address, escapes, query, id and payload, salt", () => {
  const cases: [name: string, path: string, query: string, options?: Partial<TokenGateOptions>][] = [
    ["acl", MASTER, `hdnts=${ACL_TOKEN}`],
    ["as hdnea", MASTER, `b=0-700&hdnea=${ACL_TOKEN}`],
    [
      "two patterns",
      "/i/a/protected/x",
      "hdnts=st=1700000000~exp=1700000300~acl=/i/a!/i/a/*~hmac=d786e4ca714f9f419d5217395fbce90baba4dbbb76576c39c026de4f51ee01f0",
      { rules: [{ paths: ["/a/*"], password: KEY, alternatePassword: null, sessionMs: 1000 }] },
    ],
    [
      "one address",
      MASTER,
      "hdnts=st=1700000000~exp=1700000300~hmac=d6a729af11a3745a118a4be46c58f227c8fe04ce6aa133c41ace3be5c203e12f",
    ],
    [
      "one address, escaped",
      MASTER,
      "hdnts=st=1700000000~exp=1700000300~hmac=647ce5edb8cb5304991915dc207d77081de97a028fde1425fb3e4896adb34aff",
    ],
    [
      "one address with its query",
      MASTER,
      "b=0-700&hdnts=st=1700000000~exp=1700000300~hmac=76f70a3aecabdbc18c0cd5a28eceba5426110076a647e7cfebea5f791d283d64",
    ],
    [
      "ip, id and payload, escaped",
      MASTER,
      "hdnts=ip=192.0.2.7~st=1700000000~exp=1700000300~acl=/i/protected/*~id=a+session~data=x%3d1%26y~hmac=bf2b8c1a4904ad7ace923370f60db24924fbd37b579c200b05dd86aa79416bb5",
    ],
    [
      "salt",
      MASTER,
      "hdnts=st=1700000000~exp=1700000300~acl=/i/protected/*~hmac=c2dcb87bf0fbf79edd93dba27035f5108aa9eaf17198e3600079d7961248028e",
      { salt: "pepper" },
    ],
  ];
  for (const [name, path, query, options] of cases) {
    assert.equal(said(gateWith(options).check(request(path, query))), "allowed", name);
  }
});

test("a token that a client percent-encoded is the same token", () => {
  const query = new URLSearchParams({ hdnts: ACL_TOKEN }).toString();
  assert.match(query, /%7E/);
  assert.equal(said(gateWith().check(request(MASTER, query))), "allowed");
});

test("what is under no rule needs no token; what is needs one, however its path is written", () => {
  const gate = gateWith();
  const cases: [path: string, expected: string][] = [
    ["/i/free/movie.mp4/master.m3u8", "allowed"],
    ["/i/protectedness/movie.mp4/master.m3u8", "allowed"],
    [MASTER, "TOKEN_MISSING"],
    ["/i/%70rotected/movie.mp4/master.m3u8", "TOKEN_MISSING"],
    ["/i/free/../protected/movie.mp4/master.m3u8", "TOKEN_MISSING"],
    ["/i/free/%2e%2e/protected/movie.mp4/master.m3u8", "TOKEN_MISSING"],
    ["/i//protected//movie.mp4/master.m3u8", "TOKEN_MISSING"],
    ["/i/protected%2fmovie.mp4/master.m3u8", "TOKEN_MISSING"],
  ];
  for (const [path, expected] of cases) assert.equal(said(gate.check(request(path))), expected, path);
  const set = { ...request("/i/open,x,.csmil/master.m3u8"), files: ["open.mp4", "protected/x.mp4"] };
  assert.equal(said(gate.check(set)), "TOKEN_MISSING", "a set is as protected as its files");
});

test("a refusal says why only to those who hold a signed token", () => {
  const gate = gateWith();
  const check = (token: string, path = MASTER) => said(gate.check(request(path, `hdnts=${token}`)));
  const acl = "acl=/i/protected/*";
  const soon = START + 100;
  assert.equal(check(signed(`exp=${soon + 1}~${acl}`)), "allowed");
  assert.equal(check(signed(`exp=${soon - 9}~${acl}`)), "allowed", "clocks differ by up to ten seconds");
  assert.equal(check(signed(`exp=${soon - 10}~${acl}`)), "TOKEN_REFUSED: it has expired");
  assert.equal(check(signed(`st=${soon + 10}~exp=${soon + 99}~${acl}`)), "allowed");
  assert.equal(check(signed(`st=${soon + 11}~exp=${soon + 99}~${acl}`)), "TOKEN_REFUSED: it is not valid yet");
  assert.equal(check(signed(`exp=${soon + 1}~acl=/i/other/*`)), "TOKEN_REFUSED: it does not cover this address");
  assert.equal(check(signed(`ip=192.0.2.8~exp=${soon + 1}~${acl}`)), "TOKEN_REFUSED: it was given to another address");
  const unsigned = [
    `exp=${soon - 10}~${acl}~hmac=${"0".repeat(64)}`,
    signed(`exp=${soon + 1}~${acl}`, OTHER_KEY),
    signed(`exp=${soon + 1}~${acl}`).replace("protected", "protecte*"),
    ACL_TOKEN.replace("1700000300", "1800000300"),
    `${ACL_TOKEN.slice(0, -1)}0`,
    ACL_TOKEN.slice(0, -1),
    "",
    "~hmac=",
    signed(acl),
    signed(`exp=x~${acl}`),
    signed(`exp=${soon + 1}~exp=${soon + 2}~${acl}`),
    signed(`exp=${soon + 1}~${acl}~id=${"x".repeat(65)}`),
    signed(`exp=${soon + 1}~acl=${Array(65).fill("/i/protected/*").join("!")}`),
    signed(`exp=${soon + 1}~${acl}~data=${"x".repeat(5000)}`),
  ];
  for (const token of unsigned) assert.equal(check(token), "TOKEN_REFUSED: it is not valid", token.slice(0, 200));
});

test("an address's token is for that address only", () => {
  const token = signed(`exp=${START + 200}`, KEY, `~url=${MASTER}`);
  const check = (path: string) => said(gateWith().check(request(path, `hdnts=${token}`)));
  assert.equal(check(MASTER), "allowed");
  assert.equal(check("/i/protected/other.mp4/master.m3u8"), "TOKEN_REFUSED: it is not valid");
});

test("a token that was right once is still looked at: time, path and address", () => {
  const gate = gateWith();
  const token = signed(`ip=192.0.2.7~exp=${START + 200}~acl=/i/protected/movie.mp4/*`);
  const query = `hdnts=${token}`;
  assert.equal(said(gate.check(request(MASTER, query))), "allowed");
  assert.equal(said(at(START + 300, () => gate.check(request(MASTER, query)))), "TOKEN_REFUSED: it has expired");
  assert.match(said(gate.check(request("/i/protected/b.mp4/master.m3u8", query))), /does not cover/);
  assert.match(said(gate.check({ ...request(MASTER, query), remoteAddress: "192.0.2.9" })), /another address/);
  assert.equal(said(gate.check({ ...request(MASTER, query), remoteAddress: "::ffff:192.0.2.7" })), "allowed");
});

test("while passwords change, both verify and the first one signs", () => {
  const old = `hdnts=${signed(`exp=${START + 200}~acl=/i/protected/*`, OTHER_KEY)}`;
  assert.equal(said(gateWith().check(request(MASTER, old))), "TOKEN_REFUSED: it is not valid");
  const rotating = gateWith({ alternatePassword: OTHER_KEY });
  const verdict = rotating.check(request(MASTER, old));
  assert.ok(verdict.allowed);
  const session = rotating.sessionTokenFor(verdict.grant, []);
  assert.equal(said(gateWith().check(request(MASTER, session))), "allowed", "signed by the first password");
  assert.match(said(gateWith({ password: OTHER_KEY }).check(request(MASTER, session))), /not valid/);
});

test("a session token is Akamai's: expiry, ACL, id, data=hdntl; for its files, its address and its time only", () => {
  const gate = gateWith();
  const short = signed(`ip=192.0.2.7~exp=${START + 200}~id=viewer`, KEY, `~url=${MASTER}`);
  const verdict = gate.check(request(MASTER, `hdnts=${short}`));
  assert.ok(verdict.allowed);
  const session = gate.sessionTokenFor(verdict.grant, ["/i/protected/movie.mp4", "/i/protected/a b,c&~!$.mp4"]);
  const end = Math.ceil((START + 100 + 86_400) / 60) * 60;
  const acl = "acl=/i/protected/movie.mp4/*!/i/protected/a%20b,c%26%7e%21%24.mp4/*";
  assert.equal(session, `hdntl=${signed(`ip=192.0.2.7~exp=${end}~${acl}~id=viewer~data=hdntl`)}`);
  const check = (path: string) => said(gate.check(request(path, session)));
  assert.equal(check("/i/protected/movie.mp4/segment1_0_av.ts"), "allowed");
  assert.equal(check("/i/protected/a%20b,c%26%7E%21%24.mp4/key_0.bin"), "allowed");
  assert.equal(check("/i/protected/movie2.mp4/segment1_0_av.ts"), "TOKEN_REFUSED: it does not cover this address");
  at(end + 10, () => assert.equal(check(MASTER), "TOKEN_REFUSED: it has expired"));
  const elsewhere = { ...request(MASTER, session), remoteAddress: "192.0.2.8" };
  assert.match(said(gate.check(elsewhere)), /another address/);
});

test("what the short token covers is not said twice, and playlists of one minute get the same session token", () => {
  const gate = gateWith();
  const verdict = gate.check(request(MASTER, `hdnts=${ACL_TOKEN}`));
  assert.ok(verdict.allowed);
  const { grant } = verdict;
  const session = gate.sessionTokenFor(grant, ["/i/protected/movie.mp4", "/i/elsewhere/m.mp4", "/i/elsewhere/m.mp4"]);
  assert.match(session, /~acl=\/i\/protected\/\*!\/i\/elsewhere\/m\.mp4\/\*~data=hdntl~hmac=/);
  const atSecond = (second: number): string => at(START + second, () => gate.sessionTokenFor(grant, []));
  assert.equal(atSecond(101), atSecond(160));
  assert.notEqual(atSecond(160), atSecond(161));
});

test("a session is passed on as it came, and never becomes another or a longer one", () => {
  const gate = gateWith();
  const first = gate.check(request(MASTER, `hdnts=${ACL_TOKEN}`));
  assert.ok(first.allowed);
  const session = gate.sessionTokenFor(first.grant, []);
  const again = gate.check(request(MASTER, session));
  assert.ok(again.allowed);
  assert.equal(
    at(START + 7200, () => gate.sessionTokenFor(again.grant, ["/i/other"])),
    session,
  );
  const asShort = session.replace("hdntl=", "hdnts=");
  assert.equal(said(gate.check(request(MASTER, asShort))), "TOKEN_REFUSED: it is not valid");
  const asSession = `hdntl=${ACL_TOKEN}`;
  assert.equal(said(gate.check(request(MASTER, asSession))), "TOKEN_REFUSED: it is not valid");
});

test("a stale session gives way to a fresh short token", () => {
  const gate = gateWith();
  const stale = `hdntl=${signed(`exp=${START}~acl=/i/protected/*~data=hdntl`)}`;
  assert.equal(said(gate.check(request(MASTER, stale))), "TOKEN_REFUSED: it has expired");
  assert.equal(said(gate.check(request(MASTER, `${stale}&hdnts=${ACL_TOKEN}`))), "allowed");
});

test("the first rule that fits decides, and a set whose files are under two is refused", () => {
  const rule = { alternatePassword: null, sessionMs: 60_000 };
  const rules = [
    { ...rule, paths: ["/protected/news/*"], password: OTHER_KEY },
    { ...rule, paths: ["/i/protected/*"], password: KEY },
  ];
  const gate = gateWith({ rules });
  const news = "/i/protected/news/a.mp4/master.m3u8";
  assert.match(said(gate.check(request(news, `hdnts=${ACL_TOKEN}`))), /not valid/);
  assert.equal(said(gate.check(request(MASTER, `hdnts=${ACL_TOKEN}`))), "allowed", "a rule may name the prefix");
  const set = { ...request(MASTER, `hdnts=${ACL_TOKEN}`), files: ["protected/movie.mp4", "protected/news/a.mp4"] };
  assert.match(said(gate.check(set)), /different rules/);
});

test("the rule of a film is that of all its leaves, whatever other rules fit their names", () => {
  const rule = { alternatePassword: null, sessionMs: 60_000 };
  const rules = [
    { ...rule, paths: ["*/segment*", "/i/*/key_*"], password: OTHER_KEY },
    { ...rule, paths: ["/protected/movie.mp4/*"], password: KEY },
    { ...rule, paths: ["/protected/*"], password: OTHER_KEY },
  ];
  const gate = gateWith({ rules });
  const check = (path: string, file: string, query = "") =>
    said(gate.check({ ...request(`/i/${path}`, query), files: [file] }));
  const film = "protected/movie.mp4";
  const leaves = ["master.m3u8", "index_0_av.m3u8", "segment1_0_av.ts", "key_0.bin", "clearkey"];
  for (const leaf of leaves) {
    assert.equal(check(`${film}/${leaf}`, film, `hdnts=${ACL_TOKEN}`), "allowed", leaf);
    assert.equal(check(`${film}/${leaf}`, film), "TOKEN_MISSING", leaf);
    assert.equal(check(`protected/set,,.csmil/${leaf}`, film), "TOKEN_MISSING", "a rule for what is below its file");
  }
  assert.equal(check("open.mp4/segment1_0_av.ts", "open.mp4"), "TOKEN_MISSING", "a rule for leaves alone");
  assert.equal(check("open.mp4/master.m3u8", "open.mp4"), "allowed");
});

test("a password that is no hexadecimal key is taken as text", () => {
  const gate = gateWith({ password: "correct horse" });
  const body = `exp=${START + 200}~acl=/i/*`;
  const token = `${body}~hmac=${createHmac("sha256", "correct horse").update(body).digest("hex")}`;
  assert.equal(said(gate.check(request(MASTER, `hdnts=${token}`))), "allowed");
});

test("a session for more files than a token may name is refused, not cut", () => {
  const gate = gateWith();
  const verdict = gate.check(request(MASTER, `hdnts=${ACL_TOKEN}`));
  assert.ok(verdict.allowed);
  const covers = Array.from({ length: 64 }, (_, index) => `/i/x/${index}.mp4`);
  assert.throws(() => gate.sessionTokenFor(verdict.grant, covers), { code: "QUERY_REFUSED" });
});

test("token parts leave the query, and nothing else does", () => {
  const cases: [query: string, left: string][] = [
    ["", ""],
    ["b=0-700", "b=0-700"],
    [`hdnts=${ACL_TOKEN}`, ""],
    [`b=0-700&hdnts=${ACL_TOKEN}&v=1`, "b=0-700&v=1"],
    ["hdntl=a&hdnea=b&hdnts=c&hdnts&start=1&&x=hdntl", "start=1&&x=hdntl"],
    ["hdntlx=1", "hdntlx=1"],
  ];
  for (const [query, left] of cases) assert.equal(stripTokens(query), left);
});
