/** docs/edge.md: what an operator pastes from it is right, and it has a word on everything that can be said. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { z } from "zod";
import { EdgeConfig } from "../contracts/edge-config.ts";
import { ERRORS } from "../contracts/errors.ts";
import { pemIn } from "../edge/config/config.fixture.ts";
import { checkConfigFile, loadConfigFile } from "../edge/config/config-file.ts";
import { EDGE_VARIABLES } from "../lib/config/edge-variables.ts";
import { VARIABLES } from "../lib/config/variables.ts";
import { textOf } from "../tools/source/source.ts";
import { noOpenssl } from "./support/certificate.ts";
import { tempDir } from "./support/platform.ts";

const page = textOf("docs/edge.md");
const blocks = (language: string): string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(([, text = ""]) => text);

/** Names of all fields of a schema, however deep. */
const fieldsOf = (schema: unknown, names: Set<string> = new Set()): Set<string> => {
  if (typeof schema !== "object" || schema === null) return names;
  for (const [name, value] of Object.entries(schema)) {
    if (name === "properties") for (const field of Object.keys(value)) names.add(field);
    fieldsOf(value, names);
  }
  return names;
};

describe("docs/edge.md", () => {
  test("has configurations that an edge starts with as they are", async (t) => {
    const dir = await tempDir(t);
    const texts = blocks("json");
    assert.ok(texts.length >= 3);
    for (const [index, text] of texts.entries()) {
      const { certFile, keyFile } = noOpenssl ? { certFile: "", keyFile: "" } : pemIn(dir, `site-${index}`);
      const path = join(dir, `edge-${index}.json`);
      const own = text.replace("/etc/castellan/acme.crt", certFile).replace("/etc/castellan/acme.key", keyFile);
      if (noOpenssl && own !== text) continue;
      writeFileSync(path, own);
      assert.deepEqual(checkConfigFile(path), [], text);
    }
  });

  test("begins with one that answers every host", async (t) => {
    const path = join(await tempDir(t), "edge.json");
    writeFileSync(path, blocks("json")[0] ?? "");
    const site = loadConfigFile(path).find("localhost");
    assert.deepEqual(
      site?.origins.map((origin) => origin.kind === "http" && origin.url),
      ["http://127.0.0.1:9000"],
    );
    assert.match(page, /python3 -m http\.server 9000 --bind 127\.0\.0\.1/);
  });

  test("names every field of edge.json, and every value that one can be chosen from", () => {
    const schema = z.toJSONSchema(EdgeConfig, { unrepresentable: "any" });
    const fields = fieldsOf(schema);
    assert.ok(fields.has("staleWhileRevalidate") && fields.has("knownHostsFile"));
    const isNamed = (name: string): boolean => new RegExp(`[\`".]${name}[\`"[(]`).test(page);
    assert.deepEqual(
      [...fields].filter((name) => !isNamed(name)),
      [],
    );
    const values = [...JSON.stringify(schema).matchAll(/"enum":\[([^\]]*)\]/g)].flatMap(([, list = ""]) =>
      list.split(",").map((value) => value.replaceAll('"', "")),
    );
    assert.ok(values.includes("packager"));
    assert.deepEqual(
      values.filter((value) => !isNamed(value)),
      [],
    );
  });

  test("names variables and errors that there are", () => {
    const known = new Set<string>(Object.values(VARIABLES).map(({ env }) => env));
    const named = [...page.matchAll(/\b(?:EDGE|ALLOW|NATS|DATA|HEALTH|NODE)_[A-Z_]+\b/g)].map(([name]) => name);
    const codes = [...page.matchAll(/[45]\d\d `([A-Z_]+)`/g)].map(([, code = ""]) => code);
    assert.ok(named.length > 20 && codes.length > 5);
    assert.deepEqual(
      named.filter((name) => !known.has(name) && !(name in ERRORS)),
      [],
    );
    assert.deepEqual(
      codes.filter((code) => !(code in ERRORS)),
      [],
    );
  });

  test("says what each variable of the edge is for, or leads to where it is said", () => {
    const elsewhere = ["EDGE_PORT", "EDGE_PUBLIC_URL"];
    assert.deepEqual(
      Object.values(EDGE_VARIABLES)
        .map(({ env }) => env)
        .filter((name) => !elsewhere.includes(name) && !page.includes(name)),
      [],
    );
  });
});
