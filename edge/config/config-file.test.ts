import assert from "node:assert/strict";
import { copyFileSync, renameSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Writable } from "node:stream";
import { type TestContext, test } from "node:test";
import pino from "pino";
import { noOpenssl } from "../../test/support/certificate.ts";
import { tempDir, until } from "../../test/support/platform.ts";
import { configWith, pemIn, siteWith } from "./config.fixture.ts";
import { ConfigFile, checkConfigFile, loadConfigFile } from "./config-file.ts";
import { ConfigRefused } from "./refused.ts";
import type { Sites } from "./sites.ts";

const textFor = (...hostnames: string[]): string => JSON.stringify(configWith(siteWith({ hostnames })));

interface Scene {
  readonly dir: string;
  readonly path: string;
  readonly applied: Sites[];
  /** Lines of the log. */
  readonly lines: { level: number; msg: string; errors?: { path: string; message: string }[] }[];
  make(pollMs?: number): ConfigFile;
  /** Waits until the newest configuration serves this host. */
  served(host: string): Promise<Sites>;
}
const scene = async (t: TestContext): Promise<Scene> => {
  const dir = await tempDir(t);
  const applied: Sites[] = [];
  const lines: Scene["lines"] = [];
  const sink = new Writable({
    write: (line, _, done) => {
      lines.push(JSON.parse(String(line)));
      done();
    },
  });
  const path = join(dir, "edge.json");
  return {
    ...{ dir, path, applied, lines },
    make: (pollMs = 50) => {
      const file = new ConfigFile({ path, log: pino(sink), pollMs, apply: (sites) => applied.push(sites) });
      t.after(() => file.stop());
      return file;
    },
    served: (host) => until(host, () => (applied.at(-1)?.find(host) ? applied.at(-1) : undefined)),
  };
};
const ERROR = 50;
const refusals = ({ lines }: Scene) => lines.filter(({ level }) => level === ERROR);
/** As editors and configuration tools write: beside it, then over it. */
const replace = (path: string, text: string): void => {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
};

test("a file is served from the start, and each change of it without a restart", async (t) => {
  const at = await scene(t);
  writeFileSync(at.path, textFor("a.example"));
  at.make().start();
  assert.ok(at.applied[0]?.find("a.example"));
  writeFileSync(at.path, textFor("b.example"));
  assert.equal((await at.served("b.example")).find("a.example"), undefined);
  replace(at.path, textFor("c.example"));
  await at.served("c.example");
  assert.deepEqual(refusals(at), []);
});

test("a change is seen at once, by the system's notice", async (t) => {
  const at = await scene(t);
  writeFileSync(at.path, textFor("a.example"));
  at.make(3_600_000).start();
  writeFileSync(at.path, textFor("b.example"));
  await at.served("b.example");
  replace(at.path, textFor("c.example"));
  await at.served("c.example");
});

test("a folder that is exchanged under a link is seen by the files' times", async (t) => {
  const at = await scene(t);
  for (const name of ["one", "two"]) {
    await mkdir(join(at.dir, name));
    writeFileSync(join(at.dir, name, "edge.json"), textFor(`${name}.example`));
  }
  const link = (name: string): void => {
    symlinkSync(join(at.dir, name), join(at.dir, "next"));
    renameSync(join(at.dir, "next"), join(at.dir, "current"));
  };
  link("one");
  symlinkSync(join(at.dir, "current", "edge.json"), at.path);
  at.make().start();
  link("two");
  await at.served("two.example");
});

test("a bad change is refused whole and told with its fields; the former configuration goes on", async (t) => {
  const at = await scene(t);
  writeFileSync(at.path, textFor("a.example"));
  at.make().start();
  const bad = configWith(siteWith({ hostnames: ["b.example"] }), siteWith({ hostnames: ["B.example"] }));
  replace(at.path, JSON.stringify(bad));
  const [told] = await until("a refusal", () => (refusals(at).length > 0 ? refusals(at) : undefined));
  assert.equal(told?.msg, "the changed configuration is refused; the former one goes on");
  assert.deepEqual(
    told?.errors?.map(({ path }) => path),
    ["customers.0.sites.1.hostnames.0"],
  );
  replace(at.path, "{");
  await until("the next refusal", () => (refusals(at).length > 1 ? true : undefined));
  unlinkSync(at.path);
  await until("the third refusal", () => (refusals(at).length > 2 ? true : undefined));
  assert.equal(at.applied.length, 1, "nothing of a bad one is served");
  writeFileSync(at.path, textFor("c.example"));
  await at.served("c.example");
  assert.equal(refusals(at).length, 3, "a refusal is told once");
});

test("an untouched file is not read again, and a reload reads it in any case", async (t) => {
  const at = await scene(t);
  writeFileSync(at.path, textFor("a.example"));
  const file = at.make();
  file.start();
  assert.equal(file.reload(), true);
  assert.equal(at.applied.length, 2);
  writeFileSync(at.path, "{");
  assert.equal(file.reload(), false);
  assert.equal(at.applied.length, 2);
  await file.stop();
  assert.equal(file.reload(), false);
});

test("a certificate that is renewed under its name is read again", { skip: noOpenssl }, async (t) => {
  const at = await scene(t);
  await mkdir(join(at.dir, "tls"));
  const certificate = { certFile: join(at.dir, "tls", "site.crt"), keyFile: join(at.dir, "tls", "site.key") };
  const use = ({ certFile, keyFile }: { certFile: string; keyFile: string }): void => {
    copyFileSync(certFile, certificate.certFile);
    copyFileSync(keyFile, certificate.keyFile);
  };
  const [one, two] = [pemIn(at.dir, "one"), pemIn(at.dir, "two")];
  use(one);
  writeFileSync(at.path, JSON.stringify(configWith(siteWith({ certificate }))));
  at.make().start();
  const served = () => at.applied.at(-1)?.all[0]?.certificate?.cert;
  assert.equal(served(), one.cert);
  copyFileSync(two.certFile, certificate.certFile);
  await until("a refusal of half a pair", () => (refusals(at).length > 0 ? true : undefined));
  assert.equal(served(), one.cert);
  copyFileSync(two.keyFile, certificate.keyFile);
  await until("the new pair", () => (served() === two.cert ? true : undefined));
  unlinkSync(certificate.keyFile);
  await until("a refusal", () => refusals(at).find(({ errors }) => errors?.[0]?.path.endsWith(".keyFile")));
  use(one);
  utimesSync(certificate.keyFile, 1, 1);
  await until("the former pair", () => (served() === one.cert ? true : undefined));
});

test("an edge does not start with a bad file, and a check says every fault of it", async (t) => {
  const at = await scene(t);
  assert.throws(() => at.make().start(), ConfigRefused);
  assert.deepEqual(checkConfigFile(at.path), [`the file ${at.path} can't be read (ENOENT)`]);
  writeFileSync(at.path, JSON.stringify(configWith(siteWith({ hostnames: ["A", "b"], health: { path: "x" } }))));
  assert.throws(() => loadConfigFile(at.path), ConfigRefused);
  assert.equal(checkConfigFile(at.path).length, 2);
  writeFileSync(at.path, textFor("a.example"));
  assert.deepEqual(checkConfigFile(at.path), []);
  assert.ok(loadConfigFile(at.path).find("a.example"));
  assert.deepEqual(at.applied, []);
});
