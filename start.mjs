// The front door: `npm start`, `npm start -- --help`, `npm start -- setup`, `npm run doctor`.
// Plain JavaScript, so that an old Node can say what it lacks.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const EXIT_USAGE = 64;

const stop = (status, line) => {
  process.stderr.write(`castellan: ${line}\n`);
  process.exit(status);
};

/** Runs TypeScript as it is: from 22.18, and from 23.6 in that line. */
const runsTypeScript = (version) => {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major === 22) return minor >= 18;
  return major === 23 ? minor >= 6 : major > 23;
};

const unfitMachine = () => {
  if (!existsSync(fileURLToPath(new URL("node_modules/zod", import.meta.url)))) {
    return "its packages are not installed yet: run `npm ci` first.";
  }
  if (runsTypeScript(process.versions.node)) return undefined;
  const brought = existsSync(fileURLToPath(new URL("node_modules/.bin/node", import.meta.url)));
  const way = brought
    ? "`npm start` uses the Node 24 that npm ci brought along."
    : "install Node 24 (https://nodejs.org); npm brings it along on Linux x64 and arm64 only.";
  return `this is Node ${process.versions.node}, and it needs 22.18 or newer: ${way}`;
};

/**
 * How a role that is alone keeps its memory. What was allocated for one segment or object is kept for the next, which
 * else costs hundreds of page faults. It has to be said before a process begins, so it begins again, as itself: 20 ms.
 */
const MEMORY_OF = {
  // Few objects live for more than a request, so that little is to be had for new ones; threads share two heaps, which
  // saves 10 MiB.
  packager: {
    flags: ["--max-semi-space-size=4"],
    env: { MALLOC_TRIM_THRESHOLD_: "134217728", MALLOC_ARENA_MAX: "2" },
  },
  edge: { flags: [], env: { MALLOC_TRIM_THRESHOLD_: "134217728", MALLOC_MMAP_THRESHOLD_: "33554432" } },
};
const HAS_MEMORY = "CASTELLAN_MEMORY";

const withMemoryOfRole = () => {
  const { ROLES } = process.env;
  const memory = Object.hasOwn(MEMORY_OF, String(ROLES)) ? MEMORY_OF[ROLES] : undefined;
  if (!memory || process.env[HAS_MEMORY] === ROLES || !process.execve) return;
  const words = [process.execPath, ...process.execArgv, ...memory.flags, ...process.argv.slice(1)];
  process.execve(process.execPath, words, { ...memory.env, ...process.env, [HAS_MEMORY]: ROLES });
};

const start = async () => {
  withMemoryOfRole();
  const { ConfigError, EXIT_CONFIG, loadConfig } = await import("./lib/config/config.ts");
  try {
    const config = loadConfig(process.env);
    const { main } = await import("./main.ts");
    await main(config);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    stop(EXIT_CONFIG, error.message);
  }
};

const COMMANDS = {
  start,
  doctor: async () => {
    const { doctor } = await import("./tools/doctor/doctor.ts");
    process.exitCode = await doctor(process.env);
  },
  setup: async (args) => {
    const { setup } = await import("./tools/setup/setup.ts");
    process.exitCode = await setup(args);
  },
  packager: async (args) => {
    const { main } = await import("./tools/packager/packager.ts");
    process.exitCode = await main(args, process.env);
  },
  import: async (args) => {
    const { importFolder } = await import("./tools/import/import.ts");
    const { env, stdout: out, stderr: err } = process;
    process.exitCode = await importFolder(args, { env, out, err });
  },
  keys: async (args) => {
    const { main } = await import("./tools/keys/keys.ts");
    process.exitCode = await main(args, process.env);
  },
  check: async () => {
    const { EDGE_CONFIG: path } = process.env;
    if (!path) stop(EXIT_USAGE, "--check looks at the file of an edge: npm start -- --config FILE --check");
    const { checkConfigFile } = await import("./edge/config/config-file.ts");
    const faults = checkConfigFile(path);
    for (const fault of faults) process.stderr.write(`castellan: ${fault}\n`);
    if (faults.length === 0) process.stdout.write(`${path} can be served.\n`);
    process.exitCode = faults.length === 0 ? 0 : 1;
  },
  help: async () => {
    const { helpText } = await import("./lib/config/help.ts");
    process.stdout.write(helpText());
  },
};

/** What the environment does not say may stand in a file, as Docker Compose and node read it. */
const loadFile = (file) => {
  try {
    process.loadEnvFile(file);
  } catch (error) {
    stop(EXIT_USAGE, `--env ${file}: ${error.message}`);
  }
};

/** The words without `--config FILE` of an edge, which stands in the environment from then on. */
const withoutConfig = (words) => {
  const at = words.indexOf("--config");
  if (at === -1) return words;
  const given = words[at + 1];
  if (given === undefined) stop(EXIT_USAGE, "--config needs the file of the edge's sites; docs/edge.md shows one.");
  process.env.EDGE_CONFIG = given;
  return words.toSpliced(at, 2);
};

/** The words without `--env FILE`, and that file; .env where none is named. */
const withoutFile = (words) => {
  const at = words.indexOf("--env");
  if (at === -1) return { words };
  return { words: words.toSpliced(at, 2), file: words[at + 1] ?? ".env" };
};

const NAMES = {
  undefined: "start",
  doctor: "doctor",
  setup: "setup",
  packager: "packager",
  import: "import",
  keys: "keys",
  "--check": "check",
  "--help": "help",
  "-h": "help",
  help: "help",
};
/** Those that need no settings read no file. */
const READ_SETTINGS = ["start", "doctor", "packager", "keys", "check"];
/** How many of them; the others take none. */
const { POSITIVE_INFINITY: ANY } = Number;
const ARGUMENTS = { setup: ANY, packager: ANY, import: ANY, keys: ANY };

// A reader that has seen enough (`| head`) is no reason to fail.
process.stdout.on("error", (error) => {
  if (error.code !== "EPIPE") throw error;
});

const { words, file } = withoutFile(withoutConfig(process.argv.slice(2)));
const [word, ...more] = words;
const name = Object.hasOwn(NAMES, String(word)) ? NAMES[String(word)] : undefined;
const isStray = file !== undefined && !READ_SETTINGS.includes(name);
if (name === undefined || isStray || more.length > (ARGUMENTS[name] ?? 0)) {
  stop(EXIT_USAGE, `"${process.argv.slice(2).join(" ")}" is not understood; \`npm start -- --help\` shows what is.`);
}
const unfit = unfitMachine();
if (unfit !== undefined) stop(1, unfit);
if (file !== undefined) loadFile(file);
try {
  await COMMANDS[name](more);
} catch (error) {
  stop(
    1,
    ["debug", "trace"].includes(process.env.LOG_LEVEL ?? "")
      ? error.stack
      : `${error.message} (LOG_LEVEL=debug shows where)`,
  );
}
