/** `npm run simulate:tmdb`: the simulator until a signal, and the settings with which Castellan uses it. */
import { startTmdbSimulator } from "./tmdb-server.ts";

const { TMDB_SIMULATOR_PORT: port = "8099", TMDB_TOKEN: token = "simulated", TMDB_LIMIT: limit } = process.env;
const HELP = `npm run simulate:tmdb

A stand-in for The Movie Database on 127.0.0.1, until Ctrl-C. It prints the settings with which Castellan uses it.

  TMDB_SIMULATOR_PORT   its port; 8099 unless told, 0 for any
  TMDB_TOKEN            the token that it takes; "simulated" unless told
  TMDB_LIMIT            requests per second that it answers; no limit unless told
`;
if (process.argv.length > 2) {
  process.stdout.write(HELP);
  process.exit(process.argv[2] === "--help" ? 0 : 64);
}
const simulator = await startTmdbSimulator({
  token,
  port: Number(port),
  ...(limit === undefined ? {} : { requestsPerSecond: Number(limit) }),
}).catch((error: unknown) => {
  process.stderr.write(`castellan: simulate:tmdb: ${(error as Error).message}\n`);
  process.exit(1);
});
const { url, imageUrl } = simulator;
process.stdout.write(`TMDB_URL=${url}\nTMDB_IMAGE_URL=${imageUrl}\nTMDB_TOKEN=${token}\n`);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void simulator.close());
