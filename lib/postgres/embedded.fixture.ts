/** A process that starts the built-in server in the folder it is given, says where it is, and waits to be killed. */
import { quietLog } from "../log/log.ts";
import { startEmbeddedPostgres } from "./embedded.ts";

try {
  const server = await startEmbeddedPostgres({ dataDir: process.argv[2] ?? "", log: quietLog });
  process.stdout.write(`${JSON.stringify({ url: server.url, adopted: server.adopted })}\n`);
  process.once("SIGINT", () => process.exit(1));
  process.once("SIGTERM", () => void server.stop().then(() => process.exit(0)));
} catch (error) {
  process.stdout.write(`${JSON.stringify({ error: (error as Error).message })}\n`);
}
