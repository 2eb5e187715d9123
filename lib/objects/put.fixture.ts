/** Puts one version after the other under one key until it is killed; a line tells of each that is kept. */
import { Readable } from "node:stream";
import { versionBytes } from "../../test/support/object-kills.ts";
import { quietLog } from "../log/log.ts";
import { openObjects } from "./open.ts";

const { root, from } = JSON.parse(process.argv[2] ?? "") as { root: string; from: number };
const store = await openObjects({ kind: "filesystem", root, bucketPrefix: "test" }, { log: quietLog });
process.stdout.write("begun\n");
for (let version = from; ; version += 1) {
  const bytes = versionBytes(version);
  const body = version % 2 === 0 ? bytes : Readable.from([bytes.subarray(0, 100_000), bytes.subarray(100_000)]);
  await store.put({ bucket: "segments", key: "title/rung.mp4" }, body);
  process.stdout.write(`${version}\n`);
}
