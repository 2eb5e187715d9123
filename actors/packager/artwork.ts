/** Pictures that are shown while a viewer only listens (C-72): beside the file, under its name. */
import { createHash } from "node:crypto";
import { codeOf } from "../../contracts/errors.ts";
import type { Leaf } from "../../domain/csmil/leaf.ts";
import type { MasterQuery } from "../../domain/csmil/query.ts";
import { artworkTag } from "../../domain/ts/id3.ts";
import type { CutMovie } from "../../domain/vod/plan.ts";
import type { ContentSource } from "../../lib/source/port.ts";
import { type Title, VERSION_DIGITS } from "./library.ts";
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

/**
 * The timed ID3 tag with a file's picture; null: it has none, or there are no files beside it (`source` is null).
 * Looked for once per version of the file.
 */
export const artworkOf = async (source: ContentSource | null, title: Title): Promise<Buffer | null> => {
  if (source === null) return null;
  title.artwork ??= find(source, title).catch((error: unknown) => {
    title.artwork = undefined; // the next one looks again
    throw error;
  });
  return title.artwork;
};

const versions = new WeakMap<Buffer, string>();

/** Stands behind a file's version in that of its sound with this tag: another picture makes other segments. */
export const artworkVersion = (tag: Buffer | null): string => {
  if (tag === null) return "";
  const version = versions.get(tag) ?? createHash("sha256").update(tag).digest("hex").slice(0, VERSION_DIGITS);
  versions.set(tag, version);
  return version;
};

/** Whether a leaf is sound alone in MPEG-2 TS, which is shown with a picture of its own where there is one. */
export const isSoundAlone = (leaf: Leaf, { video }: CutMovie): boolean =>
  (leaf.kind === "media" || leaf.kind === "segment") &&
  leaf.container === "ts" &&
  !(leaf.tracks.video && video !== null);

/** The files whose sound a text names alone. */
const heardIn = (leaf: Leaf, { open: { members } }: SetView, { audioOnly }: MasterQuery): readonly Member[] => {
  if (leaf.kind === "media") return members.filter(({ cut }, r) => r === leaf.rendition && isSoundAlone(leaf, cut));
  if (leaf.kind !== "master" || leaf.container !== "ts") return [];
  return members.filter(({ cut }) => audioOnly === true || cut.video === null || cut.audio.length > 1);
};

/** Tags of those files whose sound a text of MPEG-2 TS names alone: they count in its rates and addresses. */
export const artworkIn = async (
  source: ContentSource,
  view: SetView,
  { leaf, query }: { readonly leaf: Leaf; readonly query: MasterQuery },
): Promise<ReadonlyMap<Member, Buffer>> => {
  const heard = heardIn(leaf, view, query);
  const tags = await Promise.all(heard.map(async (member) => [member, await artworkOf(source, member.title)] as const));
  return new Map(tags.flatMap(([member, tag]) => (tag === null ? [] : [[member, tag] as const])));
};
