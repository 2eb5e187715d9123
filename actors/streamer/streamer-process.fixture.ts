/**
 * A process of its own that runs one streamer on a data directory; says its listener's address and waits to be killed.
 */
import { startWorld } from "./streamers.fixture.ts";

const [dataDir = "", url = ""] = process.argv.slice(2);
const forever = { after: () => {} };
const world = await startWorld(forever, { dataDir });
if (url !== "") await world.start({ url });
process.stdout.write(`${world.bases[0]}\n`);
