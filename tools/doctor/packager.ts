/** The packager: its files can be read, its caches and logs be written. */
import { execFile } from "node:child_process";
import { accessSync, constants, rmSync, statfsSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { VideoFolder } from "../../actors/packager/video-folder.ts";
import type { PackagerConfig, Settings } from "../../lib/config/config.ts";
import { ensureDir } from "../../lib/config/ensure-dir.ts";
import { VARIABLES } from "../../lib/config/variables.ts";
import { bad, type Finding, inTime, ok, reasonOf, warn } from "./finding.ts";

type Source = PackagerConfig["source"];

const MiB = 2 ** 20;
const run = promisify(execFile);
const RUN_DEADLINE_MS = 10_000;

const checkFolder = async (root: string, isAlone: boolean): Promise<Finding> => {
  const { env, fallback } = VARIABLES.videoParentPath;
  const reason = await new VideoFolder(root).fault();
  if (reason === null) return ok("video folder", `${root} can be read`);
  // Who runs all of it may have no stored files at all.
  if (!isAlone && root === fallback) return ok("video folder", `none at ${root}; ${env} names another one`);
  return bad("video folder", `${root}: ${reason}`, `Let this user read it, or set ${env}.`);
};

/** Host and port of a source that is a server; null where there is nothing to connect to (Amazon's S3). */
const serverOf = (source: Exclude<Source, { kind: "filesystem" }>): { host: string; port: number } | null => {
  switch (source.kind) {
    case "http":
    case "s3": {
      const address = source.kind === "http" ? source.url : source.endpoint;
      if (address === null) return null;
      const { hostname, port, protocol } = new URL(address);
      return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || (protocol === "https:" ? 443 : 80)) };
    }
    default:
      return { host: source.host, port: source.port };
  }
};

const reach = (host: string, port: number): Promise<void> => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ host, port }, resolve);
  socket.once("error", reject);
  return inTime(promise).finally(() => socket.destroy());
};

const checkServer = async (source: Exclude<Source, { kind: "filesystem" }>): Promise<Finding> => {
  const server = serverOf(source);
  const subject = `source ${source.kind}`;
  if (server === null) return ok(subject, "Amazon's; looked at when a file is asked for");
  const place = `${server.host}:${server.port}`;
  try {
    await reach(server.host, server.port);
    return ok(subject, `${place} takes connections`);
  } catch (error) {
    const todo = `Check that it runs and lets this machine in, and what is set in the section [${source.kind}].`;
    return bad(subject, `${place}: ${reasonOf(error)}`, todo);
  }
};

/** Files that an SSH login needs. */
const checkLogin = (source: Source): Finding[] => {
  if (source.kind !== "sftp" && source.kind !== "scp" && source.kind !== "rsync") return [];
  if (source.kind === "rsync" && source.module !== null) return [];
  const section = source.kind.toUpperCase();
  const files = [
    [source.keyFile, "the private key", "KEYFILE"],
    [source.knownHostsFile, "the known hosts", "KNOWN_HOSTS"],
  ] as const;
  return files.flatMap(([file, what, option]) => {
    if (file === null) return [];
    try {
      accessSync(file, constants.R_OK);
      return [ok(what, `${file} can be read`)];
    } catch (error) {
      return [bad(what, reasonOf(error), `Set CASTERPAK_${section}_${option}; a server that is not known is refused.`)];
    }
  });
};

/** rsync is a program of the machine's, and runs ssh unless it speaks to a daemon. */
const checkPrograms = async (source: Source): Promise<Finding[]> => {
  if (source.kind !== "rsync") return [];
  const programs = [["rsync", "--version"], ...(source.module === null ? [["ssh", "-V"]] : [])] as const;
  return Promise.all(
    programs.map(async ([program = "", flag = ""]) => {
      try {
        await run(program, [flag], { timeout: RUN_DEADLINE_MS });
        return ok(program, "can be run");
      } catch (error) {
        return bad(program, reasonOf(error), `Install it (Debian: apt-get install rsync openssh-client).`);
      }
    }),
  );
};

const checkWritable = (what: string, dir: string, variable: string): Finding => {
  const probe = join(dir, `.doctor-${process.pid}`);
  try {
    ensureDir(dir);
    writeFileSync(probe, "");
    rmSync(probe);
    return ok(what, `${dir} can be written`);
  } catch (error) {
    return bad(what, `${dir}: ${reasonOf(error)}`, `Make it writable for this user, or set ${variable}.`);
  }
};

const checkCache = (what: string, cache: PackagerConfig["segmentCache"], variable: string): Finding[] => {
  if (!cache.on) return [];
  const finding = checkWritable(what, cache.dir, variable);
  if (finding.state !== "ok") return [finding];
  const { bavail, bsize } = statfsSync(cache.dir);
  if (bavail * bsize >= cache.sizeBytes) return [finding];
  const text = `${cache.dir} may grow to ${Math.round(cache.sizeBytes / MiB)} MB, ${Math.round((bavail * bsize) / MiB)} are free`;
  return [warn(what, text, "Lower its size, or put it on another disk. What it holds by now counts as not free.")];
};

const checkLogs = ({ logs }: PackagerConfig): Finding[] =>
  Object.entries(logs).flatMap(([name, place]) =>
    place === null || place === "-"
      ? []
      : [checkWritable(`${name} log`, dirname(place), `CASTERPAK_LOGGING_${name.toUpperCase()}_LOG`)],
  );

/** Only the role packager has any of it. */
export const checkPackager = async ({ packager, roles, warnings }: Settings): Promise<Finding[]> => {
  if (packager === null) return [];
  const { source } = packager;
  return [
    await (source.kind === "filesystem" ? checkFolder(source.root, roles.length === 1) : checkServer(source)),
    ...checkLogin(source),
    ...(await checkPrograms(source)),
    ...checkCache("input cache", packager.inputCache, VARIABLES.videoCachePath.env),
    ...checkCache("segment cache", packager.segmentCache, VARIABLES.segmentParentPath.env),
    checkWritable("cache index", dirname(packager.cacheDatabase), VARIABLES.cacheDatabase.env),
    ...checkLogs(packager),
    ...warnings.map((text) => warn("setting", text, "Correct its name; `npm start -- --help` lists all of them.")),
  ];
};
