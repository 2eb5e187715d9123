/**
 * Movies that say enormous things in a few bytes: each number is one that a reader takes, so that what is made of
 * them has
 * to have limits of its own. Media are holes in a sparse file.
 */
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { boxOf, edit, topLevel, typeOf, u32 } from "./boxes.ts";
import { makeInput, sharedMediaDir } from "./make.ts";

interface Track {
  readonly samples: number;
  readonly sampleBytes: number;
  readonly durationTicks: number;
  readonly timescale: number;
}

interface Hostile {
  /** A sound movie whose first track becomes another. */
  readonly from: string;
  readonly track: Track;
  readonly why: string;
}

/** By name; `from` has that track alone, or in front. */
export const HOSTILE: Readonly<Record<string, Hostile>> = {
  "key-frames-without-end": {
    from: "video-only",
    track: { samples: 2 ** 24, sampleBytes: 1, durationTicks: 1, timescale: 2 ** 18 },
    why: "16 million key frames in a minute",
  },
  "key-frames-of-days": {
    from: "video-only",
    track: { samples: 860_000, sampleBytes: 100, durationTicks: 1, timescale: 1 },
    why: "a key frame in each second of ten days",
  },
  "audio-of-days": {
    from: "audio-only",
    track: { samples: 2 ** 24, sampleBytes: 8, durationTicks: 1024, timescale: 24_000 },
    why: "16 million frames of audio",
  },
  "audio-of-long-frames": {
    from: "audio-only",
    track: { samples: 430_000, sampleBytes: 8, durationTicks: 2, timescale: 1 },
    why: "a segment for each frame",
  },
  "audio-of-short-frames": {
    from: "audio-only",
    track: { samples: 2 ** 20, sampleBytes: 1, durationTicks: 1, timescale: 2 ** 20 },
    why: "a million frames in one segment",
  },
  "texts-without-end": {
    from: "mov-text",
    track: { samples: 99_000, sampleBytes: 2, durationTicks: 1, timescale: 2 ** 10 },
    why: "a hundred thousand subtitles",
  },
  "one-large-picture": {
    from: "video-only",
    track: { samples: 2, sampleBytes: 2 ** 30, durationTicks: 1, timescale: 1 },
    why: "pictures of a gigabyte",
  },
  "large-pictures": {
    from: "video-only",
    track: { samples: 2_000, sampleBytes: 2 ** 20, durationTicks: 1, timescale: 1_000 },
    why: "a segment of two gigabytes",
  },
};

const SAMPLES_AT = 64 * 1024; // behind the boxes

const withTrack = (moov: Buffer, { samples, sampleBytes, durationTicks, timescale }: Track): Buffer => {
  const stbl = "moov/trak/mdia/minf/stbl";
  const tables: Readonly<Record<string, Buffer>> = {
    stsz: boxOf("stsz", u32(0, sampleBytes, samples)),
    stts: boxOf("stts", u32(0, 1, samples, durationTicks)),
    stsc: boxOf("stsc", u32(0, 1, 1, samples, 1)),
    stco: boxOf("stco", u32(0, 1, SAMPLES_AT)),
    ctts: boxOf("free"),
    stss: boxOf("free"),
  };
  let changed = moov;
  for (const [type, table] of Object.entries(tables)) changed = edit(changed, `${stbl}/${type}`, () => table);
  changed = edit(changed, "moov/trak/edts", () => boxOf("free"));
  return edit(changed, "moov/trak/mdia/mdhd", (mdhd) => {
    mdhd.writeUInt32BE(timescale, 20);
    return mdhd;
  });
};

/** Writes one of them; it takes a few blocks of the disk, whatever its size. */
export const writeHostile = async (name: string, file: string): Promise<void> => {
  const hostile = HOSTILE[name];
  if (!hostile) throw new Error(`none is called ${name}`);
  const sound = topLevel(readFileSync(await makeInput(hostile.from, await sharedMediaDir())));
  const kept = sound.filter((box) => ["ftyp", "moov"].includes(typeOf(box)));
  const head = Buffer.concat(kept.map((box) => (typeOf(box) === "moov" ? withTrack(box, hostile.track) : box)));
  const filler = boxOf("free", Buffer.alloc(SAMPLES_AT - 16 - 8 - head.length));
  const mediaBytes = hostile.track.samples * hostile.track.sampleBytes;
  const mdat = Buffer.concat([u32(1), Buffer.from("mdat"), Buffer.alloc(8)]);
  mdat.writeBigUInt64BE(BigInt(16 + mediaBytes), 8);
  const descriptor = openSync(file, "w");
  try {
    writeSync(descriptor, Buffer.concat([head, filler, mdat]));
    ftruncateSync(descriptor, SAMPLES_AT + mediaBytes);
  } finally {
    closeSync(descriptor);
  }
};
