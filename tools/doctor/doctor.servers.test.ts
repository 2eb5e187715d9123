import assert from "node:assert/strict";
import { test } from "node:test";
import { readSettings } from "../../lib/config/config.ts";
import { missingServers, NATS_URL, POSTGRES_URL } from "../../test/support/cluster.ts";
import { checkBus } from "./bus.ts";
import { checkDatabase } from "./database.ts";

const missing = await missingServers();

test("real servers pass with their versions and clocks", { skip: missing ?? false }, async () => {
  const settings = readSettings({ NATS_URL, DATABASE_URL: POSTGRES_URL }, false);
  const findings = [...(await checkDatabase(settings)), ...(await checkBus(settings))];
  assert.deepEqual(
    findings.map(({ state, subject }) => [state, subject]),
    [
      ["ok", "database"],
      ["ok", "clock"],
      ["ok", "NATS"],
      ["ok", "clock"],
    ],
    JSON.stringify(findings),
  );
});
