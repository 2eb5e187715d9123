/** Objects that the server makes of others by itself. */
import {
  type CompletedPart,
  CopyObjectCommand,
  UploadPartCopyCommand,
  type UploadPartCopyCommandOutput,
} from "@aws-sdk/client-s3";
import { type ComposedPart, planParts } from "./compose.ts";
import type { ByteRange, PartStat } from "./port.ts";
import { putWhole } from "./s3-put.ts";
import { abortUpload, beginUpload, completeUpload, Lanes, PARTS_MAX, sendPart, type Target } from "./s3-upload.ts";

const MiB = 2 ** 20;
/** S3 takes no smaller ones, but for the last. */
const PART_BYTES_MIN = 5 * MiB;
/** Of an object above what S3 copies at once: a copy of 5 GiB has no more than five. */
const PART_BYTES_MAX = 1024 * MiB;
/** What is read to be sent again is this much at a time; calls that move nothing through here count as a quarter. */
const SENT_AT_ONCE_BYTES = 32 * MiB;
const COPIED_AT_ONCE = 4;

export interface Sources {
  /** Its name on the server. */
  readonly bucket: string;
  readonly parts: readonly PartStat[];
  /** Bytes of one of them, or OBJECT_CHANGED. */
  readonly read: (part: PartStat, range: ByteRange) => Promise<Buffer>;
}

/** Bucket and key as a header has them. */
const copyOf = (bucket: string, { key, etag }: PartStat) => ({
  CopySource: [bucket, ...key.split("/")].map(encodeURIComponent).join("/"),
  CopySourceIfMatch: etag,
});

const copyWhole = async (bucket: string, part: PartStat, target: Target): Promise<void> => {
  const { calls, name, signal } = target;
  const command = new CopyObjectCommand({ Bucket: target.bucket, Key: name.key, ...copyOf(bucket, part) });
  const call = { name, signal, bytes: part.sizeBytes };
  await calls.ask(call, (abortSignal) => calls.client.send(command, { abortSignal }));
};

interface Numbered {
  readonly id: string;
  readonly number: number;
  readonly part: PartStat;
  readonly range: ByteRange;
}

const copyPart = async (bucket: string, target: Target, { id, number, part, range }: Numbered): Promise<string> => {
  const { calls, name, signal } = target;
  const command = new UploadPartCopyCommand({
    ...{ Bucket: target.bucket, Key: name.key, UploadId: id, PartNumber: number },
    ...copyOf(bucket, part),
    CopySourceRange: `bytes=${range.offset}-${range.offset + range.lengthBytes - 1}`,
  });
  const call = { name, signal, bytes: range.lengthBytes };
  const { CopyPartResult }: UploadPartCopyCommandOutput = await calls.ask(call, (abortSignal) =>
    calls.client.send(command, { abortSignal }),
  );
  if (CopyPartResult?.ETag === undefined) throw new Error("it gives a part no ETag");
  return CopyPartResult.ETag;
};

const readAll = async ({ parts, read }: Sources, extents: ComposedPart): Promise<Buffer> => {
  const bytes: Buffer[] = [];
  for (const { index, ...range } of extents) bytes.push(await read(parts[index]!, range)); // of a plan of these parts
  return Buffer.concat(bytes);
};

const composeParts = async (sources: Sources, target: Target, plan: readonly ComposedPart[]): Promise<void> => {
  const { bucket, parts } = sources;
  const id = await beginUpload(target);
  const made: CompletedPart[] = [];
  const lanes = new Lanes(SENT_AT_ONCE_BYTES);
  const make = async (extents: ComposedPart, number: number): Promise<void> => {
    const [only, ...others] = extents;
    if (!only || others.length > 0) {
      made.push(await sendPart(target, { id, number, bytes: await readAll(sources, extents) }));
      return;
    }
    const { index, ...range } = only;
    const part = parts[index]!; // of a plan of these parts
    made.push({ PartNumber: number, ETag: await copyPart(bucket, target, { id, number, part, range }) });
  };
  try {
    for (const [at, extents] of plan.entries()) {
      const sentBytes = extents.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
      const weight = extents.length === 1 ? SENT_AT_ONCE_BYTES / COPIED_AT_ONCE : sentBytes;
      await lanes.start(weight, () => make(extents, at + 1));
    }
    await lanes.settle();
    await completeUpload(target, id, made);
  } catch (error) {
    await lanes.drain();
    await abortUpload(target, id);
    throw error;
  }
};

/** `copyBytesMax`: what the server copies at once. OBJECT_CHANGED when a source is another one by then. */
export const composeObject = async (sources: Sources, target: Target, copyBytesMax: number): Promise<void> => {
  const { bucket } = sources;
  const parts = sources.parts.filter(({ sizeBytes }) => sizeBytes > 0);
  const [only, ...others] = parts;
  if (only && others.length === 0 && only.sizeBytes <= copyBytesMax) return copyWhole(bucket, only, target);
  const limits = { partBytesMin: PART_BYTES_MIN, partBytesMax: Math.min(PART_BYTES_MAX, copyBytesMax) };
  const sizes = parts.map(({ sizeBytes }) => sizeBytes);
  const plan = planParts(sizes, { ...limits, partsMax: PARTS_MAX });
  if (plan.length > 1) return composeParts({ ...sources, parts }, target, plan);
  await putWhole(target, await readAll({ ...sources, parts }, plan[0] ?? []));
};
