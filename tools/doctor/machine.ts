/** Node, cores, memory and the data directory. */
import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { availableParallelism, freemem, totalmem } from "node:os";
import { join } from "node:path";
import type { Settings } from "../../lib/config/config.ts";
import { ensureDir } from "../../lib/config/ensure-dir.ts";
import { bad, type Finding, ok, reasonOf, warn } from "./finding.ts";

const GiB = 2 ** 30;
const gib = (sizeBytes: number): string => `${(sizeBytes / GiB).toFixed(1)} GiB`;

const STREAMER_CORES_MIN = 2; // the demo's two encoders take most of one core, everything else part of the second
const MEMORY_MIN_BYTES = 1.5 * GiB; // Node 0.3, PostgreSQL 0.2, two ffmpeg 0.4, the edge's cache 0.5
const DISK_FAIL_BYTES = 0.25 * GiB; // PostgreSQL alone takes 0.1 when empty
const DISK_WARN_BYTES = 2 * GiB;

/** How much machine there is for what this process is to do. */
export const checkMachine = (settings: Settings, machine = { cores: availableParallelism(), memory: totalmem() }) => {
  const text = `${machine.cores} cores, ${gib(machine.memory)} of memory (${gib(freemem())} free)`;
  const findings: Finding[] = [ok("node", `${process.version} on ${process.platform} ${process.arch}`)];
  if (settings.roles.includes("streamer") && machine.cores < STREAMER_CORES_MIN) {
    findings.push(warn("machine", text, "One core encodes one small stream; give a streamer at least two."));
  } else if (machine.memory < MEMORY_MIN_BYTES) {
    findings.push(warn("machine", text, "Lower EDGE_CACHE_BYTES, or give it 2 GiB."));
  } else findings.push(ok("machine", text));
  return findings;
};

/** Free space as a finding. */
export const judgeDisk = (dataDir: string, freeBytes: number): Finding => {
  const text = `${gib(freeBytes)} free under ${dataDir}`;
  if (freeBytes < DISK_FAIL_BYTES) return bad("disk", text, "Free some space, or put DATA_DIR on another disk.");
  if (freeBytes < DISK_WARN_BYTES) return warn("disk", text, "Fine for a trial; give it more for longer use.");
  return ok("disk", text);
};

/** DATA_DIR can be made and written, and has room. One that was not there is made, as a start would do. */
export const checkDataDir = (settings: Settings): Finding[] => {
  const probe = join(settings.dataDir, `.doctor-${process.pid}`);
  try {
    ensureDir(settings.dataDir);
    writeFileSync(probe, "");
    rmSync(probe);
  } catch (error) {
    const todo = "Make it writable for this user, or set DATA_DIR to a directory that is.";
    return [bad("data directory", `${settings.dataDir}: ${reasonOf(error)}`, todo)];
  }
  const { bavail, bsize } = statfsSync(settings.dataDir);
  return [ok("data directory", `${settings.dataDir} can be written`), judgeDisk(settings.dataDir, bavail * bsize)];
};
