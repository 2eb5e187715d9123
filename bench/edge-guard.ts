/** What each request costs besides its answer: the check of its signed URL, and being counted. */
import { createHmac, createSecretKey, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Accounts } from "../edge/analytics/accounts.ts";
import { Ledger } from "../edge/analytics/ledger.ts";
import { Guard } from "../edge/guard/guard.ts";
import { type Signer, signerOf, signToken } from "../edge/guard/sign.ts";
import { systemClock } from "../lib/clock.ts";
import { quietLog } from "../lib/log/log.ts";
import { median, report } from "./report.ts";

const TOKENS = 100_000;
const CHECKS = 200_000;
const ROUNDS = 5;
const HOST = "cdn.acme.example";
const SECRET = Buffer.alloc(32, 7).toString("base64url");
const pair = generateKeyPairSync("ed25519");
const NOW_MS = Date.now();
const MORE_SECONDS = 46_800;

const guard = new Guard(
  [
    { id: "k1", algorithm: "HS256", secret: SECRET },
    { id: "k2", algorithm: "EdDSA", publicKey: pair.publicKey.export({ format: "jwk" }).x ?? "" },
  ],
  { rememberedMax: TOKENS },
);
const tokenOf = (signer: Signer, index: number): string =>
  signToken(signer, {
    host: HOST,
    prefix: "/vod/film-7/",
    expiresSeconds: Math.floor(NOW_MS / 1_000) + MORE_SECONDS + index,
  });

/** Microseconds for each of the paths, asked for in an order that no cache of the processor likes. */
const perCheck = (paths: readonly string[], count: number): number => {
  const startedMs = performance.now();
  for (let index = 0; index < count; index += 1) {
    const path = paths[(index * 7_919) % paths.length] ?? "";
    const verdict = guard.check({ path, query: "", host: HOST, address: "192.0.2.7", nowMs: NOW_MS });
    if (!verdict.ok) throw new Error(`bug: ${verdict.reason}`);
  }
  return ((performance.now() - startedMs) * 1_000) / count;
};
const hmacAlone = (): number => {
  const key = createSecretKey(Buffer.from(SECRET, "base64url"));
  const startedMs = performance.now();
  for (let index = 0; index < CHECKS; index += 1) createHmac("sha256", key).update("x".repeat(90)).digest();
  return ((performance.now() - startedMs) * 1_000) / CHECKS;
};

const pathsOf = (signer: Signer): string[] =>
  Array.from({ length: TOKENS }, (_, index) => `/~${tokenOf(signer, index)}/vod/film-7/720p/${index % 900}.ts`);

const measured = (paths: readonly string[]) => {
  const first = perCheck(paths, TOKENS); // 7,919 is prime: each of them once
  const rounds = Array.from({ length: ROUNDS }, () => perCheck(paths, CHECKS));
  const few = Array.from({ length: ROUNDS }, () => perCheck(paths.slice(0, 1_000), CHECKS));
  return { first, all: median(rounds), few: median(few) };
};
const micros = (value: number): string => `${value.toFixed(2)} µs`;
const hmac = measured(pathsOf(signerOf("k1", SECRET)));
const eddsa = measured(pathsOf({ keyId: "k2", key: pair.privateKey }));
const alone = median(Array.from({ length: ROUNDS }, hmacAlone));

const HOSTNAMES = 10_000;
const COUNTS = 5_000_000;
/** A request; taking the counts of all rows; writing them. */
interface Counting {
  readonly countNs: number;
  readonly takeMs: number;
  readonly flushMs: number;
}
const counting = async (): Promise<Counting> => {
  const dataDir = mkdtempSync(join(tmpdir(), "bench-accounts-"));
  const ledger = await Ledger.open({ dataDir, edge: "bench", clock: systemClock, log: quietLog });
  const accounts = new Accounts();
  const rows = Array.from({ length: HOSTNAMES }, (_, index) =>
    accounts.row({ hostname: `cdn-${index}.example`, customer: `c${index}`, tenant: null }),
  );
  const rounds: Counting[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const startedMs = performance.now();
    for (let index = 0; index < COUNTS; index += 1) {
      rows[index % 100]?.count({ status: 200, sentBytes: 1_500_000, isHit: true, ttfbMs: index % 50 });
    }
    const countNs = ((performance.now() - startedMs) * 1e6) / COUNTS;
    for (const row of rows) row.countOrigin(1, 1);
    const takeAtMs = performance.now();
    const taken = accounts.take();
    const takenAtMs = performance.now();
    ledger.merge(taken);
    await ledger.flush();
    rounds.push({ countNs, takeMs: takenAtMs - takeAtMs, flushMs: performance.now() - takenAtMs });
  }
  await ledger.close();
  rmSync(dataDir, { recursive: true });
  const of = (name: keyof Counting): number => median(rounds.map((one) => one[name]));
  return { countNs: of("countNs"), takeMs: of("takeMs"), flushMs: of("flushMs") };
};
const counted = await counting();
report("Signed URLs and accounting", [
  { what: "HS256, first check of a token", value: micros(hmac.first), against: `HMAC-SHA256 alone ${micros(alone)}` },
  { what: "HS256, 1,000 tokens known", value: micros(hmac.few) },
  { what: "Ed25519, first check of a token", value: micros(eddsa.first) },
  { what: "Ed25519, 1,000 tokens known", value: micros(eddsa.few), goal: "about 1 µs" },
  { what: "Ed25519, 100,000 tokens known", value: micros(eddsa.all), goal: "about 1 µs" },
  { what: "counting a request", value: `${counted.countNs.toFixed(0)} ns`, goal: "about 16 ns" },
  { what: `taking the counts of ${HOSTNAMES} hostnames`, value: `${counted.takeMs.toFixed(1)} ms` },
  {
    what: `writing and syncing ${HOSTNAMES} rows`,
    value: `${counted.flushMs.toFixed(1)} ms`,
    against: "twice a second",
  },
]);
