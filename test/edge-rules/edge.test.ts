import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { edgeTarget } from "./edge-target.ts";
import { runScript } from "./run.ts";
import { parseScript } from "./script.ts";

const DIR = join(import.meta.dirname, "scripts");

describe("the edge holds the rule", () => {
  for (const file of readdirSync(DIR).sort()) {
    const path = join(DIR, file);
    test(`${file}: ${parseScript(readFileSync(path, "utf8")).title}`, () => runScript(path, edgeTarget));
  }
});
