/** Sends hostile requests, some side by side, and judges every answer. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { seeded } from "../support/seeded.ts";
import { type Case, caseOf, type Ground } from "./cases.ts";
import { AROUND } from "./media-cases.ts";
import {
  CANARY,
  type HostileScene,
  newTenant,
  newTitle,
  objectNames,
  outside,
  play,
  untilPublished,
  upload,
} from "./scene.ts";
import { type Answered, exchange } from "./wire.ts";

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

const LANES = 8;
const FAULTS_MAX = 40;
const REPOSITORY = path.resolve(import.meta.dirname, "../..");
/** Of a client's fault, by RFC 9110 §15.6: no such method, no such version. */
const CLIENTS_OWN = /"code":"(?:METHOD_UNKNOWN|HTTP_VERSION_UNSUPPORTED)"/;
const STACK = /\n\s+at .{1,200}(?::\d+:\d+|\[native)|node_modules\/|node:internal/;
const MEDIA = /#EXTM3U|<MPD|ftyp|moof|"contentId"/;
const SYSTEM_FILE = /root:x:0:0|PATH=\//;

/** Two tenants; one has a title that plays, a session, one that ended, and an upload that has just begun. */
export const openGround = async (scene: HostileScene): Promise<Ground> => {
  const [alice, mallory] = [await newTenant(scene, "alice"), await newTenant(scene, "mallory")];
  const titleId = await newTitle(alice);
  const malloryTitle = await newTitle(mallory);
  await Promise.all([
    upload(scene, alice, { fields: { titleId } }),
    upload(scene, mallory, { fields: { titleId: malloryTitle } }),
  ]);
  const half = { fields: { name: "half" }, bytes: 1_000 };
  const halves = [
    await upload(scene, mallory, half),
    await upload(scene, mallory, half),
    await upload(scene, mallory, half),
  ];
  const aliceHalf = await upload(scene, alice, half);
  await Promise.all([untilPublished(alice, titleId), untilPublished(mallory, malloryTitle)]);
  const { token, hls } = await play(alice, titleId);
  const ended = await play(alice, titleId);
  assert.equal((await alice.api.call("DELETE", `/sessions/${ended.sessionId}`)).status, 200);
  const rung = await (await fetch(hls.replace("master.m3u8", "source.m3u8"))).text();
  const segments = rung.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const [map] = /(?<=#EXT-X-MAP:URI=")[^"]+/.exec(rung) ?? [];
  return {
    scene,
    alice: { ...alice, titleId, token, upload: aliceHalf },
    mallory: { ...mallory, titleId: malloryTitle, token: (await play(mallory, malloryTitle)).token, uploads: halves },
    ended: ended.token,
    files: ["master.m3u8", "source.m3u8", ...segments, ...(map ? [map] : [])],
  };
};

/** What is wrong with an answer; null: nothing. */
const faultOf = (asked: Case, answer: Answered, { folder }: HostileScene): string | null => {
  const { status, head } = answer;
  const body = answer.body.toString("latin1");
  const all = head + body;
  if (answer.isLate) return "no answer in time";
  // Node closes a connection that is asked to be a tunnel.
  const mayClose = asked.isCutShort || asked.method === "CONNECT";
  if (status === null) return mayClose ? null : "closed without an answer";
  if (status >= 500 && !CLIENTS_OWN.test(body)) return `answered ${status}`;
  if (asked.isRefused && status < 400) return `answered ${status}, and should have refused`;
  if (all.includes(CANARY) || SYSTEM_FILE.test(all)) return "shows a file from outside";
  if (asked.of === AROUND && MEDIA.test(body)) return "shows media without a session";
  if (STACK.test(all)) return "shows a stack";
  if (all.includes(folder) || all.includes(REPOSITORY)) return "shows a path of the machine";
  return /^x-injected:/im.test(head) ? "has a field that the client put in" : null;
};

export interface Attack {
  readonly seed: number;
  readonly count: number;
}
export interface Outcome {
  readonly faults: readonly string[];
  /** How many answers of each status; 0: none. */
  readonly statuses: ReadonlyMap<number, number>;
  readonly families: ReadonlyMap<string, number>;
  /** Successes among them. */
  readonly successes: ReadonlyMap<string, number>;
  readonly slowestMs: number;
}

const brief = (text: string): string =>
  JSON.stringify(text.length > 300 ? `${text.slice(0, 300)}…${text.length}` : text);
const shown = (asked: Case, answer: Answered, fault: string): string =>
  `${fault}: ${asked.of}: ${asked.method} ${asked.to}${brief(asked.target)} ` +
  `${brief(asked.fields.map(([name, text]) => `${name}: ${text}`).join("; "))} ${brief(String(asked.body ?? ""))} → ` +
  `${answer.status} ${brief(answer.body.toString("latin1"))}`;

const more = <K>(counts: Map<K, number>, key: K): void => void counts.set(key, (counts.get(key) ?? 0) + 1);

/** Cases are drawn in order, so that a seed says all of them. */
export const attack = async (ground: Ground, { seed, count }: Attack): Promise<Outcome> => {
  const random = seeded(seed);
  const faults: string[] = [];
  const [statuses, families, successes] = [
    new Map<number, number>(),
    new Map<string, number>(),
    new Map<string, number>(),
  ];
  let [left, slowestMs] = [count, 0];
  const lane = async (): Promise<void> => {
    while (left > 0 && faults.length < FAULTS_MAX) {
      left -= 1;
      const asked = caseOf(random, ground);
      const answer = await exchange(asked);
      const fault = faultOf(asked, answer, ground.scene);
      if (fault !== null) faults.push(shown(asked, answer, fault));
      more(statuses, answer.status ?? 0);
      more(families, asked.of);
      if (answer.status !== null && answer.status < 400) more(successes, asked.of);
      slowestMs = Math.max(slowestMs, answer.tookMs);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return { faults, statuses, families, successes, slowestMs: Math.round(slowestMs) };
};

const UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const NAMES = [
  String.raw`\.staging/[0-9a-f]+`,
  String.raw`\.uploads/${UUID}\.${UUID}`,
  String.raw`plexbd-sources/${UUID}/${UUID}[-.\w]*`,
  String.raw`plexbd-(?:segments|thumbnails|trailers)/${UUID}/[-.\w/]+`,
];
const KNOWN = new RegExp(`^(?:${NAMES.join("|")})$`);

export const residentMiB = async ({ node }: HostileScene): Promise<number> => {
  const { stdout } = await promisify(execFile)("ps", ["-o", "rss=", "-p", String(node.child.pid)]);
  return Math.round(Number(stdout) / 1024);
};

/** What was there before still plays, and nothing was written where nothing may be. */
export const assertUnharmed = async ({ scene, alice }: Ground, before: Record<string, string>): Promise<void> => {
  assert.equal(scene.node.child.exitCode, null, "the process lives");
  assert.equal((await fetch(`${scene.gateway}/readyz`)).status, 200);
  assert.deepEqual(await outside(scene), before, "files outside of the roots are as they were");
  const strange = (await objectNames(scene)).filter((name) => !KNOWN.test(name));
  assert.deepEqual(strange, [], "objects have the names that the product gives");
  const root = `${scene.edge}/api/media/~${alice.token}/hls/${alice.titleId}`;
  assert.equal((await fetch(`${root}/master.m3u8`)).status, 200);
  assert.equal((await (await fetch(`${root}/key.1.bin`)).arrayBuffer()).byteLength, 16);
  const { body } = await alice.api.call<{ data: { name: string }[] }>("GET", "/titles");
  assert.deepEqual(body.data.map(({ name }) => name).sort(), ["Metropolis"]);
  const errors = scene.node
    .output()
    .split("\n")
    .filter((line) => /"level":[56]0/.test(line));
  assert.deepEqual(errors.slice(0, 5), [], "nothing in the log is a bug of ours");
};

export const runAttack = async (
  t: Cleaner & { diagnostic(text: string): void },
  ground: Ground,
  { seed, count }: Attack,
): Promise<void> => {
  const before = await outside(ground.scene);
  const warm = Math.floor(count / 4);
  const first = await attack(ground, { seed, count: warm });
  assert.deepEqual(first.faults, []);
  const warmMiB = await residentMiB(ground.scene);
  const second = await attack(ground, { seed: seed + 1, count: count - warm });
  assert.deepEqual(second.faults, []);
  const endMiB = await residentMiB(ground.scene);
  for (const { statuses, successes, slowestMs } of [first, second]) {
    const lines = [...statuses].sort(([a], [b]) => a - b).map(([status, times]) => `${status}: ${times}`);
    t.diagnostic(`${lines.join(", ")}; slowest ${slowestMs} ms; successes ${JSON.stringify([...successes])}`);
  }
  t.diagnostic(`memory ${warmMiB} MiB after ${warm} requests, ${endMiB} MiB after ${count}`);
  assert.ok(endMiB < warmMiB + 300, `memory grew from ${warmMiB} to ${endMiB} MiB`);
  await assertUnharmed(ground, before);
};
