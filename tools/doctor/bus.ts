/** NATS: reachable, with JetStream, and its clock. */
import { randomUUID } from "node:crypto";
import { connect, type NatsConnection, StorageType } from "nats";
import type { Settings } from "../../lib/config/config.ts";
import { judgeClock, offsetOf } from "./clock.ts";
import { bad, type Finding, inTime, ok, reasonOf } from "./finding.ts";

/** A message through a stream of its own proves JetStream, and its time stamp is the server's clock. */
const throughStream = async (bus: NatsConnection): Promise<Finding> => {
  const manager = await bus.jetstreamManager();
  const name = `doctor-${randomUUID()}`;
  await manager.streams.add({ name, subjects: [name], storage: StorageType.Memory, max_bytes: 65_536 });
  try {
    const before = Date.now();
    const { seq } = await bus.jetstream().publish(name, "tick");
    const after = Date.now();
    const message = await manager.streams.getMessage(name, { seq });
    return judgeClock("NATS", offsetOf(before, message.time.getTime(), after), after - before);
  } finally {
    await manager.streams.delete(name);
  }
};

/** Nothing to say where there is no bus. */
export const checkBus = async (settings: Settings): Promise<Finding[]> => {
  if (settings.natsUrl === null) return [];
  let bus: NatsConnection;
  try {
    bus = await inTime(connect({ servers: settings.natsUrl, timeout: 4_000, reconnect: false }));
  } catch (error) {
    const todo = "Check NATS_URL and that the server runs.";
    return [bad("NATS", `no connection: ${reasonOf(error)}`, todo)];
  }
  const version = bus.info?.version ?? "of unknown version";
  try {
    const clock = await inTime(throughStream(bus));
    return [ok("NATS", `${version} with JetStream`), clock];
  } catch (error) {
    return [bad("NATS", `${version}, but JetStream fails: ${reasonOf(error)}`, "Start nats-server with -js.")];
  } finally {
    await inTime(bus.close()).catch(() => {});
  }
};
