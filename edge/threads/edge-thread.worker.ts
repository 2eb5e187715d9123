/** A thread of the edge: its own part of the cache, and listeners on the ports that all of them share. */
import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../../lib/clock.ts";
import { ConfigError } from "../../lib/config/config-error.ts";
import { makeLog } from "../../lib/log/log.ts";
import { metricsOfThread, showElsewhere } from "../../lib/metrics/metrics.ts";
import { Accounts } from "../analytics/accounts.ts";
import { openStores } from "../cache/open.ts";
import { compileConfig } from "../config/compile.ts";
import type { Sites } from "../config/sites.ts";
import { EdgeNode } from "../node/node.ts";
import { Answers } from "./answers.ts";
import type { Order, Report, ThreadStart } from "./orders.ts";
import { ToldDirectory } from "./told-directory.ts";

/** With the 500 ms of the ledger it stays below the second that a kill may cost. */
const ACCOUNTS_MS = 250;
/** A viewer waits no longer than this for a channel that may be brand new. */
const LOOK_MS = 3_000;
const METRICS_MS = 5_000;

const start = workerData as ThreadStart; // what threads.ts gives
const main = parentPort!; // this file is started as a thread
const say = (report: Report): void => main.postMessage(report);

const nowMs = (): number => performance.now();
const log = makeLog(start.log);
const accounts = new Accounts();
const looks = new Answers<void>(LOOK_MS);
const texts = new Answers<string>(METRICS_MS);
const directory = start.hasDirectory
  ? new ToldDirectory(() => looks.ask((id) => say({ type: "missed", id })).catch(() => {}))
  : null;
showElsewhere(() => texts.ask((id) => say({ type: "metrics", id })));

let readiness = { ready: false, checks: {} };
let sites: Sites | undefined;

const failureOf = (work: Promise<void>): Promise<string | undefined> =>
  work.then(
    () => undefined,
    (failure: unknown) => (failure as Error).message,
  );

const run = async (): Promise<void> => {
  const { disk, purges } = await openStores({ ...start.stores, log, nowMs, clock: systemClock });
  const { config, ports, index } = start;
  const node = new EdgeNode({
    ...{ config, directory, log, nowMs, accounts, disk, purges },
    wallMs: () => Date.now(),
    ready: () => readiness,
    ticketKeys: Buffer.from(start.ticketKeys),
    peers: { ports, index },
  });
  const counting = setInterval(() => {
    const deltas = accounts.take();
    if (deltas.length > 0) say({ type: "accounts", deltas });
  }, ACCOUNTS_MS);

  const close = async (graceMs: number): Promise<void> => {
    clearInterval(counting);
    await node.close(graceMs);
    await Promise.all([disk?.close(), purges.close()]);
    say({ type: "accounts", deltas: accounts.take() });
    say({ type: "closed" });
    main.close();
  };
  const obey = async (order: Order): Promise<void> => {
    switch (order.type) {
      case "listen":
        say({ type: "listening", ...(await node.listen(order)) });
        break;
      case "sites":
        sites = compileConfig(order.config as Parameters<typeof compileConfig>[0], {
          readText: (path) => order.texts.get(path) ?? "",
          ...(sites ? { former: sites } : {}),
        }); // the other thread has checked it
        node.apply(sites);
        break;
      case "snapshot":
        directory?.take(order.snapshot);
        break;
      case "admission":
        node.admit(order.news);
        break;
      case "looked":
        looks.answered(order.id, undefined);
        break;
      case "readiness":
        readiness = order.readiness;
        break;
      case "count":
        say({ type: "counted", id: order.id, metrics: await metricsOfThread() });
        break;
      case "metrics":
        texts.answered(order.id, order.text);
        break;
      case "purge":
        say({ type: "purged", id: order.id, error: await failureOf(node.purge(order.purge)) });
        break;
      case "close":
        await close(order.graceMs);
        break;
    }
  };
  main.on("message", (order: Order) => {
    obey(order).catch((error: Error) => {
      const variable = error instanceof ConfigError ? error.variable : undefined;
      say({ type: "failed", message: error.message, variable });
    });
  });
};

await run();
