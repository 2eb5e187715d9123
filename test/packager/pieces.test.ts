/**
 * A segment that is made piece by piece, because slow viewers hold all slots, and perhaps windows, or because it is
 * larger than a slot, has the same bytes as one that is made whole.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import path from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { startTestPackager } from "../../actors/packager/packager.fixture.ts";
import { metricsText } from "../../lib/metrics/metrics.ts";
import { makeInput, sharedMediaDir } from "../media/make.ts";
import { tempDir } from "../support/platform.ts";
import { answerOf, assertHead, assertRanges } from "./client.ts";
import { licences } from "./encrypted.ts";
import { assertFmp4, assertTs } from "./formats.ts";
import { large } from "./media.ts";
import { truthOf } from "./truth.ts";

const INPUTS = ["moov-last", "hevc-hvc1", "captions-608", "two-languages", "intra-only", "7680x4320", "ac-3"];
const LEAVES = [
  ...["segment1_0_av.ts", "segment2_0_v.ts", "segment2_0_a.ts", "iframe1_0_v.ts"],
  ...["segment1_0_av.m4s", "segment2_0_v.m4s", "segment2_0_a.m4s", "iframe1_0_v.m4s"],
];
/** Of a segment that is larger than a slot. */
const LONG_LEAF = "segment1_0_v.m4s";
/** That there are. */
const WINDOWS = 48;
const METHODS = ["none", "aes-128", "cenc", "cbcs"] as const;

let folder = "";
let closing: () => Promise<void> = async () => {};
before(async () => {
  folder = await tempDir({
    after: (clean) => {
      closing = clean;
    },
  });
  const media = await sharedMediaDir();
  for (const name of INPUTS) await copyFile(await makeInput(name, media), path.join(folder, `${name}.mp4`));
  await large(path.join(folder, "large.mp4"), { gop: 50 });
  await large(path.join(folder, "one-segment.mp4"), { gop: 9999 });
});
after(() => closing());

const envOf = (method: string) => ({
  CASTERPAK_OUTPUT_SEGMENTDURATION: "2",
  CASTERPAK_ENCRYPTION_METHOD: method,
  CASTERPAK_ENCRYPTION_SECRET: "a-secret-for-tests-only",
});

interface SlowViewer {
  /** The whole answer, once it is read. */
  readonly rest: () => Promise<Buffer>;
}

/** A viewer that has got the beginning of an answer and reads no more of it for now. */
const slowViewer = async (t: TestContext, url: string): Promise<SlowViewer> => {
  const { hostname, port, pathname } = new URL(url);
  const socket: Socket = connect(Number(port), hostname);
  t.after(() => void socket.destroy());
  socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`);
  await once(socket, "readable");
  return {
    rest: async () => {
      const pieces: Buffer[] = [];
      for await (const piece of socket) pieces.push(piece as Buffer);
      const answer = Buffer.concat(pieces);
      return answer.subarray(answer.indexOf("\r\n\r\n") + 4);
    },
  };
};

const HELD = "/i/large.mp4/segment1_0_v.m4s";

interface Packagers {
  readonly roomy: string;
  /** Whose slots, and perhaps windows, are held. */
  readonly tight: string;
}

const assertSameBytes = async (method: (typeof METHODS)[number], { roomy, tight }: Packagers): Promise<void> => {
  for (const name of ["large", ...INPUTS]) {
    for (const leaf of LEAVES) {
      const address = `/i/${name}.mp4/${leaf}`;
      if (address === HELD) continue;
      const whole = await answerOf(roomy + address);
      const pieces = await answerOf(tight + address);
      assert.equal(pieces.status, whole.status, address);
      if (whole.status !== 200) continue;
      assert.ok(pieces.bytes.equals(whole.bytes), address);
      const isExact = pieces.headers.has("content-length");
      if (method === "cenc") assert.equal(isExact, false, "its size is known once it is made: it was not made whole");
      if (!isExact) continue;
      if (name !== "moov-last") continue;
      await assertHead(tight + address, pieces);
      await assertRanges(tight + address, pieces);
    }
  }
};

for (const method of METHODS) {
  for (const windowCount of [0, WINDOWS]) {
    test(`${method}: with all slots and ${windowCount} windows held, others get the same bytes`, async (t) => {
      const env = envOf(method);
      // The last one is the one that the figures are of.
      const { url: roomy } = await startTestPackager(t, { folder, env });
      const { url: tight } = await startTestPackager(t, {
        folder,
        env: { ...env, CASTERPAK_OUTPUT_SEGMENT_SLOTS: "1" },
      });
      const viewer = await slowViewer(t, tight + HELD);
      // Larger than a slot, so that each of them has a window.
      const inWindows = Array.from({ length: windowCount }, () =>
        slowViewer(t, `${tight}/i/one-segment.mp4/${LONG_LEAF}`),
      );
      await Promise.all(inWindows);
      const free = /^castellan_packager_free_windows (\d+)$/m.exec(await metricsText())?.[1];
      assert.equal(free, String(WINDOWS - windowCount), "free windows");
      await assertSameBytes(method, { roomy, tight });
      const { bytes } = await answerOf(roomy + HELD);
      assert.ok((await viewer.rest()).equals(bytes), "what the slow viewer got");
    });
  }
}

describe("a segment that is larger than a slot", () => {
  for (const method of METHODS) {
    test(`${method}: has all samples of the source`, async (t) => {
      const { url: host } = await startTestPackager(t, { folder, env: envOf(method) });
      const file = path.join(folder, "one-segment.mp4");
      const truth = await truthOf(file, { reader: "mediabunny" });
      const url = `${host}/i/one-segment.mp4`;
      const subject = { name: "one-segment", url, path: file, truth, lateSeconds: 0 };
      await assertFmp4({ ...subject, keyServer: licences(subject) });
      if (method === "none" || method === "aes-128") await assertTs(subject);
    });
  }
});
