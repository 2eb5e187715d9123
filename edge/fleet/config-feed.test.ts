import assert from "node:assert/strict";
import { chmodSync, copyFileSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import type { EdgeConfig, EdgeSite } from "../../contracts/edge-config.ts";
import type { PublishedConfig, SignedConfig } from "../../contracts/fleet.ts";
import { isSignedBy, newSigningPair, type SigningPair, signText } from "../../lib/crypto/ed25519.ts";
import { quietLog } from "../../lib/log/log.ts";
import { noOpenssl } from "../../test/support/certificate.ts";
import { tempDir, until } from "../../test/support/platform.ts";
import { configWith, pemIn, siteWith } from "../config/config.fixture.ts";
import type { Sites } from "../config/sites.ts";
import { type ConfigAck, ConfigFeed, type ConfigFeedDeps } from "./config-feed.ts";
import { ConfigStore } from "./signed-config.ts";

const PAIR = newSigningPair();
const STRANGER = newSigningPair();

const signedText = (text: string, { privateKey, publicKey }: SigningPair): SignedConfig => ({
  text,
  signature: signText(privateKey, text),
  publicKey,
});
const published = (revision: number, config: EdgeConfig, rollbackOf: number | null = null): PublishedConfig => ({
  ...{ kind: "castellan.edge-config", revision, publishedAt: "2030-01-01T00:00:00.000Z", rollbackOf },
  customers: config.customers,
});
const signed = (revision: number, config: EdgeConfig, pair = PAIR): SignedConfig =>
  signedText(JSON.stringify(published(revision, config)), pair);
const named = (hostname: string): EdgeConfig => configWith(siteWith({ hostnames: [hostname] }));

const scene = async (t: TestContext) => {
  const dataDir = await tempDir(t);
  const store = new ConfigStore(dataDir);
  const acks: ConfigAck[] = [];
  const asked: number[] = [];
  const applied: Sites[] = [];
  let answer: () => Promise<SignedConfig | null> = async () => null;
  let fleetHears = true;
  const make = (more: Partial<ConfigFeedDeps> = {}): ConfigFeed => {
    const feed = new ConfigFeed({
      store,
      ask: (haveRevision) => {
        asked.push(haveRevision);
        return answer();
      },
      acknowledge: async (ack) => {
        if (!fleetHears) throw new Error("no bus");
        acks.push(ack);
      },
      apply: (sites) => applied.push(sites),
      publicKey: null,
      log: quietLog,
      ...more,
    });
    t.after(() => feed.stop());
    return feed;
  };
  return {
    ...{ dataDir, store, acks, asked, applied, make },
    /** What the fleet has from now on. */
    has: (next: SignedConfig | null) => {
      answer = async () => next;
    },
    answers: (next: () => Promise<SignedConfig | null>) => {
      answer = next;
    },
    hears: (yes: boolean) => {
      fleetHears = yes;
    },
    serves: (host: string) => applied.at(-1)?.find(host) !== undefined,
  };
};
type Scene = Awaited<ReturnType<typeof scene>>;
const refusedWith = ({ acks }: Scene): string[] => {
  const last = acks.at(-1);
  assert.equal(last?.applied, false);
  return last?.errors.map(({ path, message }) => `${path}: ${message}`) ?? [];
};
const noBus = () => Promise.reject(new Error("no bus"));

describe("a configuration over the bus", () => {
  test("is served, acknowledged, and kept on disk for the edge alone", async (t) => {
    const at = await scene(t);
    at.has(signed(5, named("a.example")));
    const feed = at.make();
    await feed.start();
    assert.equal(feed.revision, 5);
    assert.ok(at.serves("a.example"));
    assert.deepEqual(at.acks, [{ revision: 5, applied: true, errors: [] }]);
    assert.deepEqual(readdirSync(join(at.dataDir, "edge")).sort(), ["cdn-config.json", "cdn-config.key"]);
    assert.equal(statSync(at.store.path).mode & 0o777, 0o600);
    at.has(signed(6, named("b.example")));
    await feed.refresh();
    assert.deepEqual([feed.revision, at.serves("b.example"), at.serves("a.example")], [6, true, false]);
    assert.deepEqual(at.asked, [0, 5]);
  });

  test("is asked for on a hint of a newer one, and again when the hint comes during a question", async (t) => {
    const at = await scene(t);
    at.has(signed(5, named("a.example")));
    const feed = at.make();
    await feed.start();
    let settle = (_: SignedConfig): void => {};
    at.answers(() => new Promise((resolve) => (settle = resolve)));
    const refreshing = feed.refresh();
    await until("the question", () => (at.asked.length === 2 ? true : undefined));
    feed.hinted(7);
    const first = settle;
    at.has(signed(7, named("c.example")));
    first(signed(6, named("b.example")));
    await refreshing;
    await until("the newer one", () => (feed.revision === 7 ? true : undefined));
    const questions = at.asked.length;
    feed.hinted(7);
    assert.equal(at.asked.length, questions, "a hint of what it has is no reason to ask");
  });

  test("that a stranger signed is refused: the first key is pinned, over a restart too", async (t) => {
    const at = await scene(t);
    at.has(signed(5, named("a.example")));
    const feed = at.make();
    await feed.start();
    at.has(signed(6, named("evil.example"), STRANGER));
    await feed.refresh();
    assert.deepEqual(refusedWith(at), [
      "signature: is not of this text by the key that counts; it names another key than the one that this edge believes",
    ]);
    await feed.stop();
    const again = at.make();
    await again.start();
    await again.refresh();
    assert.deepEqual([again.revision, at.serves("evil.example")], [5, false]);
    // Not even where there is nothing else.
    writeFileSync(at.store.path, "");
    const bare = at.make();
    await bare.start();
    assert.deepEqual([bare.revision, at.serves("evil.example")], [0, false]);
  });

  test("is believed by the operator's key alone where there is one", async (t) => {
    const at = await scene(t);
    at.has(signed(5, named("evil.example"), STRANGER));
    const feed = at.make({ publicKey: PAIR.publicKey });
    await feed.start();
    assert.deepEqual([feed.revision, at.applied.length], [0, 0]);
    // A stranger that names our key.
    const text = JSON.stringify(published(5, named("evil.example")));
    at.has({ ...signedText(text, STRANGER), publicKey: PAIR.publicKey });
    await feed.refresh();
    assert.deepEqual(refusedWith(at), ["signature: is not of this text by the key that counts"]);
    at.has(signed(5, named("a.example")));
    await feed.refresh();
    assert.ok(at.serves("a.example"));
  });

  test("that was changed on its way is refused, whatever was changed", async (t) => {
    const at = await scene(t);
    const good = signed(6, named("a.example"));
    at.has(signed(5, named("before.example")));
    const feed = at.make();
    await feed.start();
    const flipped = good.signature.replace(/^./, (letter) => (letter === "A" ? "B" : "A"));
    const changes: SignedConfig[] = [
      { ...good, text: good.text.replace('"revision":6', '"revision":9') },
      { ...good, text: good.text.replace("a.example", "b.example") },
      { ...good, text: `${good.text} ` },
      { ...good, signature: flipped },
      { ...good, signature: "" },
      { ...good, signature: good.signature.slice(1) },
      { ...good, text: "" },
    ];
    for (const change of changes) {
      at.has(change);
      await feed.refresh();
      assert.deepEqual([feed.revision, at.applied.length], [5, 1], JSON.stringify(change).slice(0, 80));
    }
    at.has(good);
    await feed.refresh();
    assert.equal(feed.revision, 6);
  });

  test("that is signed but something else is refused", async (t) => {
    const at = await scene(t);
    const feed = at.make({ publicKey: PAIR.publicKey });
    const other = { ...published(6, named("a.example")), kind: "castellan.something-else" };
    at.has(signedText(JSON.stringify(other), PAIR));
    await feed.start();
    assert.equal(refusedWith(at).length, 1);
    assert.equal(feed.revision, 0);
  });

  test("that is older than what is served is refused; its content comes back as a new revision", async (t) => {
    const at = await scene(t);
    const [older, newer] = [named("a.example"), named("b.example")];
    at.has(signed(7, newer));
    const feed = at.make();
    await feed.start();
    for (const revision of [6, 7]) {
      at.has(signed(revision, older));
      await feed.refresh();
      assert.deepEqual(refusedWith(at), [`revision: ${revision} is not newer than 7, which is served`]);
    }
    assert.ok(at.serves("b.example"));
    at.has(signedText(JSON.stringify(published(8, older, 6)), PAIR));
    await feed.refresh();
    assert.deepEqual([feed.revision, at.serves("a.example")], [8, true]);
  });

  test("that is bad is refused whole, told once with its fields, and not kept", async (t) => {
    const at = await scene(t);
    at.has(signed(5, named("a.example")));
    const feed = at.make();
    await feed.start();
    const kept = readFileSync(at.store.path, "utf8");
    const bad = configWith(siteWith({ hostnames: ["b.example"] }), siteWith({ hostnames: ["B"] }));
    at.has(signed(6, bad));
    for (let count = 0; count < 3; count += 1) await feed.refresh();
    assert.deepEqual(at.acks.slice(1), [
      {
        ...{ revision: 6, applied: false },
        errors: [
          {
            path: "customers.0.sites.1.hostnames.0",
            message: 'must be a host name in lower case without a port, or "*" for every other host',
          },
        ],
      },
    ]);
    assert.deepEqual([at.applied.length, readFileSync(at.store.path, "utf8")], [1, kept]);
    const missing = { certificate: { certFile: join(at.dataDir, "no.crt"), keyFile: join(at.dataDir, "no.key") } };
    at.has(signed(7, configWith(siteWith(missing))));
    await feed.refresh();
    assert.equal(refusedWith(at).length, 2, "files that this edge does not have");
    assert.equal(at.applied.length, 1);
  });

  test("that the edge fails to serve is told as refused, and tried again", async (t) => {
    const at = await scene(t);
    at.has(signed(5, named("a.example")));
    let fails = true;
    const apply = (sites: Sites): void => {
      if (fails) throw new Error("bug");
      at.applied.push(sites);
    };
    const feed = at.make({ apply });
    await feed.start();
    assert.deepEqual(refusedWith(at), [": it can't be served; the log of this edge says why"]);
    assert.equal(feed.revision, 0);
    fails = false;
    await feed.refresh();
    assert.deepEqual([feed.revision, at.serves("a.example")], [5, true]);
  });

  test("is acknowledged when the fleet can be reached again", async (t) => {
    const at = await scene(t);
    at.hears(false);
    at.has(signed(5, named("a.example")));
    const feed = at.make();
    await feed.start();
    assert.ok(at.serves("a.example"));
    assert.deepEqual(at.acks, []);
    at.hears(true);
    at.has(null);
    await feed.refresh();
    await feed.refresh();
    assert.deepEqual(at.acks, [{ revision: 5, applied: true, errors: [] }]);
  });

  test("is served although the disk takes nothing", async (t) => {
    const at = await scene(t);
    writeFileSync(join(at.dataDir, "edge"), "no folder");
    at.has(signed(5, named("a.example")));
    const feed = at.make();
    await feed.start();
    assert.deepEqual([feed.revision, at.serves("a.example")], [5, true]);
  });

  test("has its certificate files read again when they are renewed", { skip: noOpenssl }, async (t) => {
    const at = await scene(t);
    const [one, two] = [pemIn(at.dataDir, "one"), pemIn(at.dataDir, "two")];
    const certificate = { certFile: join(at.dataDir, "site.crt"), keyFile: join(at.dataDir, "site.key") };
    copyFileSync(one.certFile, certificate.certFile);
    copyFileSync(one.keyFile, certificate.keyFile);
    at.has(signed(5, configWith(siteWith({ certificate } satisfies Partial<EdgeSite>))));
    const feed = at.make();
    await feed.start();
    at.has(null);
    const served = () => at.applied.at(-1)?.all[0]?.certificate?.cert;
    copyFileSync(two.certFile, certificate.certFile);
    await feed.refresh();
    assert.equal(served(), one.cert);
    assert.equal(refusedWith(at).length, 1);
    copyFileSync(two.keyFile, certificate.keyFile);
    await feed.refresh();
    assert.equal(served(), two.cert);
    assert.deepEqual(at.acks.at(-1), { revision: 5, applied: true, errors: [] });
  });
});

describe("an edge that starts with everything down", () => {
  const startedOnce = async (t: TestContext): Promise<Scene> => {
    const at = await scene(t);
    at.has(signed(5, named("a.example")));
    const feed = at.make();
    await feed.start();
    await feed.stop();
    at.applied.length = 0;
    at.answers(noBus);
    return at;
  };

  test("serves what it knew, and never goes back behind it", async (t) => {
    const at = await startedOnce(t);
    const feed = at.make();
    await feed.start();
    assert.deepEqual([feed.revision, at.serves("a.example")], [5, true]);
    at.has(signed(4, named("old.example")));
    await until("the refusal", async () => {
      await feed.refresh();
      return at.acks.at(-1)?.applied === false ? true : undefined;
    });
    assert.ok(at.serves("a.example"));
    at.has(signed(6, named("b.example")));
    await until("the newer one", async () => {
      await feed.refresh();
      return at.serves("b.example") ? true : undefined;
    });
  });

  test("does not serve a copy that was damaged, wherever, and takes a new one when it can be had", async (t) => {
    const at = await startedOnce(t);
    const whole = readFileSync(at.store.path);
    const { text } = JSON.parse(String(whole)) as SignedConfig;
    const key = whole.indexOf(PAIR.publicKey);
    for (let place = 0; place < whole.length; place += 5) {
      if (place >= key && place < key + PAIR.publicKey.length) continue; // the pinned one counts
      const damaged = Buffer.from(whole);
      damaged[place] = (damaged[place] ?? 0) ^ 1;
      writeFileSync(at.store.path, damaged);
      const feed = at.make();
      await feed.start();
      await feed.stop();
      assert.deepEqual([feed.revision, at.applied.length], [0, 0], `byte ${place} of ${whole.length}`);
    }
    writeFileSync(at.store.path, whole.subarray(0, 40));
    at.has(signed(5, named("a.example")));
    const feed = at.make();
    await feed.start();
    assert.ok(at.serves("a.example"));
    await until("the mended copy", () => (readFileSync(at.store.path).equals(whole) ? true : undefined));
    assert.ok(isSignedBy(PAIR.publicKey, text, JSON.parse(String(whole)).signature));
  });

  test("with a damaged key still serves its own copy and mends the key; without a copy it believes nobody", async (t) => {
    const at = await startedOnce(t);
    writeFileSync(at.store.keyPath, "damaged");
    const feed = at.make();
    await feed.start();
    await feed.stop();
    assert.ok(at.serves("a.example"));
    assert.equal(readFileSync(at.store.keyPath, "utf8").trim(), PAIR.publicKey);
    writeFileSync(at.store.keyPath, "damaged");
    writeFileSync(at.store.path, "damaged");
    at.has(signed(9, named("evil.example"), STRANGER));
    const bare = at.make();
    await bare.start();
    assert.deepEqual([bare.revision, at.serves("evil.example")], [0, false]);
    assert.deepEqual(refusedWith(at), [": this edge can't tell whom to believe"]);
  });

  test("has nothing where it never had anything", async (t) => {
    const at = await scene(t);
    at.answers(noBus);
    const feed = at.make();
    await feed.start();
    assert.deepEqual([feed.revision, at.applied.length], [0, 0]);
    at.has(signed(5, named("a.example")));
    await until("the first one", () => (feed.revision === 5 ? true : undefined));
  });

  test("does not read what it can't: a folder in place of the copy", async (t) => {
    const at = await scene(t);
    await mkdir(at.store.path, { recursive: true });
    chmodSync(at.store.path, 0o700);
    at.has(signed(5, named("a.example")));
    const feed = at.make();
    await feed.start();
    assert.ok(at.serves("a.example"));
  });
});
