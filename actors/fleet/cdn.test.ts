import assert from "node:assert/strict";
import { randomUUID, verify } from "node:crypto";
import { before, beforeEach, describe, type TestContext, test } from "node:test";
import { type EdgeConfig, type EdgeSite, KEPT } from "../../contracts/edge-config.ts";
import { codeOf, type Fault } from "../../contracts/errors.ts";
import { PublishedConfig } from "../../contracts/fleet.ts";
import { isSignedBy } from "../../lib/crypto/ed25519.ts";
import { makeCertificate, noOpenssl } from "../../test/support/certificate.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { tempDir } from "../../test/support/platform.ts";
import { CdnConfigs } from "./cdn.ts";

const START_MS = Date.UTC(2030, 0, 1);
const FIRST = START_MS / 1_000;
const SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I";
const OTHER_SECRET = SECRET.replace("c2", "d3");

const siteWith = (more: Partial<EdgeSite> = {}): EdgeSite => ({
  hostnames: ["cdn.acme.example"],
  origins: [{ id: "a", url: "https://origin.acme.example" }],
  ...more,
});
const configWith = (...sites: readonly EdgeSite[]): EdgeConfig => ({ customers: [{ id: "acme", sites: [...sites] }] });
const named = (hostname: string): EdgeConfig => configWith(siteWith({ hostnames: [hostname] }));

