/** Puts an object that is larger than this process may write, in each way, and tells how that ended. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { codeOf } from "../../contracts/errors.ts";
import { quietLog } from "../log/log.ts";
import { bytesOf } from "../source/suite-stage.ts";
import { openObjects } from "./open.ts";
import { STAGING } from "./staging.ts";

const { root, file, bytes } = JSON.parse(process.argv[2] ?? "") as { root: string; file: string; bytes: number };
const store = await openObjects({ kind: "filesystem", root, bucketPrefix: "test" }, { log: quietLog });
const name = { bucket: "segments", key: "a/large" } as const;
const told = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "put",
    (error: unknown) => codeOf(error) ?? String(error),
  );
const ended = [
  await told(store.put(name, bytesOf(1, bytes))),
  await told(store.put(name, Readable.from([bytesOf(1, bytes)]))),
  await told(store.putFile(name, file)),
  await told(store.put({ ...name, key: "a/small" }, bytesOf(1, 1000))),
];
process.stdout.write(JSON.stringify({ ended, staged: await readdir(join(root, STAGING)) }));
await store.close();
