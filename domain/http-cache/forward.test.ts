import assert from "node:assert/strict";
import { test } from "node:test";
import { cacheStatus } from "./cache-status.ts";
import { isLoop, passedFields, requestFieldsToForward, storedFields } from "./forward.ts";
import { invalidatedBy, isSafeMethod } from "./invalidation.ts";

const keep = { stripSetCookie: false };

// RFC 9111 §3.1: "Caches MUST include all received response header fields — including unrecognized ones — when
// storing a response"; RFC 9110 §7.6.1: "Intermediaries MUST parse a received Connection header field before a
// message is forwarded and, for each connection-option in this field, remove any header or trailer field(s) from the
// message with the same name".
test("everything end-to-end is stored, and nothing of the connection", () => {
  const endToEnd = [
    "X-Odd",
    "1",
    "ETag",
    '"a"',
    "Content-Length",
    "5",
    "Date",
    "x",
    "Public-Key-Pins",
    "p",
    "Set-Cookie",
    "c",
  ];
  const hop = [
    ...["Connection", "keep-alive, X-Mine", "connection", "X-Other", "X-Mine", "1", "x-other", "2"],
    ...["Keep-Alive", "1", "Proxy-Authenticate", "1", "Proxy-Authentication-Info", "1", "Proxy-Authorization", "1"],
    ...[
      "Proxy-Connection",
      "1",
      "TE",
      "1",
      "Trailer",
      "1",
      "Transfer-Encoding",
      "chunked",
      "Upgrade",
      "h2c",
      "Age",
      "5",
    ],
  ];
  assert.deepEqual(storedFields([...hop, ...endToEnd], keep), endToEnd);
});

// RFC 9111 §3.1: "The no-cache and private cache directives can have arguments that prevent storage of header fields".
test("fields that no-cache and private name are not stored, nor cookies that the rule strips", () => {
  const control = ["Cache-Control", 'max-age=5, no-cache="X-A", private="X-B, X-C"'];
  const named = ["X-A", "1", "x-b", "2", "X-C", "3", "X-D", "4"];
  assert.deepEqual(storedFields([...control, ...named], keep), [...control, "X-D", "4"]);
  assert.deepEqual(storedFields(["Set-Cookie", "a", "Set-Cookie2", "b", "X", "1"], { stripSetCookie: true }), [
    "X",
    "1",
  ]);
});

test("the one who asked gets what private keeps from the others, and the Age", () => {
  const control = ["Cache-Control", 'private="X-User"', "X-User", "alice", "Set-Cookie", "a=b", "Age", "7"];
  assert.deepEqual(passedFields([...control, "Connection", "X-Hop", "X-Hop", "1", "TE", "x"]), control);
});

test("members of Cache-Status under our own name go, others and an existing Date stay", () => {
  const options = { ...keep, cacheName: "edge", nowWallMs: 784_111_777_000 };
  const fields = ["Cache-Status", 'shield; hit, Edge; fwd=miss; key="a, b"', "Cache-Status", "edge; hit"];
  const date = "Sun, 06 Nov 1994 08:49:37 GMT";
  assert.deepEqual(storedFields(fields, options), ["Cache-Status", "shield; hit", "Date", date]);
  assert.deepEqual(storedFields(["Date", "then"], options), ["Date", "then"]);
});

// RFC 9110 §7.6.3: "An intermediary … MUST … append its own information about how the message was received".
test("a fill asks for the whole: no conditions, no Range, nothing of the connection, Via once", () => {
  const fields = [
    ...["Host", "a", "Connection", "close, Cookie, Via", "Cookie", "c", "Accept-Encoding", "deflate, GZIP;q=0.5, br"],
    ...["Range", "bytes=0-", "If-Range", '"a"', "If-None-Match", '"a"', "If-Modified-Since", "d", "If-Match", "*"],
    ...[
      "If-Unmodified-Since",
      "d",
      "Content-Length",
      "0",
      "Expect",
      "100-continue",
      "TE",
      "trailers",
      "Upgrade",
      "h2c",
    ],
    ...[
      "Proxy-Authorization",
      "p",
      "Authorization",
      "a",
      "Cache-Control",
      "no-cache",
      "Via",
      "1.0 one",
      "CDN-Loop",
      "x",
    ],
  ];
  const expected = [
    ...["Authorization", "a", "Cache-Control", "no-cache", "Accept-Encoding", "br, gzip"],
    ...["Via", "1.0 one, 2 edge-7", "CDN-Loop", "x, edge-7"],
  ];
  assert.deepEqual(requestFieldsToForward(fields, { via: "edge-7", receivedVersion: "2" }), expected);
});

