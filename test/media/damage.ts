/** Damages to movies, each repeated by a seed: to their boxes and tables, and to their media. */
import { readFileSync } from "node:fs";
import { openMovie } from "../../domain/mp4/open-movie.ts";
import type { Random } from "../support/seeded.ts";
import { makeInput, sharedMediaDir } from "./make.ts";
import { readerOf } from "./reader.ts";

/** One of each kind of table, codec and layout. */
const MOVIES = [
  "moov-last",
  "moov-first",
  "fragmented",
  "fragmented-sidx",
  "fragmented-after-moov-samples",
  "fragmented-every-frame",
  "boxes-unknown-everywhere",
  "chunk-offsets-64-bit",
  "sizes-of-16-bit",
  "edit-list-version-1",
  "quicktime",
  "quicktime-96-khz",
  "vfr",
  "hevc-hvc1",
  "av1",
  "vp9",
  "he-aac",
  "ac-3",
  "e-ac-3",
  "opus",
  "flac",
  "mov-text",
  "timecode",
  "two-languages",
];
/** Media are opaque: only this much of them is kept, so that most damage hits tables. */
const PARENTS = new Set(
  "moov trak mdia minf stbl edts dinf udta mvex moof traf mfra stsd avc1 hvc1 av01 mp4a".split(" "),
);
const FIELDS: Readonly<Record<string, number>> = { stsd: 8, avc1: 78, hvc1: 78, av01: 78, mp4a: 28 };
const NUMBERS = [0, 1, 2, 7, 8, 9, 15, 16, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

interface Place {
  readonly at: number;
  readonly end: number;
  readonly parent: number;
}

/** Every box of a well-formed file that is not media. */
const placesOf = (bytes: Buffer, from: number, to: number, parent: number): Place[] => {
  const places: Place[] = [];
  for (let at = from; at + 8 <= to; ) {
    const size = bytes.readUInt32BE(at) === 1 ? bytes.readUInt32BE(at + 12) : bytes.readUInt32BE(at);
    const type = bytes.toString("latin1", at + 4, at + 8);
    if (size < 8) break;
    places.push({ at, end: Math.min(at + size, to), parent });
    if (PARENTS.has(type)) places.push(...placesOf(bytes, at + 8 + (FIELDS[type] ?? 0), at + size, at));
    at += size;
  }
  return places;
};

/** A sound movie, and where its boxes and samples are. */
export interface SoundMovie {
  readonly name: string;
  readonly bytes: Buffer;
  readonly places: readonly Place[];
  readonly samples: readonly Extent[];
}

interface Extent {
  readonly at: number;
  readonly end: number;
}

/** Changes a copy of a movie's bytes, or gives others. */
type Damage = (bytes: Buffer, movie: Pick<SoundMovie, "places" | "samples">, random: Random) => Buffer;

/** One of several. */
export const pick = <T>(values: readonly T[], random: Random): T => values[random.int(values.length)] as T;
const inTables = (places: readonly Place[], random: Random): number => {
  const { at, end } = pick(places, random);
  return at + random.int(Math.min(end - at, 256)); // not in the depths of mdat
};

const TABLE_DAMAGES: readonly Damage[] = [
  (bytes, { places }, random) => {
    for (let hits = 1 + random.int(8); hits > 0; hits -= 1) {
      const at = inTables(places, random);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.int(8));
    }
    return bytes;
  },
  (bytes, { places }, random) => {
    for (let hits = 1 + random.int(3); hits > 0; hits -= 1) {
      const at = Math.min(inTables(places, random), bytes.length - 4);
      bytes.writeUInt32BE(random.int(2) === 0 ? pick(NUMBERS, random) : random.int(2 ** 32), at);
    }
    return bytes;
  },
  (bytes, { places }, random) => {
    const { at, end } = pick(places, random);
    const sizes = [...NUMBERS, end - at - 1, end - at + 1, end - at + 8, end - at - 8, bytes.length];
    bytes.writeUInt32BE(pick(sizes, random) >>> 0, at);
    return bytes;
  },
  (bytes, { places }, random) => {
    const { at, end } = pick(places, random); // a count, or what stands where one would
    if (end - at >= 20) bytes.writeUInt32BE(pick(NUMBERS, random), at + 12 + 4 * random.int(2));
    return bytes;
  },
  (bytes, { places }, random) => {
    const one = pick(places, random);
    const next = places.find(({ at, parent }) => at === one.end && parent === one.parent);
    if (!next) return bytes;
    const swapped = Buffer.concat([bytes.subarray(next.at, next.end), bytes.subarray(one.at, one.end)]);
    swapped.copy(bytes, one.at);
    return bytes;
  },
  (bytes, { places }, random) => {
    const { at } = pick(places, random);
    const from = pick(places, random).at;
    bytes.copy(bytes, at + 4, from + 4, from + 8); // a box under another's name
    return bytes;
  },
  (bytes, { places }, random) => {
    const { at, end } = pick(places, random); // a box in another's place, cut to it
    const other = pick(places, random);
    bytes.copy(bytes, at + 8, other.at + 8, Math.min(other.end, other.at + (end - at)));
    return bytes;
  },
  (bytes, { places }, random) =>
    bytes.subarray(0, random.int(2) === 0 ? random.int(bytes.length) : pick(places, random).end),
  (bytes, { places }, random) => {
    const { at, end } = pick(places, random); // bytes taken out, so that all offsets lie
    const cut = 1 + random.int(Math.min(64, end - at));
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + cut)]);
  },
];

