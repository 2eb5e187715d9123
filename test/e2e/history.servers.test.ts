import { test } from "node:test";
import { missingServers } from "../support/cluster.ts";
import { failoverRounds } from "../support/rounds.ts";

const skip = (await missingServers()) ?? false;

test("no write or command of an old epoch is accepted over rounds of kills and freezes", { skip }, async (t) => {
  await failoverRounds(t, { count: 3, seed: 2 });
});
