import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parseEnv } from "node:util";
import { parse } from "yaml";
import { readSettings } from "../../lib/config/config.ts";
import { tempDir } from "../../test/support/platform.ts";
import { textOf } from "../source/source.ts";
import { namesIn, Unwritable, withVariables } from "./env-file.ts";

const START = join(import.meta.dirname, "..", "..", "start.mjs");

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the wizard in a folder; each answer is a line. */
const wizard = async (dir: string, args: readonly string[], answers: readonly string[] = []): Promise<Ended> => {
  const child = spawn(process.execPath, [START, "setup", ...args], {
    cwd: dir,
    env: { PATH: process.env.PATH, HOME: "/home/op" },
    timeout: 30_000,
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  child.stdin.on("error", () => {}); // one that asks nothing leaves the answers unread
  child.stdin.end(answers.map((answer) => `${answer}\n`).join(""));
  const [status] = (await once(child, "close")) as [number];
  return { status, stdout, stderr };
};
const written = (dir: string): NodeJS.Dict<string> => parseEnv(readFileSync(join(dir, ".env"), "utf8"));
const folder = (t: TestContext): Promise<string> => tempDir(t);

test("answers that are piped in become the .env that Compose and a start read", async (t) => {
  const dir = await folder(t);
  const { status, stdout } = await wizard(dir, [], ["", dir, "y", "https://video.example.net", "8000"]);
  assert.equal(status, 0);
  assert.deepEqual(
    { ...written(dir) },
    {
      HOST_VIDEO_PATH: dir,
      CASTERPAK_FILESYSTEM_VIDEOPARENTPATH: dir,
      APP_PORT: "8000",
      PACKAGER_PORT: "8000",
      CASTERPAK_INPUT_INPUT_TYPE: "filesystem",
      CASTERPAK_FILESYSTEM_CACHE_INPUT: "True",
      CASTERPAK_OUTPUT_SERVERNAME: "video.example.net",
      CASTERPAK_OUTPUT_USE_HTTPS: "True",
    },
  );
  assert.equal(statSync(join(dir, ".env")).mode & 0o777, 0o600);
  assert.match(stdout, /docker compose --project-directory \. -f deploy\/compose\.packager\.yml up/);
  assert.match(stdout, /http:\/\/localhost:8000\/i\/<file>\.mp4\/master\.m3u8/);
  const { packager } = readSettings({ ROLES: "packager", ...written(dir) }, false);
  assert.deepEqual([packager?.port, packager?.serverName, packager?.useHttps], [8000, "video.example.net", true]);
  assert.deepEqual([packager?.source, packager?.inputCache.on], [{ kind: "filesystem", root: dir }, true]);
});

test("the compose files take what was written", () => {
  for (const file of ["docker-compose.yml", "deploy/compose.packager.yml"]) {
    const { services } = parse(textOf(file), { merge: true }) as {
      services: { packager: { env_file: unknown; ports: string[]; volumes: string[] } };
    };
    const { env_file, ports, volumes } = services.packager;
    assert.deepEqual(env_file, [{ path: ".env", required: false }], file);
    assert.match(ports.join(), /^\$\{APP_PORT:-5000\}:5000$/);
    assert.match(volumes.join(), /\$\{HOST_VIDEO_PATH:-\.\/videos\}:\/mnt\/data\/videos:ro/);
  }
});

test("an answer that can't be is asked for again, in the words of what it takes", async (t) => {
  const dir = await folder(t);
  const answers = [
    "gopher",
    "http",
    "",
    "not a url",
    "http://files.example.net/v",
    "perhaps",
    "n",
    "a b",
    "",
    "99999",
    "",
  ];
  const { status, stdout } = await wizard(dir, [], answers);
  assert.equal(status, 0);
  assert.equal(stdout.match(/That is not /g)?.length, 6, stdout);
  assert.match(stdout, /That is not one of filesystem, http, s3/);
  assert.deepEqual(
    { ...written(dir) },
    {
      APP_PORT: "5000",
      PACKAGER_PORT: "5000",
      CASTERPAK_INPUT_INPUT_TYPE: "http",
      CASTERPAK_HTTP_URL: "http://files.example.net/v",
      CASTERPAK_HTTP_CACHE_INPUT: "False",
    },
  );
});

test("every input type is asked for what it needs, and what it needs makes a configuration", async (t) => {
  const cases: Record<string, string[]> = {
    s3: ["films", "http://s3.lan:9000", "eu-west-1", "AK", "its 100% $ecret", "n"],
    ftp: ["ftp.lan", "bob", "pw d", "/films", "y"],
    sftp: ["sftp.lan", "bob", "", "/keys/id", "/films", "n"],
    scp: ["scp.lan", "bob", "", "/keys/id", "/films"],
    rsync: ["rsync.lan", "films", "bob", "", "", "/"],
  };
  for (const [type, answers] of Object.entries(cases)) {
    const dir = await folder(t);
    const { status, stderr } = await wizard(dir, [], [type, ...answers, "", ""]);
    assert.equal(status, 0, `${type}: ${stderr}`);
    const { packager, warnings } = readSettings({ ROLES: "packager", ...written(dir) }, false);
    assert.equal(packager?.source.kind, type);
    assert.deepEqual(warnings, []);
    if (packager?.source.kind === "s3") assert.equal(packager.source.credentials?.secretAccessKey, "its 100% $ecret");
    if (packager?.source.kind === "ftp") assert.equal(packager.source.password, "pw d");
  }
});

test("flags answer without a question, and --yes takes the defaults for the rest", async (t) => {
  const dir = await folder(t);
  const { status, stdout } = await wizard(dir, ["--yes", "--path", "videos", "--cache", "--port=5001"]);
  assert.equal(status, 0);
  assert.doesNotMatch(stdout, /\?|: $/m, "nothing is asked");
  assert.match(stdout, /videos is no folder yet/);
  const { HOST_VIDEO_PATH, APP_PORT, CASTERPAK_FILESYSTEM_CACHE_INPUT } = written(dir);
  assert.deepEqual(
    [HOST_VIDEO_PATH, APP_PORT, CASTERPAK_FILESYSTEM_CACHE_INPUT],
    [join(dir, "videos"), "5001", "True"],
  );
  assert.equal(written(dir).CASTERPAK_OUTPUT_SERVERNAME, undefined);
});

test("a flag that can't be, is missing or means nothing stops it with 64 and writes nothing", async (t) => {
  const dir = await folder(t);
  const cases: [args: string[], says: RegExp][] = [
    [["--yes", "--type", "gopher"], /--type: that is not one of/],
    [["--yes", "--type", "http"], /--url is needed/],
    [["--yes", "--bucket", "films"], /--bucket means nothing with input type filesystem/],
    [["--yes", "--colour", "red"], /--colour/],
    [["surplus"], /surplus/],
  ];
  for (const [args, says] of cases) {
    const { status, stderr } = await wizard(dir, args);
    assert.equal(status, 64, args.join(" "));
    assert.match(stderr, says);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
    assert.throws(() => written(dir));
  }
});

test("what is there is replaced only when that is said, and lines of others stay", async (t) => {
  const dir = await folder(t);
  const before =
    "# mine\nPOSTGRES_PASSWORD=pw\nAPP_PORT=7000\nCASTERPAK_FTP_HOST=old\nCASTERPAK_OUTPUT_SEGMENTDURATION=4\n";
  writeFileSync(join(dir, ".env"), before);
  const unchanged = () => assert.equal(readFileSync(join(dir, ".env"), "utf8"), before);
  assert.equal((await wizard(dir, ["--yes", "--path", dir])).status, 1);
  unchanged();
  assert.equal((await wizard(dir, ["--path", dir], ["n"])).status, 1);
  unchanged();
  assert.match((await wizard(dir, [], ["y", "filesystem"])).stderr, /ended too early; nothing was written/);
  unchanged();
  assert.equal((await wizard(dir, ["--yes", "--force", "--path", dir])).status, 0);
  const text = readFileSync(join(dir, ".env"), "utf8");
  assert.match(text, /^# mine\nPOSTGRES_PASSWORD=pw\nCASTERPAK_OUTPUT_SEGMENTDURATION=4\nHOST_VIDEO_PATH=/);
  assert.deepEqual([written(dir).APP_PORT, written(dir).CASTERPAK_FTP_HOST], ["5000", undefined]);
  assert.equal((await wizard(dir, ["--path", dir], ["yes", "", "", "", ""])).status, 0, "asked first, then replaced");
});

test("a file of others' settings alone is added to without a question", async (t) => {
  const dir = await folder(t);
  writeFileSync(join(dir, ".env"), "POSTGRES_PASSWORD=pw");
  assert.equal((await wizard(dir, ["--yes", "--path", dir])).status, 0);
  assert.deepEqual([written(dir).POSTGRES_PASSWORD, written(dir).HOST_VIDEO_PATH], ["pw", dir]);
});

test("--help says what there is", async (t) => {
  const { status, stdout } = await wizard(await folder(t), ["--help"]);
  assert.equal(status, 0);
  for (const flag of ["--yes", "--force", "--type", "--path", "--cache", "--server-name", "--port"]) {
    assert.ok(stdout.includes(flag), flag);
  }
});

test("a start and the other commands take the file with --env, and a file that is not there is one line", async (t) => {
  const dir = await folder(t);
  const run = async (file: string, ...command: string[]): Promise<Ended> => {
    const child = spawn(process.execPath, [START, ...command, "--env", file], { cwd: dir, timeout: 30_000 });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    const [status] = (await once(child, "close")) as [number];
    return { status, stdout, stderr };
  };
  assert.match((await run("nothing.env")).stderr, /^castellan: --env nothing\.env: [^\n]+\n$/);
  writeFileSync(join(dir, ".env"), "PACKAGER_PORT=none\n");
  const { status, stderr } = await run(".env");
  assert.deepEqual([status, stderr.split(":")[1]?.trim()], [64, "PACKAGER_PORT"], "its variables count");
  assert.match((await run(".env", "packager", "stat")).stderr, /^packager: PACKAGER_PORT: /);
  assert.match((await run(".env", "doctor")).stdout, /^fail {2}configuration: PACKAGER_PORT: /m);
  assert.equal((await run(".env", "--help")).status, 64, "what reads no settings takes no file");
});

test("values are written so that every reader gets them back, or not at all", () => {
  const values = ["plain", "with space", "a'b", 'a"b', "$HOME", "#x", "a=b", "back\\slash", "ümlaut"];
  for (const value of values) {
    const text = withVariables("", new Map([["X", value]]), () => false);
    assert.equal(parseEnv(text).X, value, text);
  }
  assert.throws(() => withVariables("", new Map([["X", `'"`]]), () => false), Unwritable);
  assert.throws(() => withVariables("", new Map([["X", "two\nlines"]]), () => false), Unwritable);
  assert.deepEqual([...namesIn("# A=1\nB=2\n export C = 3\nnothing")], ["B", "C"]);
});
