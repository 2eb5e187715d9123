import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { RawRequest } from "../../lib/http/exchange.ts";
import { quietLog } from "../../lib/log/log.ts";
import { tempDir } from "../../test/support/platform.ts";
import { openLogs } from "./logs.ts";

const options = { log: quietLog, level: "info", nodeId: "packager-1" } as const;
const linesOf = (file: string): string[] => readFileSync(file, "utf8").trimEnd().split("\n");

test("each log goes to the file that it has, and is appended to", async (t) => {
  const dir = await tempDir(t);
  const [access, error, cache] = ["a.log", "deep/e.log", "c.log"].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  for (const run of [1, 2]) {
    const logs = await openLogs({ ...options, places: { access, error, cache } });
    logs.error.error({ run }, "failed");
    logs.cache.info({ run }, "cleaned");
    const request = {
      method: "GET",
      path: "/i/x.mp4/master.m3u8",
      remoteAddress: "192.0.2.1",
      header: () => undefined,
    };
    logs.access?.note({
      request: request as unknown as RawRequest,
      httpMinor: 1,
      status: 200,
      sentBytes: 7,
      tookMs: 1,
      isWhole: true,
    });
    await logs.close();
  }
  assert.deepEqual(
    linesOf(error).map((line) => {
      const { run, msg, nodeId } = JSON.parse(line) as Record<string, unknown>;
      return [run, msg, nodeId];
    }),
    [
      [1, "failed", "packager-1"],
      [2, "failed", "packager-1"],
    ],
  );
  assert.equal(linesOf(cache).length, 2);
  assert.match(linesOf(access)[1] ?? "", /^192\.0\.2\.1 - - \[.*\] "GET \/i\/x\.mp4\/master\.m3u8 HTTP\/1\.1" 200 7 /);
});

test("without a place, or with -, errors and caches speak through the process's log, and nobody notes requests", async () => {
  const logs = await openLogs({ ...options, places: { access: null, error: null, cache: "-" } });
  assert.equal(logs.error, quietLog);
  assert.equal(logs.cache, quietLog);
  assert.equal(logs.access, undefined);
  await logs.close();
});

test("a place that can't be used is named by its variable", async (t) => {
  const dir = await tempDir(t);
  writeFileSync(join(dir, "file"), "");
  const places = { access: null, error: join(dir, "e.log"), cache: null };
  const bad = join(dir, "file", "x.log");
  for (const name of ["access", "error", "cache"] as const) {
    const opening = openLogs({ ...options, places: { ...places, [name]: bad } });
    await assert.rejects(
      opening,
      new RegExp(`^ConfigError: CASTERPAK_LOGGING_${name.toUpperCase()}_LOG: can't be used`),
    );
  }
});
