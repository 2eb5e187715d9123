import { join } from "node:path";
import { describe, test } from "node:test";
import { missingPrograms } from "../support/server-process.ts";
import { nginxTarget } from "./nginx-target.ts";
import { runScript } from "./run.ts";

/**
 * Where nginx does as the RFCs say, and no clock is moved: there the scripts and their runner can't be of our making.
 */
const AGREED = [
  ...["authorization-shared", "chunked", "chunked-cut", "client-if-none-match", "collapse", "collapse-vary"],
  ...["cookie-in-request", "cut-is-not-whole", "freshness-expires-invalid", "freshness-invalid-max-age"],
  ...["freshness-none", "freshness-statuses", "head-then-get", "hop-by-hop-control", "method-options"],
  ...["method-post-not-stored", "no-store", "pipelined", "private", "query-in-key", "range-attack", "range-ignored"],
  ...["range-of-404", "range-only-get", "range-several", "set-cookie", "smuggle-host", "smuggle-length", "vary"],
  ...["vary-bounded", "vary-two"],
];

describe("nginx holds the rule", { skip: missingPrograms("nginx") }, () => {
  for (const name of AGREED) {
    test(name, () => runScript(join(import.meta.dirname, "scripts", `${name}.http`), nginxTarget));
  }
});
