/** A process of its own that takes facts and hangs: `database url, then "pg" or "jetstream", NATS url, prefix`. */
import { openDatabase } from "../db/database.ts";
import { quietLog } from "../log/log.ts";
import { jetStreamEvents, pgEvents } from "./events.ts";
import { happened } from "./suite-facts.ts";

const [url = "", carrier = "pg", natsUrl = "", prefix = ""] = process.argv.slice(2);
const db = openDatabase({ url, applicationName: "event worker" });
const policy = { silenceMs: 3_000 };
const common = { db, log: quietLog, policy };
const bus = carrier === "pg" ? pgEvents(common) : jetStreamEvents({ ...common, natsUrl, prefix });
await bus.subscribe("reader", [happened], async (event) => {
  process.stdout.write(`took ${event.payload.n}\n`);
  await new Promise(() => {});
});
await bus.start();
process.stdout.write("ready\n");
