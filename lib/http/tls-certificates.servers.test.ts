/** TLS by host name and HTTP/2 under others' eyes: openssl, curl, nghttp and h2load. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect } from "node:tls";
import { noOpenssl } from "../../test/support/certificate.ts";
import { missingPrograms, serverDir } from "../../test/support/server-process.ts";
import type { RawHandler } from "./exchange.ts";
import { rawListener } from "./raw.fixture.ts";
import { certificateFor } from "./tls.fixture.ts";
import { type CertificateEntry, Certificates, TICKET_KEYS_BYTES } from "./tls-certificates.ts";
import { dnsNamesOf, namesToTry } from "./tls-names.ts";

const RUN_MS = 60_000;
const noCurl = missingPrograms("openssl", "curl");
const noNghttp = missingPrograms("openssl", "nghttp", "h2load");

/** What it says, whatever it ends with; `input` is all of its stdin, which stays open otherwise until it ends. */
const run = (program: string, args: readonly string[], input?: string): Promise<string> =>
  new Promise((resolve) => {
    const child = execFile(program, args, { timeout: RUN_MS, maxBuffer: 1e8 }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
    child.stdin?.on("error", () => {});
    child.stdin?.end(input ?? "");
  });

const GET = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
const fine: RawHandler = (request) => request.send(200, "", Buffer.from("fine"));

const listening = async (t: TestContext, entries: readonly CertificateEntry[], ticketKeys?: Buffer) => {
  const certificates = new Certificates(ticketKeys ? { ticketKeys } : {});
  certificates.setAll(entries);
  const { port } = await rawListener(t, fine, { certificates });
  const openssl = (...args: readonly string[]): Promise<string> =>
    run("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, "-ign_eof", ...args], GET);
  return { certificates, port, openssl };
};
/** The names of the certificate that is shown for a name; the alert where none is. */
const shown = async (port: number, servername?: string): Promise<string | undefined> => {
  const socket = connect({ port, host: "127.0.0.1", ...(servername ? { servername } : {}), rejectUnauthorized: false });
  try {
    await once(socket, "secureConnect");
    return socket.getPeerCertificate().subjectaltname;
  } catch (error) {
    return (error as { code?: string }).code;
  } finally {
    socket.destroy();
  }
};

test("names come from certificates as they are, and a name stands for itself before its wildcard", () => {
  assert.deepEqual(dnsNamesOf('DNS:A.example, IP Address:1.2.3.4, DNS:*.b.example, DNS:"c, DNS:d", DNS:a.example'), [
    "a.example",
    "*.b.example",
  ]);
  assert.deepEqual(dnsNamesOf(undefined), []);
  assert.deepEqual(namesToTry("X.b.Example."), ["x.b.example", "*.b.example"]);
  assert.deepEqual(namesToTry("localhost"), ["localhost"]);
});

test("a client gets the certificate of the name that it asks for", { skip: noOpenssl }, async (t) => {
  const dir = serverDir(t, "sni");
  const [exact, wild, other, fallback] = [
    ["a.example"],
    ["*.b.example", "b.example"],
    ["c.example"],
    ["d.example"],
  ].map((names) => certificateFor(dir, names));
  assert.ok(exact && wild && other && fallback);
  const longer = certificateFor(dir, ["a.example", "x.b.example"], 20);
  const { port, openssl, certificates } = await listening(t, [
    longer,
    exact,
    wild,
    { ...other, hostnames: ["given.example", "x.b.example"] },
    { ...fallback, hostnames: ["*"] },
  ]);
  const cases = [
    ["a.example", "DNS:a.example, DNS:x.b.example"], // the one that is valid longer
    ["A.Example", "DNS:a.example, DNS:x.b.example"],
    ["y.b.example", "DNS:*.b.example, DNS:b.example"],
    ["b.example", "DNS:*.b.example, DNS:b.example"],
    ["x.y.b.example", "DNS:d.example"], // a wildcard is for one label
    ["x.b.example", "DNS:c.example"], // the configuration goes over certificates
    ["given.example", "DNS:c.example"],
    ["c.example", "DNS:d.example"],
    ["unknown.example", "DNS:d.example"],
    [undefined, "DNS:d.example"],
  ] as const;
  for (const [name, names] of cases) assert.equal(await shown(port, name), names, name);
  const judged = await openssl("-servername", "a.example", "-CAfile", longer.certFile, "-verify_hostname", "a.example");
  assert.match(judged, /Verify return code: 0 \(ok\)/);
  assert.match(judged, /HTTP\/1\.1 200 OK/);
  const held = connect({ port, host: "127.0.0.1", servername: "b.example", rejectUnauthorized: false });
  await once(held, "secureConnect");
  certificates.setAll([exact]);
  held.write(GET);
  assert.match(String((await once(held, "data"))[0]), /^HTTP\/1\.1 200 OK/); // a connection goes on
  held.destroy();
  assert.match(await openssl("-servername", "unknown.example"), /alert number 112/); // unrecognized_name
  assert.match(await openssl("-servername", "unknown.example", "-tls1_2"), /alert number 112/);
  assert.match(await openssl("-noservername"), /alert number 40/); // handshake_failure
  assert.equal(await shown(port, "a.example"), "DNS:a.example");
});

test("only TLS 1.2 and 1.3 with forward secrecy are spoken; ALPN is agreed or refused", {
  skip: noOpenssl,
}, async (t) => {
  const { openssl } = await listening(t, [certificateFor(serverDir(t, "alpn"), ["a.example"])]);
  const named = (...args: readonly string[]): Promise<string> => openssl("-servername", "a.example", ...args);
  assert.match(await named("-alpn", "h2,http/1.1"), /ALPN protocol: h2/);
  assert.match(await named("-alpn", "http/1.1"), /ALPN protocol: http\/1\.1/);
  assert.match(await named(), /No ALPN negotiated[\s\S]*HTTP\/1\.1 200 OK/);
  assert.match(await named("-alpn", "spdy/3"), /alert number 120/); // no_application_protocol
  assert.match(
    await named("-tls1_2"),
    /Protocol +: TLSv1\.2[\s\S]*ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-AES128-GCM/,
  );
  assert.match(await named("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), /alert number 70/); // protocol_version
  assert.match(await named("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"), /alert number 40/);
});

for (const version of ["-tls1_2", "-tls1_3"]) {
  test(`${version}: a session goes on after certificates are replaced, and with another thread's keys`, {
    skip: noOpenssl,
  }, async (t) => {
    const dir = serverDir(t, "tickets");
    const ticketKeys = randomBytes(TICKET_KEYS_BYTES);
    const [first, second] = [certificateFor(dir, ["a.example"]), certificateFor(dir, ["a.example"])];
    const one = await listening(t, [first], ticketKeys);
    const other = await listening(t, [second], ticketKeys);
    const file = join(dir, "session");
    const resumed = async ({ openssl }: typeof one): Promise<boolean> =>
      /Reused, /.test(await openssl("-servername", "a.example", version, "-sess_in", file));
    assert.match(await one.openssl("-servername", "a.example", version, "-sess_out", file), /New, /);
    assert.ok(await resumed(one));
    assert.ok(await resumed(other));
    one.certificates.setAll([second]);
    assert.ok(await resumed(one));
    one.certificates.setTicketKeys(randomBytes(TICKET_KEYS_BYTES));
    assert.ok(!(await resumed(one)));
    assert.ok(await resumed(other));
  });
}

test("certificates that can't be used are refused, and change nothing", { skip: noOpenssl }, async (t) => {
  const dir = serverDir(t, "refused");
  const [good, other] = [certificateFor(dir, ["a.example"]), certificateFor(dir, ["b.example"])];
  const { certificates, port } = await listening(t, [good]);
  const bad: readonly (readonly [CertificateEntry, RegExp])[] = [
    [{ cert: good.cert, key: other.key, hostnames: ["c.example"] }, /c\.example can't be used: the key is another/],
    [{ cert: "x", key: other.key }, /can't be used/],
    [{ cert: other.cert, key: "x" }, /can't be used/],
    [certificateFor(dir, []), /has no DNS name/],
  ];
  for (const [entry, message] of bad) assert.throws(() => certificates.setAll([other, entry]), { message });
  assert.equal(await shown(port, "a.example"), "DNS:a.example");
  assert.notEqual(await shown(port, "b.example"), "DNS:b.example");
  assert.throws(() => new Certificates({ ticketKeys: randomBytes(32) }), /48 bytes are needed, not 32/);
});

const BODY = randomBytes(3_000_000);
const site: RawHandler = async (request) => {
  if (request.method === "POST") {
    const body = await request.readBody(10_000_000);
    return request.send(200, "", createHash("sha256").update(body).digest());
  }
  if (request.path === "/small") return request.send(200, "Content-Type: text/plain\r\n", BODY.subarray(0, 2_000));
  request.send(200, 'ETag: "1"\r\n', BODY);
};

test("curl speaks HTTP/2 and HTTP/1.1 with it: whole, in parts, upwards", { skip: noCurl }, async (t) => {
  const dir = serverDir(t, "curl");
  const certificate = certificateFor(dir, ["a.example"]);
  const certificates = new Certificates();
  certificates.setAll([certificate]);
  const { port } = await rawListener(t, site, { certificates });
  const url = `https://a.example:${port}/`;
  const out = join(dir, "out");
  const curl = (...args: readonly string[]): Promise<string> => {
    const place = ["--resolve", `a.example:${port}:127.0.0.1`, "--cacert", certificate.certFile];
    const shown = ["--silent", "--show-error", "-o", out, "-w", "%{http_version} %{http_code} %{size_download}"];
    return run("curl", [...place, ...shown, "--max-time", "30", ...args, url]);
  };
  for (const version of ["--http2", "--http1.1"]) {
    const said = version === "--http2" ? "2" : "1.1";
    assert.equal(await curl(version), `${said} 200 3000000`);
    assert.ok(readFileSync(out).equals(BODY));
    assert.equal(await curl(version, "--range", "1000-1999"), `${said} 206 1000`);
    assert.ok(readFileSync(out).equals(BODY.subarray(1_000, 2_000)));
    assert.equal(await curl(version, "-H", 'If-None-Match: "1"'), `${said} 304 0`);
    assert.match(await curl(version, "--head"), new RegExp(`^${said} 200 0`));
    writeFileSync(join(dir, "up"), BODY);
    for (const more of [[], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"]]) {
      assert.equal(await curl(version, "--data-binary", `@${join(dir, "up")}`, ...more), `${said} 200 32`);
      assert.ok(readFileSync(out).equals(createHash("sha256").update(BODY).digest()));
    }
    assert.equal(
      await curl(version, "--data-binary", `@${join(dir, "up")}`, "--max-filesize", "1"),
      `${said} 200 0curl: (63) Maximum file size exceeded\n`,
    );
  }
});

test("nghttp gets many answers side by side; h2load loses none while certificates are replaced", {
  skip: noNghttp,
}, async (t) => {
  const dir = serverDir(t, "nghttp");
  const list = [certificateFor(dir, ["localhost"]), certificateFor(dir, ["localhost"])];
  const certificates = new Certificates();
  certificates.setAll(list.slice(0, 1));
  const { port } = await rawListener(t, site, { certificates });
  const url = `https://localhost:${port}`;
  const many = await run("nghttp", ["-n", "-s", "-y", ...Array.from({ length: 50 }, (_, i) => `${url}/small?${i}`)]);
  assert.equal([...many.matchAll(/ 200 +1K /g)].length, 50, many);
  let replaced = 0;
  const replacing = setInterval(() => {
    certificates.setAll([list[replaced % 2]!]);
    replaced += 1;
  }, 5);
  t.after(() => clearInterval(replacing));
  for (const [path, count] of [
    ["/small", 5_000],
    ["/", 100],
  ] as const) {
    const said = await run("h2load", ["-n", String(count), "-c", "20", "-m", "10", `${url}${path}`]);
    assert.match(said, new RegExp(`${count} succeeded, 0 failed, 0 errored, 0 timeout`), said);
    assert.match(said, new RegExp(`status codes: ${count} 2xx`));
  }
  assert.ok(replaced > 5);
});
