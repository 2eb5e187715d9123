/** `npm start -- keys …`: an operator's commands for the keys that keys are wrapped with. */
import { parseArgs } from "node:util";
import { masterKeyPlace } from "../../actors/keyserver/master-key-place.ts";
import { rewrapAll, wrappedBy } from "../../actors/keyserver/rotation.ts";
import { TokenKeys } from "../../actors/keyserver/token-keys.ts";
import { systemClock } from "../../lib/clock.ts";
import { ConfigError, EXIT_CONFIG, readSettings } from "../../lib/config/config.ts";
import { addMasterKey, MasterKeys } from "../../lib/crypto/master-keys.ts";
import { type Database, openDatabase } from "../../lib/db/database.ts";
import { migrate } from "../../lib/db/migrate.ts";
import { quietLog } from "../../lib/log/log.ts";
import { startEmbeddedPostgres } from "../../lib/postgres/embedded.ts";
import { runningUrl } from "../../lib/postgres/running.ts";

const HELP = `Looks after the keys that content keys and token keys are wrapped with in the database.

Usage
  npm start -- keys status      [--json]
  npm start -- keys rotate      [--new] [--dry-run] [--json]
  npm start -- keys renew-token-key [--json]

Commands
  status           how many keys each master key wraps, and whether this node has it
  rotate           bring all keys under the present master key: the first line of MASTER_KEY_FILE, or MASTER_KEY
  renew-token-key  make another key for playback tokens; it signs a minute later, and former tokens stay good

Rotate
  Everything may go on serving, and it may be stopped at any time and run again. Each node with the role control needs
  the new key before: put it before the former ones in its MASTER_KEY_FILE (or DATA_DIR/run/master-key), where it counts
  without a restart; nodes that take it from MASTER_KEY keep the former ones in MASTER_KEY_FILE meanwhile.
  Once nothing is wrapped by a former key any more (status), its line may go. What is under a key that this node
  does not have stays so, and is told, with the status 1.
  --new            put a new key into this node's file first
  --dry-run        only say how many keys would be brought over

Flags
  --env FILE       take what the environment does not say out of a file
  --json           answer with one line of JSON
  --help, -h       this text
`;
const EXIT_USAGE = 64;

interface Settings {
  readonly json: boolean;
  readonly isNew: boolean;
  readonly dryRun: boolean;
}
interface Ground {
  readonly db: Database;
  readonly masterKeys: MasterKeys;
  readonly file: string;
  readonly print: (text: string) => void;
}

/** The database of this node: the one that is named, the built-in one that runs, or that one started for a moment. */
const openGround = async (env: NodeJS.ProcessEnv) => {
  const settings = readSettings({ ...env, ROLES: "all" }, false);
  const { databaseUrl, dataDir } = settings;
  const place = masterKeyPlace(settings);
  const masterKeys = new MasterKeys(place);
  const known = databaseUrl ?? runningUrl(dataDir);
  const server = known === undefined ? await startEmbeddedPostgres({ dataDir, log: quietLog }) : undefined;
  const url = known ?? server!.url; // one of the two is there
  await migrate({ url });
  const db = openDatabase({ url, applicationName: "castellan keys", poolMax: 2 });
  const close = async (): Promise<void> => {
    await db.close();
    await server?.stop();
  };
  return { db, masterKeys, file: place.file, hasVariable: settings.masterKey !== null, close };
};

const tableOf = (counts: ReadonlyMap<string, number>, masterKeys: MasterKeys) =>
  [...counts].map(([masterKeyId, keyCount]) => ({
    masterKeyId,
    keyCount,
    isPresent: masterKeyId === masterKeys.presentId,
    isKnown: masterKeys.has(masterKeyId),
  }));

const status = async ({ db, masterKeys, print }: Ground, { json }: Settings): Promise<void> => {
  const keys = tableOf(await wrappedBy({ db }), masterKeys);
  if (json) return print(`${JSON.stringify({ presentId: masterKeys.presentId, masterKeys: keys })}\n`);
  print(`present master key: ${masterKeys.presentId}\n`);
  for (const { masterKeyId, keyCount, isPresent, isKnown } of keys) {
    print(`${masterKeyId}  ${keyCount} keys${isPresent ? "" : isKnown ? "  (former)" : "  NOT KNOWN HERE"}\n`);
  }
};

