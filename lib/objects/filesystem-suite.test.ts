import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { quietLog } from "../log/log.ts";
import { openObjects } from "./open.ts";
import type { ObjectStore } from "./port.ts";
import { objectStoreSuite } from "./suite.ts";

const openIn = async (t: TestContext, root: string): Promise<ObjectStore> => {
  const store = await openObjects({ kind: "filesystem", root, bucketPrefix: "test" }, { log: quietLog });
  t.after(() => store.close());
  return store;
};

const tempFolder = async (t: TestContext): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), "castellan-store-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
};

objectStoreSuite("filesystem", {
  open: async (t) => openIn(t, join(await tempFolder(t), "objects")),
  openDown: async (t) => {
    const folder = await tempFolder(t);
    await writeFile(join(folder, "no-folder"), "");
    return openIn(t, join(folder, "no-folder", "objects"));
  },
  largeBytes: 20_000_000,
  keepsContentType: false,
});
