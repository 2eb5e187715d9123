/** What a whole file is, by ffprobe: the media's truth, whatever its name says. */
import { codeOf, type FaultData } from "../../contracts/errors.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { findFfprobe, type ProbeTools, probeSource } from "../../lib/ffmpeg/probe.ts";
import type { ObjectInput } from "../../lib/objects/port.ts";

/** Why a file is no source, for people; null: it is one. Rejects when ffprobe could not be asked. */
export type Judge = (input: ObjectInput, signal: AbortSignal) => Promise<string | null>;

/** ffprobe is looked for when the first file comes. */
export const judgeWith = (ffmpegPath: string | null): Judge => {
  let tools: ProbeTools | undefined;
  return async (input, signal) => {
    tools ??= findFfprobe(await findFfmpeg(ffmpegPath));
    try {
      await probeSource(tools, input, { signal });
      return null;
    } catch (error) {
      if (codeOf(error) !== "SOURCE_UNREADABLE") throw error;
      const { reason } = (error as { data: FaultData }).data; // a fault of this code has one
      return String(reason);
    }
  };
};