const rotate = async (ground: Ground & { readonly hasVariable: boolean }, settings: Settings): Promise<void> => {
  const { db, masterKeys, file, print } = ground;
  const { json, isNew, dryRun } = settings;
  if (isNew && ground.hasVariable) {
    throw new ConfigError(
      "MASTER_KEY",
      "is set, and beats what a file says: give it the new key, and the file the former",
    );
  }
  const counts = await wrappedBy({ db });
  const missing = tableOf(counts, masterKeys).filter(({ isKnown }) => !isKnown);
  const closed = missing.reduce((sum, { keyCount }) => sum + keyCount, 0);
  const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
  if (dryRun) {
    const keyCount = all - closed - (isNew ? 0 : (counts.get(masterKeys.presentId) ?? 0));
    return print(json ? `${JSON.stringify({ dryRun, keyCount })}\n` : `would bring over ${keyCount} keys\n`);
  }
  if (isNew) addMasterKey(file);
  const moved = (count: number): void => {
    if (!json && count > 0) print(`${count} keys brought over\n`);
  };
  const keyCount = await rewrapAll({ db, masterKeys, moved });
  const { presentId } = masterKeys;
  if (missing.length > 0) {
    const ids = missing.map(({ masterKeyId }) => masterKeyId).join(", ");
    throw new Error(`${keyCount} keys came now; ${closed} are under master keys that this node does not have: ${ids}`);
  }
  print(
    json ? `${JSON.stringify({ keyCount, presentId })}\n` : `all keys are under ${presentId}; ${keyCount} came now\n`,
  );
};

const renewTokenKey = async ({ db, masterKeys, print }: Ground, { json }: Settings): Promise<void> => {
  const keyId = await new TokenKeys({ db, masterKeys, clock: systemClock, log: quietLog }).renew();
  print(json ? `${JSON.stringify({ keyId })}\n` : `the token key ${keyId} signs from a minute on\n`);
};

const argumentsOf = (args: readonly string[]) => {
  const options = {
    new: { type: "boolean" },
    "dry-run": { type: "boolean" },
    json: { type: "boolean" },
    help: { type: "boolean", short: "h" },
  } as const;
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  return { values, positionals };
};

const COMMANDS = { status, rotate, "renew-token-key": renewTokenKey } as const;
const isCommand = (word: string | undefined): word is keyof typeof COMMANDS =>
  word !== undefined && Object.hasOwn(COMMANDS, word);

const TERMINAL = (text: string): void => void process.stdout.write(text);

/** The status to exit with. */
export const main = async (
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  print: (text: string) => void = TERMINAL,
): Promise<number> => {
  let asked: ReturnType<typeof argumentsOf>;
  try {
    asked = argumentsOf(args);
  } catch (error) {
    process.stderr.write(`castellan: ${(error as Error).message}\n`);
    return EXIT_USAGE;
  }
  const { values, positionals } = asked;
  const [command, ...more] = positionals;
  if (values.help === true || command === undefined) {
    print(HELP);
    return values.help === true ? 0 : EXIT_USAGE;
  }
  if (!isCommand(command) || more.length > 0) {
    process.stderr.write(`castellan: "keys ${positionals.join(" ")}" is not understood; keys --help shows what is\n`);
    return EXIT_USAGE;
  }
  const settings = { json: values.json ?? false, isNew: values.new ?? false, dryRun: values["dry-run"] ?? false };
  try {
    const ground = await openGround(env);
    await COMMANDS[command]({ ...ground, print }, settings).finally(ground.close);
    return 0;
  } catch (error) {
    process.stderr.write(`castellan: ${(error as Error).message}\n`);
    return error instanceof ConfigError ? EXIT_CONFIG : 1;
  }
};
