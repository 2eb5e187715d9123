/** What a source has in it, as mediabunny reads it: each sample of the tracks that are served. */
import assert from "node:assert/strict";
import { open } from "node:fs/promises";
import { ALL_FORMATS, BufferSource, EncodedPacketSink, Input, type InputTrack } from "mediabunny";
import { openMovie } from "../../domain/mp4/open-movie.ts";
import { type Probed, probe } from "../media/ffprobe.ts";
import { fileReader } from "../media/reader.ts";

/** One sample in decode order. */
export interface Sample {
  readonly bytes: Buffer;
  readonly ptsSeconds: number;
  readonly endSeconds: number;
  readonly isKey: boolean;
}
export interface SampledTrack {
  readonly kind: "video" | "audio";
  /** RFC 6381. */
  readonly codecs: string;
  readonly samples: readonly Sample[];
}
/** The tracks of a file that are served, in the order in which they are numbered. */
export interface Truth {
  readonly video: SampledTrack | null;
  readonly audio: readonly SampledTrack[];
}

/** Samples of a track as mediabunny finds them. */
const samplesOf = async (track: InputTrack): Promise<Sample[]> => {
  const samples: Sample[] = [];
  for await (const { data, timestamp, duration, type } of new EncodedPacketSink(track).packets()) {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    samples.push({ bytes, ptsSeconds: timestamp, endSeconds: timestamp + duration, isKey: type === "key" });
  }
  return samples;
};

/** Gives the key of a key id, both as hexadecimal digits. */
export type KeyServer = (keyId: string) => Promise<string>;
const noKeys: KeyServer = () => Promise.reject(new Error("nothing is to be encrypted"));

/** All tracks in an MP4 that is in memory, by `track_ID`. */
export const tracksIn = async (
  bytes: Buffer,
  keyServer: KeyServer = noKeys,
): Promise<ReadonlyMap<number, readonly Sample[]>> => {
  const resolveKeyId = ({ keyId }: { readonly keyId: string }) => keyServer(keyId);
  const formatOptions = { isobmff: { resolveKeyId } };
  const input = new Input({ source: new BufferSource(bytes), formats: ALL_FORMATS, formatOptions });
  try {
    const found = new Map<number, readonly Sample[]>();
    for (const track of await input.getTracks()) found.set(track.id, await samplesOf(track));
    return found;
  } finally {
    input.dispose();
  }
};

/** The same by ffprobe, for what mediabunny doesn't read. */
const probedTracks = async (path: string, bytes: Buffer): Promise<ReadonlyMap<number, readonly Sample[]>> => {
  const { streams, packets }: Probed = await probe(path);
  const byId = streams.map(({ id, index, time_base }) => {
    const [num = 1, den = 1] = time_base.split("/").map(Number);
    const own = packets.filter((packet) => packet.stream_index === index);
    const samples = own.map(({ pts = 0, duration = 0, pos, size, flags }) => ({
      bytes: bytes.subarray(Number(pos), Number(pos) + Number(size)),
      ptsSeconds: (pts * num) / den,
      endSeconds: ((pts + duration) * num) / den,
      isKey: flags.startsWith("K"),
    }));
    return [Number(id), samples] as const;
  });
  return new Map(byId);
};

export interface TruthOptions {
  readonly reader: "mediabunny" | "ffprobe";
}

/** Reads a source. Which of its tracks are served, and under which number, is told by the file's index alone. */
export const truthOf = async (path: string, { reader }: TruthOptions): Promise<Truth> => {
  const handle = await open(path);
  const bytes = await handle.readFile().finally(() => handle.close());
  const found = await (reader === "mediabunny" ? tracksIn(bytes) : probedTracks(path, bytes));
  const movie = await openMovie(fileReader(path));
  const sampled = ({ id, codec }: (typeof movie)["video" | "audio"][number]): SampledTrack => ({
    kind: codec.kind,
    codecs: codec.codecs,
    samples: found.get(id) ?? assert.fail(`track ${id} is not found`),
  });
  const [video] = movie.video.filter(({ table }) => table.sampleCount > 0);
  return { video: video ? sampled(video) : null, audio: movie.audio.map(sampled) };
};
