/** Pictures that are shown while a viewer only listens (C-72): beside the file, under its name. */
import { codeOf } from "../../contracts/errors.ts";
import type { MasterQuery } from "../../domain/csmil/query.ts";
import { artworkTag } from "../../domain/ts/id3.ts";
import type { ContentSource } from "../../lib/source/port.ts";
import type { Title } from "./library.ts";
import type { SetView } from "./set-view.ts";
import type { Member } from "./sets.ts";

/** What MSOD takes; a tag goes with every segment. */
const BYTES_MAX = 40 * 2 ** 10;
const KINDS = [
  { extension: "jpg", type: "image/jpeg" },
  { extension: "png", type: "image/png" },
] as const;

const read = async (source: ContentSource, path: string): Promise<Buffer | null> => {
  try {
    const object = await source.open(path);
    try {
      if (object.stat.sizeBytes > BYTES_MAX) return null;
      const bytes = Buffer.alloc(object.stat.sizeBytes);
      await object.readRange(0, bytes);
      return bytes;
    } finally {
      await object.close();
    }
  } catch (error) {
    if (codeOf(error) !== undefined) return null; // sound goes on without its picture
    throw error;
  }
};

const find = async (source: ContentSource, { path }: Title): Promise<Buffer | null> => {
  const stem = path.replace(/\.[^./]*$/, "");
  for (const { extension, type } of KINDS) {
    const bytes = await read(source, `${stem}.${extension}`);
    if (bytes) return artworkTag({ type, bytes });
  }
  return null;
};

/** The timed ID3 tag with a file's picture; null: it has none. Looked for once per version of the file. */
export const artworkOf = (source: ContentSource, title: Title): Promise<Buffer | null> => {
  title.artwork ??= find(source, title).catch((error: unknown) => {
    title.artwork = undefined; // the next one looks again
    throw error;
  });
  return title.artwork;
};

/** Sizes of the tags of those files whose sound a TS master names alone: they count in what it says of rates. */
export const artworkBytesOf = async (
  source: ContentSource,
  { open }: SetView,
  { audioOnly }: MasterQuery,
): Promise<ReadonlyMap<Member, number>> => {
  const named = open.members.filter(({ cut }) => audioOnly === true || cut.video === null || cut.audio.length > 1);
  const tags = await Promise.all(named.map(async (member) => [member, await artworkOf(source, member.title)] as const));
  return new Map(tags.flatMap(([member, tag]) => (tag === null ? [] : [[member, tag.length] as const])));
};