describe("configurations of CDN customers", () => {
  let db: TestDatabase;
  before(async () => {
    db = await testDatabase();
  });
  beforeEach(async () => {
    await db.asOwner("truncate cdn_config cascade");
  });

  /** A fleet actor as on one node of several. */
  const node = (nowMs = () => START_MS) => {
    const told: number[] = [];
    const cdn = new CdnConfigs({ db, clock: { nowMs }, published: (revision) => told.push(revision) });
    const publish = (config: EdgeConfig, more: { dryRun?: boolean; ifVersion?: number } = {}) =>
      cdn.publish({ ...config, dryRun: false, ...more });
    return { cdn, told, publish };
  };
  const failure = async (work: Promise<unknown>): Promise<Fault> =>
    work.then(
      () => assert.fail("it was taken"),
      (error: Fault) => error,
    );
  const errorsOf = async (work: Promise<unknown>): Promise<unknown> => {
    const fault = await failure(work);
    assert.equal(codeOf(fault), "BAD_INPUT");
    return fault.data.errors;
  };

  test("are none before the first one, and the key is there", async () => {
    const { cdn } = node();
    const { publicKey, ...nothing } = await cdn.get();
    assert.deepEqual(nothing, {
      ...{ revision: 0, version: 0, publishedAt: null, rollbackOf: null, customers: [], revisions: [] },
    });
    assert.match(publicKey, /^[A-Za-z0-9_-]{43}$/);
    assert.equal((await node().cdn.get()).publicKey, publicKey);
    assert.equal(await cdn.signedAfter(0), null);
  });

  test("are published as numbered revisions, and shown", async () => {
    let nowMs = START_MS;
    const { cdn, told, publish } = node(() => nowMs);
    const first = await publish(named("a.example"));
    assert.deepEqual(first, {
      ...{
        revision: FIRST,
        version: FIRST,
        publishedAt: "2030-01-01T00:00:00.000Z",
        rollbackOf: null,
        published: true,
      },
    });
    const second = await publish(named("b.example"));
    assert.equal(second.revision, FIRST + 1, "also within a second, or when the clock went back");
    nowMs += 60_000;
    const third = await publish(named("c.example"));
    assert.equal(third.revision, FIRST + 60);
    assert.deepEqual(told, [FIRST, FIRST + 1, FIRST + 60]);
    const shown = await node().cdn.get();
    assert.deepEqual(shown.customers, named("c.example").customers);
    assert.deepEqual(
      shown.revisions.map(({ revision }) => revision),
      [FIRST + 60, FIRST + 1, FIRST],
    );
    assert.deepEqual((await cdn.get(FIRST)).customers, named("a.example").customers);
    assert.equal(codeOf(await failure(cdn.get(7))), "CDN_REVISION_NOT_FOUND");
  });

  test("change nothing when they are the same again, whatever the order of their words", async () => {
    const { told, publish } = node();
    await publish(named("a.example"));
    const [customer] = named("a.example").customers;
    const reordered = { customers: [{ sites: customer?.sites ?? [], id: "acme" }] };
    const { revision, published } = await publish(reordered);
    assert.deepEqual([revision, published, told], [FIRST, false, [FIRST]]);
  });

  test("are only checked as a dry run", async () => {
    const { cdn, told, publish } = node();
    assert.deepEqual((await publish(named("a.example"), { dryRun: true })).published, false);
    assert.deepEqual([(await cdn.get()).revision, told], [0, []]);
    const bad = { customers: [{ id: "acme", tenant: "nobody", sites: [siteWith()] }] };
    assert.deepEqual(await errorsOf(publish(bad, { dryRun: true })), [
      { path: "customers.0.tenant", message: "there is no tenant nobody" },
    ]);
  });

  test("are refused whole, with a complaint per field", { skip: noOpenssl }, async (t: TestContext) => {
    const { cdn, publish } = node();
    const twice = configWith(siteWith(), siteWith());
    assert.deepEqual(await errorsOf(publish(twice)), [
      { path: "customers.0.sites.1.hostnames.0", message: "cdn.acme.example is named before, by acme" },
    ]);
    const { readFileSync } = await import("node:fs");
    const pem = async () => {
      const { certificateFile, keyFile } = makeCertificate(await tempDir(t));
      return { cert: readFileSync(certificateFile, "utf8"), key: readFileSync(keyFile, "utf8") };
    };
    const [one, two] = [await pem(), await pem()];
    const crossed = configWith(siteWith({ certificate: { cert: one.cert, key: two.key } }));
    assert.deepEqual(await errorsOf(publish(crossed)), [
      {
        path: "customers.0.sites.0.certificate",
        message: "the certificate and the private key do not belong together",
      },
    ]);
    assert.equal((await cdn.get()).revision, 0);
    await publish(configWith(siteWith({ certificate: one })));
    assert.deepEqual((await cdn.get()).customers[0]?.sites[0]?.certificate, { cert: one.cert, key: KEPT });
  });

  test("of a tenant name one that is there", async () => {
    await db.asOwner("insert into tenant (id, slug, name) values ($1, 'acme', 'Acme')", [randomUUID()]);
    const { publish } = node();
    const ours = { customers: [{ id: "acme", tenant: "acme", sites: [siteWith()] }] };
    assert.equal((await publish(ours)).published, true);
  });

  test("are written only over the revision that the writer saw", async () => {
    const { publish } = node();
    assert.equal((await publish(named("a.example"), { ifVersion: 0 })).revision, FIRST);
    const fault = await failure(publish(named("b.example"), { ifVersion: 0 }));
    assert.deepEqual([fault.code, fault.data], ["VERSION_CONFLICT", { version: FIRST }]);
    assert.equal((await publish(named("b.example"), { ifVersion: FIRST })).revision, FIRST + 1);
  });

  test("that writers on several nodes publish at once get one number each, and only one fits an If-Match", async () => {
    await node().publish(named("start.example"));
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, index) => node().publish(named(`h${index}.example`))),
    );
    assert.equal(new Set(outcomes.map(({ revision }) => revision)).size, 8);
    const ifVersion = (await node().cdn.get()).revision;
    const guarded = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) => node().publish(named(`g${index}.example`), { ifVersion })),
    );
    assert.equal(guarded.filter(({ status }) => status === "fulfilled").length, 1);
  });

  test("come back by a rollback as a new revision", async () => {
    const { cdn, told, publish } = node();
    await publish(named("a.example"));
    await publish(named("b.example"));
    const back = await cdn.rollback({ revision: FIRST });
    assert.deepEqual([back.revision, back.rollbackOf, back.published], [FIRST + 2, FIRST, true]);
    assert.deepEqual((await cdn.get()).customers, named("a.example").customers);
    assert.equal(told.length, 3);
    assert.equal((await cdn.rollback({ revision: FIRST })).published, false, "it is there already");
    assert.equal(codeOf(await failure(cdn.rollback({ revision: 7 }))), "CDN_REVISION_NOT_FOUND");
    const stale = await failure(cdn.rollback({ revision: FIRST + 1, ifVersion: FIRST }));
    assert.equal(codeOf(stale), "VERSION_CONFLICT");
  });

  test("are signed by the one key: the very text, its number inside", async () => {
    const { cdn, publish } = node();
    await publish(named("a.example"));
    const signed = (await node().cdn.signedAfter(0))!;
    assert.equal(signed.publicKey, (await cdn.get()).publicKey);
    assert.ok(isSignedBy(signed.publicKey, signed.text, signed.signature));
    assert.equal(isSignedBy(signed.publicKey, signed.text.replace("a.example", "b.example"), signed.signature), false);
    // By node:crypto alone, from what an edge is given.
    const key = { key: { kty: "OKP", crv: "Ed25519", x: signed.publicKey }, format: "jwk" as const };
    assert.ok(verify(null, Buffer.from(signed.text), key, Buffer.from(signed.signature, "base64url")));
    assert.deepEqual(PublishedConfig.parse(JSON.parse(signed.text)), {
      ...{ kind: "castellan.edge-config", revision: FIRST, publishedAt: "2030-01-01T00:00:00.000Z", rollbackOf: null },
      customers: named("a.example").customers,
    });
    assert.equal(await cdn.signedAfter(FIRST), null);
    await publish(named("b.example"));
    assert.match((await cdn.signedAfter(FIRST))?.text ?? "", /b\.example/);
  });

  test("keep a hundred revisions to go back to", async () => {
    const { cdn, publish } = node();
    for (let index = 0; index < 102; index += 1) await publish(named(`h${index}.example`));
    const { revisions } = await cdn.get();
    assert.deepEqual([revisions.length, revisions.at(-1)?.revision], [100, FIRST + 2]);
  });

  test("show no secret, and keep those that are to stay", async () => {
    const { cdn, publish } = node();
    const site = siteWith({
      origins: [
        { id: "a", source: { url: "sftp://f.example", user: "u", password: "pass-1", passphrase: "phrase-1" } },
        { id: "b", source: { url: "s3://films", accessKeyId: "id", secretAccessKey: "s3-secret" } },
      ],
      signing: { keys: [{ id: "k1", algorithm: "HS256", secret: SECRET }] },
    });
    await publish(configWith(site));
    const { customers } = await cdn.get();
    for (const secret of [SECRET, "pass-1", "phrase-1", "s3-secret"]) {
      assert.ok(!JSON.stringify(customers).includes(secret), secret);
    }
    const [shown] = customers[0]!.sites;
    const keys = [...shown!.signing!.keys, { id: "k2", algorithm: "HS256" as const, secret: OTHER_SECRET }].reverse();
    const changed = { ...shown!, hostnames: ["new.example", ...shown!.hostnames], signing: { keys } };
    await publish(configWith({ ...changed, origins: [...changed.origins].reverse() }));
    const text = (await cdn.signedAfter(0))?.text ?? "";
    assert.ok(!text.includes(KEPT));
    const [kept] = (JSON.parse(text) as EdgeConfig).customers[0]!.sites;
    assert.deepEqual(kept?.origins, [...site.origins].reverse());
    assert.deepEqual(kept?.signing?.keys, [keys[0], { id: "k1", algorithm: "HS256", secret: SECRET }]);
    const nothing = siteWith({ signing: { keys: [{ id: "k9", algorithm: "HS256", secret: KEPT }] } });
    assert.deepEqual(await errorsOf(publish(configWith(nothing))), [
      { path: "customers.0.sites.0.signing.keys.0.secret", message: "there is nothing to keep here" },
    ]);
    const stranger = { customers: [{ id: "other", sites: [shown!] }] };
    assert.equal(((await errorsOf(publish(stranger))) as unknown[]).length, 4, "of another customer nothing is kept");
  });

  test("are acknowledged by edges: the last word of each on each revision, in pages", async () => {
    let nowMs = START_MS;
    const { cdn, publish } = node(() => nowMs);
    await publish(named("a.example"));
    await publish(named("b.example"));
    const errors = [{ path: "customers.0", message: "no" }];
    const ack = (nodeId: string, revision: number, applied = true) =>
      cdn.acknowledge({ nodeId, revision, applied, errors: applied ? [] : errors });
    await ack("edge-1", FIRST);
    await ack("edge-1", FIRST + 1, false);
    await ack("edge-2", FIRST + 1);
    await ack("edge-2", 7);
    nowMs += 1_500;
    await ack("edge-1", FIRST + 1);
    const first = await cdn.acks({ limit: 2 });
    const second = await cdn.acks({ limit: 2, cursor: first.nextCursor ?? "" });
    assert.equal(second.nextCursor, null);
    assert.deepEqual(
      [...first.data, ...second.data].map((row) => [row.nodeId, row.revision, row.applied, row.acknowledgedAt]),
      [
        ["edge-1", FIRST, true, "2030-01-01T00:00:00.000Z"],
        ["edge-1", FIRST + 1, true, "2030-01-01T00:00:01.500Z"],
        ["edge-2", FIRST + 1, true, "2030-01-01T00:00:00.000Z"],
      ],
    );
    await ack("edge-2", FIRST, false);
    const { data } = await cdn.acks({ revision: FIRST, limit: 50 });
    assert.deepEqual(
      data.map(({ nodeId, errors: why }) => [nodeId, why]),
      [
        ["edge-1", []],
        ["edge-2", errors],
      ],
    );
    assert.equal(codeOf(await failure(cdn.acks({ limit: 2, cursor: "x" }))), "BAD_CURSOR");
  });

  test("and their key are not there inside of a tenant", async () => {
    await node().publish(named("a.example"));
    for (const table of ["cdn_signing_key", "cdn_config"]) {
      const count = (tenantId: string | null) =>
        db.tenantTx(tenantId, async (tx) => (await tx.query(`select from ${table}`)).rowCount);
      assert.deepEqual([await count(null), await count(randomUUID())], [1, 0], table);
    }
  });
});
