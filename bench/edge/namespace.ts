/**
 * A network namespace of the benchmark's own with reno: under BBR a third of a loopback's CPU is the kernel's pacing
 * timers, and the peers would be compared by those.
 */
import { findProgram } from "../../test/support/server-process.ts";

const MARK = "CASTELLAN_BENCH_NAMESPACE";
const ENTER = `ip link set lo up && sysctl -qw net.ipv4.tcp_congestion_control=reno net.core.somaxconn=8192
ulimit -n 65536 2>/dev/null
exec "$@"`;

/** Why there can be none; undefined when there can. */
const obstacle = (): string | undefined => {
  if (process.getuid?.() !== 0) return "needs root for a network namespace";
  const missing = ["unshare", "ip", "sysctl", "taskset"].filter((name) => findProgram(name) === undefined);
  return missing.length > 0 ? `needs ${missing.join(", ")}` : undefined;
};

/** Begins this process again inside a new namespace. Returns when it is inside, or why it cannot be. */
export const enterNamespace = (): string | undefined => {
  if (process.env[MARK] !== undefined) return undefined;
  const why = obstacle();
  if (why !== undefined || !process.execve) return why ?? "needs a Node that can replace its process";
  const program = findProgram("unshare") ?? "unshare";
  const words = ["unshare", "--net", "sh", "-c", ENTER, "sh", process.execPath, ...process.argv.slice(1)];
  process.execve(program, words, { ...process.env, [MARK]: "1" });
};
