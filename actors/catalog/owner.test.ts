/** A database whose owner is no superuser: forced row security binds it like everybody else. */
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { test } from "node:test";
import { migrate } from "../../lib/db/migrate.ts";
import { testDatabase } from "../../test/support/database.ts";
import { blankTitle } from "./changes.ts";
import { searchIndex, titlesDue, titlesKnown } from "./index.store.ts";
import { insert } from "./writing.ts";

const asRole = (url: string, role: string): string =>
  `${url}${url.includes("?") ? "&" : "?"}options=${encodeURIComponent(`-c role=${role}`)}`;

test("an owner that is no superuser makes the extensions, and its titles are found", async (t) => {
  const db = await testDatabase(t, { migrated: false });
  const role = `castellan_plain_${randomBytes(4).toString("hex")}`;
  const { rows } = await db.asOwner<{ name: string }>("select current_database() as name");
  const database = String(rows[0]?.name);
  await db.asOwner(`do $$ begin create role castellan_app nologin; exception when duplicate_object then null; end $$`);
  await db.asOwner(`create role ${role} nologin nosuperuser nobypassrls`);
  t.after(async () => {
    await db.asOwner(`reassign owned by ${role} to current_user`);
    await db.asOwner(`drop owned by ${role}`);
    await db.asOwner(`drop role ${role}`);
  });
  await db.asOwner(`grant castellan_app to ${role}`);
  await db.asOwner(`grant create on database ${database} to ${role}`);
  await db.asOwner(`alter schema public owner to ${role}`);
  await migrate({ url: asRole(db.ownerUrl, role) });

  const tenantId = randomUUID();
  const titleId = randomUUID();
  const asked = { q: "amelie", after: null, facets: true, rowCount: 10 };
  await db.asOwner("insert into tenant (id, slug, name) values ($1, 'a', 'A')", [tenantId]);
  const found = await db.tenantTx(tenantId, async (tx) => {
    const title = blankTitle({ id: titleId, tenantId, kind: "movie", name: "Amélie" }, 0);
    await insert(tx, { ...title, state: "scheduled" });
    return searchIndex(tx, tenantId, asked);
  });
  assert.deepEqual([found.total, found.hits[0]?.[2]], [1, titleId]);
  const due = await db.tenantTx(null, (tx) => titlesDue(tx, new Date(), 10));
  assert.deepEqual(due, [{ tenantId, titleId }]);
  assert.deepEqual(await db.tenantTx(null, (tx) => titlesKnown(tx, [titleId, randomUUID()])), [titleId]);
  const seen = await db.tenantTx(null, (tx) => tx.query("select from title_index"));
  assert.equal(seen.rowCount, 0, "the application sees no more than before");
});
