import assert from "node:assert/strict";
import test from "node:test";
import pino from "pino";
import { openSource } from "./open.ts";
import { parseListing, rsyncCommand } from "./rsync-run.ts";
import type { RsyncSettings } from "./settings.ts";

const SETTINGS: RsyncSettings = {
  kind: "rsync",
  host: "media.example",
  port: 2222,
  user: "viewer",
  password: "s3cret",
  keyFile: "/keys/my key",
  passphrase: null,
  knownHostsFile: "/keys/known",
  module: null,
  path: "/srv/media",
};
const RUN = { path: "a/[x]*.mp4", connectTimeoutMs: 2_500 };

test("over SSH the program asks nobody anything and takes no unknown server", () => {
  const { args, env, path } = rsyncCommand(SETTINGS, { ...RUN, into: null });
  assert.deepEqual(args, [
    "--no-motd",
    "--secluded-args",
    "--files-from=-",
    "--from0",
    "--no-relative",
    "--copy-links",
    "--list-only",
    "--no-human-readable",
    "--8-bit-output",
    "-e",
    "ssh -p 2222 -l viewer -i '/keys/my key' -o BatchMode=yes -o StrictHostKeyChecking=yes" +
      " -o UserKnownHostsFile=/keys/known -o GlobalKnownHostsFile=/dev/null -o UpdateHostKeys=no" +
      " -o IdentitiesOnly=yes -o ConnectTimeout=3 -o ServerAliveInterval=10",
    "--",
    "media.example:/srv/media/",
    ".",
  ]);
  assert.equal(path, "a/[x]*.mp4", "it goes through the program's input");
  assert.equal(env.RSYNC_PASSWORD, undefined);
});

test("of a daemon the password is in the environment, and the path begins at the module", () => {
  const { args, env, path } = rsyncCommand({ ...SETTINGS, module: "media", host: "::1" }, { ...RUN, into: "/cache/x" });
  assert.deepEqual(args.slice(-7), [
    "--copy-links",
    "--times",
    "--info=progress2",
    "--port=2222",
    "--",
    "viewer@[::1]::media/",
    "/cache/x",
  ]);
  assert.doesNotMatch(args.join(" "), /s3cret/);
  assert.deepEqual([env.RSYNC_PASSWORD, path], ["s3cret", "srv/media/a/[x]*.mp4"]);
});

test("the root of the server, of a login and of a module are places too", () => {
  const from = (settings: Partial<RsyncSettings>) =>
    rsyncCommand({ ...SETTINGS, ...settings }, { ...RUN, into: null }).args.at(-2);
  assert.equal(from({ path: "/" }), "media.example:/");
  assert.equal(from({ path: "" }), "media.example:./");
  assert.equal(from({ path: "media/" }), "media.example:media/");
  const { path } = rsyncCommand({ ...SETTINGS, module: "m", path: "/" }, { ...RUN, into: null });
  assert.equal(path, "a/[x]*.mp4");
});

test("a listing is read with its sizes, times in UTC and odd names", () => {
  const text = `receiving file list ... done
drwxr-xr-x        4096 2026/11/21 17:50:36 .
-rw-r--r--  5000000000 2026/11/21 17:50:36  two  words
-rw-r--r--           1 1999/01/02 03:04:05 tab\\#011 and \\#134#012
lrwxrwxrwx           1 1999/01/02 03:04:05 link -> a
nonsense
`;
  const listed = parseListing(text).map(({ name, kind, stat }) => [name, kind, stat.sizeBytes, stat.modifiedMs]);
  const time = Date.UTC(1999, 0, 2, 3, 4, 5);
  assert.deepEqual(listed, [
    [".", "folder", 4096, Date.UTC(2026, 10, 21, 17, 50, 36)],
    [" two  words", "file", 5_000_000_000, Date.UTC(2026, 10, 21, 17, 50, 36)],
    ["tab\t and \\#012", "file", 1, time],
    ["link -> a", "other", 1, time],
  ]);
});

test("without the program on the PATH the source fails, and the log says what is missing", async (t) => {
  const { PATH } = process.env;
  t.after(() => {
    process.env.PATH = PATH;
  });
  process.env.PATH = import.meta.dirname;
  const lines: string[] = [];
  const source = await openSource(SETTINGS, { log: pino({}, { write: (line: string) => void lines.push(line) }) });
  await assert.rejects(source.stat("a"), { code: "SOURCE_FAILED" });
  await source.close();
  assert.match(lines.join(""), /the program rsync is not on the PATH/);
});
