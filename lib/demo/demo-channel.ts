/** Makes the demo channel at the first start, through the same contracts as any client. */
import { access, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { ServiceBroker } from "moleculer";
import { createChannel, listStreamers } from "../../contracts/channel.ts";
import { codeOf } from "../../contracts/errors.ts";
import { type Meta, pause, send } from "../actor/contract.ts";
import { systemClock } from "../clock.ts";
import { findFfmpeg } from "../ffmpeg/binary.ts";
import type { Log } from "../log/log.ts";
import { ensureDemoClip } from "./demo.ts";
import { DEMO_PAGE, DEMO_TENANT, DemoWatch } from "./demo-page.ts";

export interface DemoOptions {
  readonly config: { readonly dataDir: string; readonly ffmpegPath: string | null; readonly streamers: number };
  readonly broker: ServiceBroker;
  readonly log: Log;
  /** The tenant `default`. */
  readonly tenantId: string;
}

const TENANT = DEMO_TENANT;
const NAME = "Demo Channel";
const CLIP = "demo";
const ORIGINS = 2;
const REGISTERED_DEADLINE_MS = 15_000;
const ASK_AGAIN_MS = 50;

const ownStreamerIds = async (broker: ServiceBroker, meta: Meta, count: number): Promise<number[]> => {
  const endsAt = performance.now() + REGISTERED_DEADLINE_MS;
  for (;;) {
    const { data } = await send(broker, listStreamers, {}, meta);
    const ids = data.filter(({ kind, health }) => kind === "castellan" && health === "online").map(({ id }) => id);
    if (ids.length >= count || performance.now() > endsAt) return ids.slice(0, ORIGINS);
    await pause(ASK_AGAIN_MS);
  }
};

/**
 * Path of the demo channel's page; null where it has nothing to show. A channel that the operator has deleted is not
 * made again: a file in DATA_DIR remembers that there was one.
 */
export const ensureDemoChannel = async (options: DemoOptions): Promise<string | null> => {
  const { config, broker, log, tenantId } = options;
  const { dataDir } = config;
  const made = path.join(dataDir, "run", "demo-made");
  const wasMade = await access(made).then(
    () => true,
    () => false,
  );
  if (wasMade) return (await new DemoWatch(broker, systemClock).isOn()) ? DEMO_PAGE : null;
  const ffmpeg = await findFfmpeg(config.ffmpegPath);
  await ensureDemoClip({ ffmpeg, dataDir, tenant: TENANT, name: CLIP, log });
  const meta: Meta = { tenantId, tenant: TENANT, scopes: ["platform:admin"] };
  const streamerIds = await ownStreamerIds(broker, meta, Math.min(ORIGINS, config.streamers));
  const channel = {
    name: NAME,
    quality: "SD",
    sourceType: "pl" as const,
    ingestConfig: { url: `pl:///${CLIP}`, chunkDuration: "2000ms" },
    origins: streamerIds.map((streamerId) => ({ streamerId })),
  };
  await send(broker, createChannel, channel, meta).catch((error: unknown) => {
    if (codeOf(error) !== "CHANNEL_SLUG_TAKEN") throw error;
  });
  await mkdir(path.dirname(made), { recursive: true });
  await writeFile(made, `${new Date().toISOString()}\n`);
  return DEMO_PAGE;
};
