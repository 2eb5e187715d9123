/**
 * Finishing an upload where the object store is an S3 server: composed by the server, against its bytes read and put
 * again by the node: `node bench/finish.ts [MiB]`. The server is s3proxy on this machine, on the same disk.
 */

import { Readable } from "node:stream";
import { PartStaging } from "../actors/upload/part-staging.ts";
import { quietLog } from "../lib/log/log.ts";
import { openObjects } from "../lib/objects/open.ts";
import type { ObjectStore } from "../lib/objects/port.ts";
import { requestGate } from "../test/support/request-gate.ts";
import { S3_KEYS, startS3 } from "../test/support/servers-s3.ts";
import { median, report } from "./report.ts";

const MiB = 1024 * 1024;
const ROUNDS = 3;
const PLACE = { tenantId: "tenant", uploadId: "upload" };
const TO = { bucket: "sources", key: "tenant/upload" } as const;

const cleaners: (() => void | Promise<void>)[] = [];
const cleaner = { after: (clean: () => void | Promise<void>) => void cleaners.unshift(clean) };

async function* filmOf(sizeMiB: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < sizeMiB; at += 1) yield Buffer.alloc(MiB, at);
}

/** What every byte of an upload would do without the server's help. */
const putAgain = async (objects: ObjectStore): Promise<void> => {
  const bytes = async function* (): AsyncGenerator<Buffer> {
    for await (const { key } of objects.list("sources", { prefix: `${TO.key}.parts/` })) {
      yield* (await objects.get({ bucket: "sources", key })).body;
    }
  };
  await objects.put(TO, Readable.from(bytes()));
};

const main = async (sizeMiB: number): Promise<void> => {
  const { port } = await startS3(cleaner, "s3proxy");
  const gate = await requestGate(port);
  cleaner.after(() => gate.close());
  const account = { region: "us-east-1", credentials: S3_KEYS, pathStyle: true, bucketPrefix: "bench" };
  const objects = await openObjects(
    { kind: "s3", endpoint: `http://127.0.0.1:${gate.port}`, ...account },
    { log: quietLog },
  );
  cleaner.after(() => objects.close());
  await objects.ping();
  const staging = new PartStaging(objects);
  await staging.write({ place: PLACE, offset: 0, body: filmOf(sizeMiB), kept: async () => {} });
  const measured = async (work: () => Promise<unknown>) => {
    gate.sent.bytes = 0;
    const began = performance.now();
    await work();
    const seconds = (performance.now() - began) / 1e3;
    await objects.delete(TO.bucket, [TO.key]);
    return { seconds, sentMiB: gate.sent.bytes / MiB };
  };
  const finishing = { place: PLACE, to: TO, sizeBytes: sizeMiB * MiB, signal: new AbortController().signal };
  type Measured = Awaited<ReturnType<typeof measured>>;
  const composed: Measured[] = [];
  const again: Measured[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    again.push(await measured(() => putAgain(objects)));
    composed.push(await measured(() => staging.finish(finishing)));
  }
  const text = (rounds: readonly Measured[]) =>
    `${median(rounds.map(({ seconds }) => seconds)).toFixed(2)} s, ${median(rounds.map(({ sentMiB }) => sentMiB)).toFixed(1)} MiB sent`;
  const ratio = median(again.map(({ seconds }, round) => seconds / (composed[round]?.seconds ?? 1)));
  report("Uploads: the end of one that lies in S3 as parts", [
    {
      what: `${sizeMiB} MiB, the median of ${ROUNDS} rounds`,
      value: `${text(composed)} (${ratio.toFixed(1)}× as fast)`,
      against: `read and put again: ${text(again)}`,
    },
  ]);
};

try {
  await main(Number(process.argv[2] ?? 256));
} finally {
  for (const clean of cleaners) await clean();
}
