/** The generated pages, and whether those on disk are what would be generated now. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../source/source.ts";
import { asksPage } from "./asks.ts";
import { configurationPage } from "./configuration.ts";
import { errorsPage } from "./errors.ts";

/** Path from the root → text. */
export const generatedPages = async (): Promise<ReadonlyMap<string, string>> =>
  new Map([
    ["docs/configuration.md", configurationPage()],
    ["docs/errors.md", errorsPage()],
    ["docs/asks.md", await asksPage()],
  ]);

/** The pages that differ from what is on disk. */
export const stalePages = async (): Promise<string[]> =>
  [...(await generatedPages())]
    .filter(([file, text]) => {
      const at = join(ROOT, file);
      return !existsSync(at) || readFileSync(at, "utf8") !== text;
    })
    .map(([file]) => file);
