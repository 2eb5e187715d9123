import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contentSourceSuite } from "./suite.ts";
import { folderFiles } from "./suite-place.ts";

const NO_NETWORK = "there is no connection to it";

contentSourceSuite("filesystem", {
  capabilities: { ranges: true, list: true, strongVersion: false },
  place: async (t) => {
    const dir = await mkdtemp(join(tmpdir(), "castellan-source-"));
    t.after(() => rm(dir, { recursive: true }));
    const root = join(dir, "media");
    await mkdir(root);
    return { settings: { kind: "filesystem", root }, wrong: null, gate: null, ...folderFiles(root) };
  },
  lacks: {
    "a server that says nothing ends every wait in SOURCE_TIMEOUT": NO_NETWORK,
    "a server that falls silent while all is connected is noticed as well": NO_NETWORK,
    "a fetch that stalls in its middle times out and leaves no file": NO_NETWORK,
    "a range that stalls in its middle times out, and what comes late is written nowhere": NO_NETWORK,
    "a server that is not there is a source that failed": NO_NETWORK,
    "a kept connection that the server has closed costs nobody an error": NO_NETWORK,
    "an opened object outlives the connection that it was opened over": NO_NETWORK,
    "a connection that breaks in the middle of a range fails, and the next one is good": NO_NETWORK,
    "a caller who leaves is let go at once, and the only connection is free for the next": NO_NETWORK,
    "one of two who wait for the same connection leaves without taking the other along": NO_NETWORK,
    "a close ends what is under way": NO_NETWORK,
    "a caller who leaves in the middle of a range gets no more bytes written": NO_NETWORK,
    "credentials that the server refuses are denied, and nobody is told them": "it takes none",
  },
});
