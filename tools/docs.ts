/** `npm run docs` writes the generated pages; `npm run docs -- --check` only says whether they are up to date. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { generatedPages, stalePages } from "./docs/pages.ts";
import { ROOT } from "./source/source.ts";

const stale = await stalePages();
if (process.argv.includes("--check")) {
  for (const file of stale) process.stdout.write(`${file} is not up to date: run npm run docs\n`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  const pages = await generatedPages();
  for (const file of stale) writeFileSync(join(ROOT, file), pages.get(file) ?? "");
  process.stdout.write(stale.length > 0 ? `written: ${stale.join(", ")}\n` : "all pages are up to date\n");
}
