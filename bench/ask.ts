/**
 * An ask through the contract layer over NATS against a bare broker call, in turns in the same run: two processes, the
 * product's broker options. Needs NATS (TEST_NATS_URL, default nats://127.0.0.1:4222).
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { ServiceBroker } from "moleculer";
import { z } from "zod";
import { ask } from "../contracts/kit.ts";
import { brokerOptions } from "../lib/actor/broker.ts";
import { answer, send } from "../lib/actor/contract.ts";
import { quietLog } from "../lib/log/log.ts";
import { median, report } from "./report.ts";

const NATS_URL = process.env.TEST_NATS_URL ?? "nats://127.0.0.1:4222";
const CALLS = 4_000;
const ROUNDS = 7;

const Body = z.object({
  channelId: z.int().positive(),
  name: z.string().max(200),
  ingestConfig: z.looseObject({ url: z.string(), chunkDuration: z.string() }),
  origins: z.array(z.object({ streamerId: z.int(), ingestUrl: z.string() })),
});
const echo = ask("bench.echo", { input: Body, result: Body, deadlineMs: 5_000, errors: [] });
const PARAMS = {
  channelId: 7,
  name: "BBC World",
  ingestConfig: { url: "udp://239.0.21.41:5000", chunkDuration: "4000ms" },
  origins: [{ streamerId: 1, ingestUrl: "udp://239.0.21.41:5000?fifo_size=50000" }],
};

const brokerOf = (nodeId: string, namespace: string): ServiceBroker =>
  new ServiceBroker(brokerOptions({ nodeId, namespace, natsUrl: NATS_URL }, quietLog));

const serve = async (namespace: string): Promise<void> => {
  const broker = brokerOf("callee", namespace);
  broker.createService({
    name: "bench",
    actions: {
      echo: answer(echo, (input) => input),
      bare: { visibility: "public", handler: (call: { params: unknown }) => call.params },
    },
  });
  await broker.start();
  process.on("disconnect", () => void broker.stop().then(() => process.exit(0)));
};

const rate = async (concurrency: number, call: () => Promise<unknown>): Promise<number> => {
  const startedAt = performance.now();
  let left = CALLS;
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (left-- > 0) await call();
    }),
  );
  return CALLS / ((performance.now() - startedAt) / 1e3);
};

const measure = async (broker: ServiceBroker, concurrency: number) => {
  const meta = { tenantId: "018f0000-0000-7000-8000-000000000000", tenant: "default", requestId: "bench" };
  const viaAsk = () => send(broker, echo, PARAMS, meta);
  const viaCall = () => broker.call("bench.bare", PARAMS, { meta, timeout: 5_000 });
  await rate(concurrency, viaAsk);
  await rate(concurrency, viaCall);
  const asks: number[] = [];
  const calls: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    asks.push(await rate(concurrency, viaAsk));
    calls.push(await rate(concurrency, viaCall));
  }
  return { asks: median(asks), calls: median(calls), ratio: median(asks.map((a, i) => a / (calls[i] ?? a))) };
};

const main = async (): Promise<void> => {
  const namespace = `bench${process.pid}`;
  const child = spawn(process.execPath, [import.meta.filename, namespace], { stdio: ["ignore", 1, 2, "ipc"] });
  const broker = brokerOf("caller", namespace);
  await broker.start();
  await broker.waitForServices(["bench"], 15_000);
  const rows = [];
  for (const concurrency of [1, 16, 128]) {
    const { asks, calls, ratio } = await measure(broker, concurrency);
    rows.push({
      what: `ask over NATS, ${concurrency} at once`,
      value: `${Math.round(asks)}/s`,
      against: `bare broker call ${Math.round(calls)}/s: ${ratio.toFixed(2)}×`,
      goal: "≥ 0.7×",
    });
  }
  await broker.stop();
  child.disconnect();
  await once(child, "exit");
  report("Ask through the contract layer", rows);
};

const namespace = process.argv[2];
if (namespace) await serve(namespace);
else await main();
