import type { ServiceSchema } from "moleculer";
import { createStreamer, deleteStreamer, getStreamer, listStreamers, patchStreamer } from "../../contracts/channel.ts";
import { streamerReported } from "../../contracts/streamer.ts";
import { answer, type Call, on, tenantOf } from "../../lib/actor/contract.ts";
import type { Heard } from "./heard.ts";
import type { Asker, StreamerRegistry } from "./streamer-registry.ts";

const askerOf = (call: Call): Asker => ({
  tenantId: tenantOf(call).tenantId,
  admin: call.meta.scopes?.includes("platform:admin") ?? false,
});

/** Wiring of the streamer registry, which belongs to the channel actor: a channel's rows lean on the registry's. */
export const streamerRegistryService = (registry: StreamerRegistry, heard: Heard): ServiceSchema => ({
  name: "streamer-registry",
  actions: {
    create: answer(createStreamer, (input, call) => registry.create(askerOf(call), input)),
    list: answer(listStreamers, (input, call) => registry.list(askerOf(call), input)),
    get: answer(getStreamer, ({ streamerId }, call) => registry.get(askerOf(call), streamerId)),
    patch: answer(patchStreamer, (input, call) => registry.patch(askerOf(call), input)),
    delete: answer(deleteStreamer, ({ streamerId }, call) => registry.delete(askerOf(call), streamerId)),
  },
  events: on(streamerReported, async (report) => {
    heard.hear(report);
    await registry.note(report);
  }),
});
