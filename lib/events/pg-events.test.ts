import { quietLog } from "../log/log.ts";
import { pgEvents } from "./events.ts";
import { eventBusSuite } from "./suite.ts";

eventBusSuite("pgEvents", async () => ({
  bus: (db, policy) => pgEvents({ db, log: quietLog, policy }),
  workerArguments: () => ["pg"],
  keys: ["a", "b"],
}));
