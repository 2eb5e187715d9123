import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { newTenant } from "../../test/support/control.ts";
import { testDatabase } from "../../test/support/database.ts";
import { endUnlicensed } from "./licences.ts";
import { insertSessions } from "./playback.store.ts";

test("what is played by a licence that ended ends, and nothing that another licence or tenant allows", async (t) => {
  const db = await testDatabase(t);
  const [owner, stranger, licensee] = await Promise.all(["owner", "stranger", "licensee"].map((s) => newTenant(db, s)));
  const titles = { ended: randomUUID(), stillLicensed: randomUUID(), own: randomUUID(), strangers: randomUUID() };
  const session = (titleId: string, ownerTenantId: string) => ({
    ...{ id: randomUUID(), tenantId: licensee!.tenantId, titleId, ownerTenantId, viewer: null, address: null },
    ...{ country: null, maxHeight: null },
    ...{ isPublic: false, createdAt: new Date(), expiresAt: new Date(Date.now() + 60_000) },
  });
  const sessions = [
    session(titles.ended, owner!.tenantId),
    session(titles.ended, owner!.tenantId),
    session(titles.stillLicensed, owner!.tenantId),
    session(titles.own, licensee!.tenantId),
    session(titles.strangers, stranger!.tenantId),
  ];
  await db.tenantTx(licensee!.tenantId, (tx) => insertSessions(tx, sessions));
  const asked: string[] = [];
  const ended: string[] = [];
  await endUnlicensed(
    {
      ...{ db, clock: systemClock, stragglersMs: 0 },
      mayPlay: async (_, { titleId }) => asked.push(titleId) > 0 && titleId !== titles.ended,
      revoking: { many: async (tenantId, { titleId }) => ended.push(`${tenantId} ${titleId}`) },
    },
    { tenantId: owner!.tenantId, licenseeId: licensee!.tenantId },
  );
  assert.deepEqual([...new Set(asked)].sort(), [titles.ended, titles.stillLicensed].sort());
  assert.deepEqual([...new Set(ended)], [`${licensee!.tenantId} ${titles.ended}`]);
});
