/** Files that are small and read whole: SMIL files and subtitles. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isRefusal } from "../../domain/csmil/path.ts";
import { parseQuery } from "../../domain/csmil/query.ts";
import { parsePackagerPath } from "../../domain/csmil/request.ts";
import { FakeSource } from "./fake-source.fixture.ts";
import { SmilFiles } from "./smil-files.ts";
import { Subtitles } from "./subtitles.ts";

const SMIL = Buffer.from('<smil><body><switch><video src="a.mp4"/></switch></body></smil>');
const VTT = Buffer.from("WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n");
const MANY = 50;
const PATHS = { prefix: "/i/", childManifestFilename: "index_0_av.m3u8", sanitize: "refuse" } as const;

/** Reads of a file that stands for many, all at the same moment. */
const worlds = {
  smil: () => {
    const source = new FakeSource();
    source.put("file", SMIL);
    const files = new SmilFiles({ source, clock: { nowMs: () => 0 }, recheckMs: 1000, prefix: "/i/" });
    return { source, file: "file", read: async () => void (await files.files("file")), forget: () => files.forget() };
  },
  subtitles: () => {
    const source = new FakeSource();
    const file = "film_en.vtt";
    source.put(file, VTT);
    const subtitles = new Subtitles({ source });
    const parsed = parsePackagerPath("/i/film.mp4/subtitle_0_en.m3u8", PATHS);
    if (isRefusal(parsed)) return assert.fail(parsed.reason);
    const { set: media, leaf } = parsed;
    if (leaf.kind !== "subtitles") return assert.fail(leaf.kind);
    const query = parseQuery("subtitle_identifier=film");
    if ("refusal" in query) return assert.fail(query.reason);
    const open = { members: [], missing: [], selfAligned: true, letGo: () => {} };
    const view = { media, open, base: "", bitratesBps: new Map<string, number>(), children: "file" } as const;
    const read = () => subtitles.assertThere(view, query, { leaf, mayRead: () => true });
    return { source, file, read, forget: () => subtitles.forget() };
  },
};

for (const [kind, worldOf] of Object.entries(worlds)) {
  test(`${kind}: many who ask at once for what is not known open and read it once`, async () => {
    const { source, file, read } = worldOf();
    await Promise.all(Array.from({ length: MANY }, read));
    const [opened, ...others] = source.calls;
    assert.equal(opened, `open ${file}`);
    assert.equal(others.length, 1, others.join(", "));
    assert.match(others[0] ?? "", /^read /);
    assert.equal(source.openCount, 0);
  });

  test(`${kind}: what was being read when it was purged is read again`, async () => {
    const { source, file, read, forget } = worldOf();
    source.misbehave(file, { stallAfter: 0 });
    const stalled = source.stalled();
    const before = read();
    await stalled;
    forget();
    source.behave();
    await before;
    await read();
    assert.equal(source.countOf(`read ${file}`), 2);
    await read();
    assert.equal(source.countOf(`read ${file}`), 2, "from memory");
  });

  test(`${kind}: one that can't be read is looked for again`, async () => {
    const { source, file, read } = worldOf();
    source.misbehave(file, { failAfter: 0 });
    await Promise.all(Array.from({ length: MANY }, () => assert.rejects(async () => read())));
    source.behave();
    await read();
  });
}