/** Ends of a place that are not far from each other: media are long. */
const somewhereIn = ({ at, end }: Extent, bytesMax: number, random: Random): Extent => {
  const from = at + random.int(Math.max(1, end - at));
  return { at: from, end: Math.min(end, from + 1 + random.int(bytesMax)) };
};

/** To media, whose only words for a reader are the lengths of their parts; and what an interrupted copy leaves. */
const MEDIA_DAMAGES: readonly Damage[] = [
  (bytes, { samples }, random) => {
    for (let hits = 1 + random.int(8); hits > 0; hits -= 1) {
      const { at, end } = pick(samples, random);
      const hit = at + random.int(Math.max(1, end - at));
      bytes[hit] = (bytes[hit] ?? 0) ^ (1 << random.int(8));
    }
    return bytes;
  },
  (bytes, { samples }, random) => {
    for (let hits = 1 + random.int(4); hits > 0; hits -= 1) {
      const { at, end } = pick(samples, random); // the length of a NAL unit, or the head of a frame
      const lengths = [...NUMBERS, end - at, end - at - 3, end - at - 4, end - at - 5];
      if (end - at >= 4) bytes.writeUInt32BE(pick(lengths, random) >>> 0, at);
    }
    return bytes;
  },
  (bytes, { samples }, random) => {
    const { at, end } = somewhereIn(pick(samples, random), 65_536, random);
    return bytes.fill(pick([0, 1, 0xff], random), at, end); // start codes, or none of anything
  },
  (bytes, _, random) => {
    const { at, end } = somewhereIn({ at: 0, end: bytes.length }, bytes.length, random);
    return bytes.fill(0, at, end); // never arrived
  },
  (bytes, _, random) => {
    const { at, end } = somewhereIn({ at: 0, end: bytes.length }, 65_536, random);
    bytes.copy(bytes, random.int(bytes.length), at, end); // written in the wrong place
    return bytes;
  },
  (bytes, { places }, random) => {
    const { at, end } = pick(places, random); // a box twice
    return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at, end), bytes.subarray(end)]);
  },
];
const ALL_DAMAGES = [...TABLE_DAMAGES, ...MEDIA_DAMAGES];

const samplesOf = async (bytes: Buffer): Promise<Extent[]> => {
  const { video, audio, text } = await openMovie(readerOf(bytes));
  return [...video, ...audio, ...text].flatMap(({ table }) => {
    const { count, offset, size } = table.samples(0, table.sampleCount);
    return Array.from({ length: count }, (_, n) => ({ at: offset[n] ?? 0, end: (offset[n] ?? 0) + (size[n] ?? 0) }));
  });
};

/** What is damaged. */
export const soundMovies = async (): Promise<SoundMovie[]> => {
  const dir = await sharedMediaDir();
  const movies: SoundMovie[] = [];
  for (const name of MOVIES) {
    const bytes = readFileSync(await makeInput(name, dir));
    movies.push({ name, bytes, places: placesOf(bytes, 0, bytes.length, -1), samples: await samplesOf(bytes) });
  }
  return movies;
};

/** The movie with one or two damages: to its tables alone, or also to its media. */
export const damaged = (movie: SoundMovie, random: Random, where: "tables" | "anywhere"): Buffer => {
  const damages = where === "tables" ? TABLE_DAMAGES : ALL_DAMAGES;
  let bytes: Buffer = Buffer.from(movie.bytes);
  const count = random.int(4) === 0 ? 2 : 1;
  for (let times = 0; times < count; times += 1)
    if (bytes.length === movie.bytes.length) bytes = pick(damages, random)(bytes, movie, random);
  return bytes;
};
