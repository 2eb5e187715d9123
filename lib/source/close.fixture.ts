/** Opens the source that its argument describes, uses it, closes it, and has nothing left that would keep it alive. */
import { quietLog } from "../log/log.ts";
import { openSource } from "./open.ts";
import type { SourceSettings } from "./settings.ts";

const { settings, path, file } = JSON.parse(process.argv[2] ?? "") as {
  settings: SourceSettings;
  path: string;
  file: string;
};
const source = await openSource(settings, { log: quietLog });
await source.stat(path);
const object = await source.open(path);
if (!object.wholeOnly) await object.readRange(0, new Uint8Array(Math.min(object.stat.sizeBytes, 100_000)));
await source.fetchTo(path, file);
if (source.capabilities.list) for await (const _ of source.list("")) break;
await source.close();
process.stdout.write("closed\n");