test("a request that is passed through keeps its conditions and its content's fields", () => {
  const fields = ["Range", "bytes=0-", "If-Match", '"a"', "Content-Type", "text/plain", "Content-Length", "3"];
  assert.deepEqual(requestFieldsToForward(fields, { via: "e", passThrough: true }), [
    ...["Range", "bytes=0-", "If-Match", '"a"', "Content-Type", "text/plain", "Via", "1.1 e", "CDN-Loop", "e"],
  ]);
});

// RFC 9110 §7.6.3: Via is for "avoiding request loops"; RFC 8586 §2: CDN-Loop.
test("a request that has been here is a loop, by Via or by CDN-Loop", () => {
  assert.equal(isLoop(["Via", "1.1 other", "via", "1.1 Edge-7 (comment)"], "edge-7"), true);
  assert.equal(isLoop(["CDN-Loop", "foo; a=b, edge-7; x"], "edge-7"), true);
  assert.equal(isLoop(["Via", "1.1 edge-77, 1.1 x (edge-7)", "CDN-Loop", "edge-77"], "edge-7"), false);
  assert.equal(isLoop([], "edge-7"), false);
});

// RFC 9111 §4.4: "A cache MUST invalidate the target URI when a non-error status code is received in response to an
// unsafe request method (including methods whose safety is unknown)"; other URIs "MUST NOT … if the origin of the URI
// to be invalidated differs from that of the target URI".
test("what an unsafe request may have changed is invalidated, on its own host alone", () => {
  const post = { method: "POST", status: 201, host: "a.example:8080", target: "/x/y?q=1" };
  assert.deepEqual(invalidatedBy(post), ["/x/y?q=1"]);
  assert.deepEqual(invalidatedBy({ ...post, location: "z", contentLocation: "//a.example:8080/w?v" }), [
    ...["/x/y?q=1", "/x/z", "/w?v"],
  ]);
  assert.deepEqual(invalidatedBy({ ...post, location: "http://A.example:8080/z#f" }), ["/x/y?q=1", "/z"]);
  for (const location of ["http://b.example:8080/z", "http://a.example/z", "ftp://a.example:8080/z", "http://["]) {
    assert.deepEqual(invalidatedBy({ ...post, location }), ["/x/y?q=1"], location);
  }
  for (const method of ["PUT", "DELETE", "PATCH", "M-SEARCH", "get"]) {
    assert.deepEqual(invalidatedBy({ ...post, method }), ["/x/y?q=1"], method);
  }
  for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND"]) {
    assert.deepEqual(invalidatedBy({ ...post, method }), [], method);
    assert.equal(isSafeMethod(method), true);
  }
  for (const status of [400, 404, 500, 503, 100])
    assert.deepEqual(invalidatedBy({ ...post, status }), [], String(status));
});

// RFC 9211 §2: "Cache-Status = sf-list"; §4 has the examples.
test("Cache-Status tells what was done in the words of its standard", () => {
  assert.equal(cacheStatus({ hit: true, ttlMs: 376_999 }), "castellan-edge; hit; ttl=376");
  assert.equal(cacheStatus({ hit: true, ttlMs: -412_000 }), "castellan-edge; hit; ttl=-412");
  const forwarded = { fwd: "stale", fwdStatus: 304, stored: true, collapsed: true, ttlMs: 0 } as const;
  assert.equal(
    cacheStatus({ cache: "ExampleCache", ...forwarded }),
    "ExampleCache; fwd=stale; fwd-status=304; ttl=0; stored; collapsed",
  );
  assert.equal(cacheStatus({ hit: true, fwd: "uri-miss" }), "castellan-edge; fwd=uri-miss");
  assert.equal(cacheStatus({ hit: true, stored: true, collapsed: true, fwdStatus: 200 }), "castellan-edge; hit");
  assert.equal(cacheStatus({ previous: "shield; hit", fwd: "miss" }), "shield; hit, castellan-edge; fwd=miss");
  assert.equal(
    cacheStatus({ cache: "POP 1", key: 'a"b\\é\n', detail: "no-store" }),
    '"POP 1"; key="a\\"b\\\\%C3%A9%0A"; detail=no-store',
  );
  assert.equal(cacheStatus({ hit: true, detail: "two words" }), 'castellan-edge; hit; detail="two words"');
});

// RFC 9111 §4: what is not part of the key must not choose the answer that all get.
test("a fill goes without the fields by which an origin may be talked into another answer", () => {
  const sent = ["X-Forwarded-Host", "evil.example", "X-Original-URL", "/admin", "Forwarded", "for=1", "Accept", "*/*"];
  const filled = requestFieldsToForward(sent, { via: "edge" });
  assert.deepEqual(filled, ["Accept", "*/*", "Via", "1.1 edge", "CDN-Loop", "edge"]);
  const passed = requestFieldsToForward(sent, { via: "edge", passThrough: true });
  assert.deepEqual(passed.slice(0, sent.length), sent);
});
