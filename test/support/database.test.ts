import assert from "node:assert/strict";
import test from "node:test";
import { testDatabase } from "./database.ts";

test("two test databases share nothing", async (t) => {
  const [a, b] = await Promise.all([testDatabase(t), testDatabase(t)]);
  await a.query(
    "insert into actor_node (incarnation, node_id, lock_key, capacity, lease_until) values (gen_random_uuid(), 'n', 1, 1, now())",
  );
  assert.deepEqual((await b.query("select node_id from actor_node")).rows, []);
  assert.deepEqual((await a.asOwner("select current_user::text as name")).rows, [{ name: "postgres" }]);
  assert.deepEqual((await a.query("select current_user::text as name")).rows, [{ name: "castellan_app" }]);
});
