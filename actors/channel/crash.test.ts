import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { createStreamer, deleteChannel, listChannels } from "../../contracts/channel.ts";
import { type CastisStandIn, castisStandIn } from "../../test/castis/stand-in.ts";
import { type Control, eventually, newTenant, startControl, type Tenant } from "../../test/support/control.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";

const CONTROL_PROCESS = join(import.meta.dirname, "../../test/support/control-process.ts");
const UDP = "udp://239.0.21.41:5000";

/** The second process: takes over what the killed one left. A database of its own for each test. */
describe("kill -9 of the control process in the middle of", () => {
  let db: TestDatabase;
  let tenant: Tenant;
  before(async () => {
    db = await testDatabase();
    tenant = await newTenant(db, "acme");
  });

  const children: ChildProcess[] = [];
  after(() => {
    for (const child of children) child.kill("SIGKILL");
  });
  const spawnControl = (nodeId: string, order: object): ChildProcess => {
    const settings = JSON.stringify({ url: db.ownerUrl, nodeId, tenant, order });
    const child = spawn(process.execPath, [CONTROL_PROCESS, settings], { stdio: ["ignore", "pipe", "inherit"] });
    children.push(child);
    return child;
  };
  const killed = async (child: ChildProcess): Promise<void> => {
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  let count = 0;
  /** Entries for castis nodes, made without any control process that could disturb. */
  const setUp = async (t: TestContext, nodeCount: number) => {
    const nodes: CastisStandIn[] = [];
    const streamerIds: number[] = [];
    const helper = await startControl({ db, tenant, nodeId: `helper-${++count}`, ordinals: 0 });
    for (let i = 0; i < nodeCount; i += 1) {
      const node = await castisStandIn(t);
      const { data } = await helper.ask(createStreamer, { name: `castis ${i}`, baseUrl: node.baseUrl });
      nodes.push(node);
      streamerIds.push(data.id);
    }
    await helper.stop();
    return { nodes, streamerIds };
  };
  const successor = async (t: TestContext): Promise<Control> => {
    const control = await startControl({ db, tenant, nodeId: `successor-${++count}`, ordinals: 0 });
    t.after(() => control.stop());
    return control;
  };
  const order = (name: string, streamerIds: readonly number[]) => ({
    create: {
      ...{ name, sourceType: "udp", ingestConfig: { netTimeout: "500ms" } },
      origins: streamerIds.map((streamerId) => ({ streamerId, ingestUrl: UDP })),
    },
  });
  const rowsLeft = async (): Promise<string[]> => {
    const left: string[] = [];
    for (const table of ["channel", "channel_origin", "saga", "channel_runtime", "actor_placement"])
      if ((await db.asOwner(`select 1 from ${table}`)).rowCount > 0) left.push(table);
    return left;
  };
  const nothingLeft = () => eventually("no row is left", async () => (await rowsLeft()).length === 0, 40_000);

  test("the fan-out, one node has the stream and one hangs: the next process finishes it", async (t) => {
    const { nodes, streamerIds } = await setUp(t, 2);
    const [fine, hanging] = nodes as [CastisStandIn, CastisStandIn];
    hanging.fail({ method: "POST", how: "hang", afterDoing: true, times: 1 });
    const child = spawnControl("victim-1", order("Half Way", streamerIds));
    await hanging.until(() => hanging.count("POST") === 1 && fine.count("POST") === 1);
    await killed(child);
    assert.deepEqual(await rowsLeft(), ["channel", "channel_origin", "saga", "channel_runtime", "actor_placement"]);
    const control = await successor(t);
    const done = await eventually(
      "active on both, and no saga",
      async () => {
        const { data } = await control.ask(listChannels, { status: "active" });
        return data.length === 1 && (await db.asOwner("select 1 from saga")).rowCount === 0 && data[0]!;
      },
      40_000,
    );
    assert.deepEqual(
      done.origins.map(({ status }) => status),
      ["active", "active"],
    );
    await control.ask(deleteChannel, { channelId: done.id });
    await nothingLeft();
    assert.deepEqual([fine.streams.size, hanging.streams.size], [0, 0]);
  });

  test("the fan-out, and no node takes it any more: the next process undoes it", async (t) => {
    const { nodes, streamerIds } = await setUp(t, 2);
    for (const node of nodes) node.fail({ method: "POST", how: "hang", afterDoing: true, times: 1 });
    const child = spawnControl("victim-2", order("Undone", streamerIds));
    await eventually("both nodes have it", () => nodes.every((node) => node.streams.size === 1));
    await killed(child);
    // What was made is there (the kill came before the answer), and nothing new is taken.
    for (const node of nodes) node.fail({ method: "POST", how: { status: 503 } });
    const control = await successor(t);
    await nothingLeft();
    assert.deepEqual(
      nodes.map((node) => node.streams.size),
      [0, 0],
    );
    assert.deepEqual((await control.ask(listChannels, {})).data, []);
  });

  test("undoing, with streams half removed: the next process removes the rest", async (t) => {
    const { nodes, streamerIds } = await setUp(t, 2);
    const [one, other] = nodes as [CastisStandIn, CastisStandIn];
    for (const node of nodes) node.fail({ method: "POST", how: { status: 503 }, afterDoing: true });
    other.fail({ method: "DELETE", how: "hang", times: 1 });
    const child = spawnControl("victim-3", order("Half Undone", streamerIds));
    await eventually("one is removed, one hangs", () => one.streams.size === 0 && other.count("DELETE") === 1);
    await killed(child);
    assert.equal(other.streams.size, 1);
    await successor(t);
    await nothingLeft();
    assert.equal(other.streams.size, 0);
  });

  test("a deletion: the next process ends it", async (t) => {
    const { nodes, streamerIds } = await setUp(t, 2);
    const maker = spawnControl("maker-4", order("Deleted", streamerIds));
    await once(maker.stdout!, "data");
    await killed(maker);
    for (const node of nodes) node.fail({ method: "DELETE", how: "hang", times: 1 });
    const { rows } = await db.asOwner<{ id: string }>("select id from channel");
    const child = spawnControl("victim-4", { delete: Number(rows[0]!.id) });
    await eventually("both hang", () => nodes.every((node) => node.count("DELETE") === 1), 40_000);
    await killed(child);
    await successor(t);
    await nothingLeft();
    assert.deepEqual(
      nodes.map((node) => node.streams.size),
      [0, 0],
    );
  });
});
