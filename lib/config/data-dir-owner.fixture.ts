/** A process that claims the folder it is given, says how that went, and stays until it is killed. */
import { claimDataDir } from "./data-dir-owner.ts";

try {
  claimDataDir(process.argv[2] ?? "");
  process.stdout.write("claimed\n");
} catch (error) {
  process.stdout.write(`${(error as Error).message}\n`);
}
setInterval(() => {}, 60_000);
