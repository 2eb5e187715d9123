import type { ServiceSchema } from "moleculer";
import { fail } from "../../contracts/errors.ts";
import { restartStream, setAnchor, startStream, stopStream } from "../../contracts/streamer.ts";
import { answer } from "../../lib/actor/contract.ts";
import type { Streamer } from "./streamer.ts";
import { openMedia, openUnit, type StreamersOptions, type Unit } from "./units.ts";

export interface Streamers {
  readonly ports: readonly number[];
  /** To be called once the broker is started: who hears a report may call us back at once. */
  join(): void;
  stop(): Promise<void>;
}

/** Wiring of the streamer actor: one service per node, `ordinal` picks the streamer. */
const streamerService = (units: readonly Unit[]): ServiceSchema => {
  const at = (ordinal: number): Streamer => units[ordinal]?.streamer ?? fail("STREAMER_FULL", { streamsMax: 0 });
  return {
    name: "streamer",
    actions: {
      start: answer(startStream, ({ ordinal, ...command }) => at(ordinal).start(command)),
      stop: answer(stopStream, ({ ordinal, ...command }) => at(ordinal).stop(command)),
      restart: answer(restartStream, ({ ordinal, ...command }) => at(ordinal).restart(command)),
      anchor: answer(setAnchor, ({ ordinal, ...command }) => at(ordinal).setAnchor(command)),
    },
  };
};

/** Starts the streamers of this node, takes up what they ran, and registers their service with the broker. */
export const startStreamers = async (options: StreamersOptions): Promise<Streamers> => {
  const media = await openMedia(options);
  const units: Unit[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(
      units.map(async ({ streamer, listener, reporter }) => {
        await streamer.close();
        reporter.stop();
        await listener.close();
      }),
    );
    await media.close();
  };
  try {
    for (let ordinal = 0; ordinal < options.config.streamers; ordinal += 1) {
      units.push(await openUnit(options, ordinal, media.make));
    }
  } catch (error) {
    await stop();
    throw error;
  }
  options.broker.createService(streamerService(units));
  const join = (): void => {
    for (const { reporter } of units) reporter.start();
  };
  return { ports: units.map(({ listener }) => listener.port), join, stop };
};
