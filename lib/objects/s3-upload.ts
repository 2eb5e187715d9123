/**
 * Objects that are sent in parts. Of a stream as much is in memory as is under way; of a file the parts that a broken
 * upload has left on the server are not sent again.
 */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import type { Readable } from "node:stream";
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  type ListPartsCommandOutput,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { asForeign } from "./faults.ts";
import type { ObjectName } from "./port.ts";
import type { Call, S3Calls } from "./s3-calls.ts";

const MiB = 2 ** 20;
/** Of what is sent; S3 takes none below 5 MiB, but for the last. */
export const PART_BYTES_MIN = 8 * MiB;
export const PARTS_MAX = 10_000;
/** Of a stream, whose length nobody knows: 1,000 small parts and 9,000 large ones are 570 GiB. */
const SMALL_PARTS = 1_000;
const LARGE_PART_BYTES = 64 * MiB;
const SENT_AT_ONCE_BYTES = 32 * MiB;
/** What a server needs to put 10,000 parts together: two minutes of S3's, and many of a disk's. */
const COMPLETE_BYTES = 20 * 1024 * MiB;

export interface Target {
  readonly calls: S3Calls;
  readonly bucket: string;
  readonly name: ObjectName;
  readonly signal: AbortSignal | undefined;
  readonly contentType: string | undefined;
  /** Of CompleteMultipartUpload: `IfNoneMatch` or `IfMatch`. */
  readonly condition: { readonly IfNoneMatch?: string; readonly IfMatch?: string };
  /** Asked again before it is completed: some servers know conditions of single puts only. */
  readonly check: () => Promise<void>;
}

const callOf = ({ name, signal }: Target, bytes = 0): Call => ({ name, signal, bytes });
const placeOf = ({ bucket, name }: Target) => ({ Bucket: bucket, Key: name.key });

export const beginUpload = async (target: Target): Promise<string> => {
  const { calls, contentType } = target;
  const command = new CreateMultipartUploadCommand({
    ...placeOf(target),
    ...(contentType === undefined ? {} : { ContentType: contentType }),
  });
  const { UploadId } = await calls.ask(callOf(target), (abortSignal) => calls.client.send(command, { abortSignal }));
  if (UploadId === undefined) throw new Error("it gives an upload no id");
  return UploadId;
};

/** Whatever it fails with is nobody's: what is left is swept later. */
export const abortUpload = async (target: Target, UploadId: string): Promise<void> => {
  const { calls } = target;
  const command = new AbortMultipartUploadCommand({ ...placeOf(target), UploadId });
  const call = { name: target.name, signal: undefined };
  await calls.ask(call, (abortSignal) => calls.client.send(command, { abortSignal })).catch(() => {});
};

/** The ETag of the whole is asked for afterwards: some servers answer with another one than they give later. */
export const completeUpload = async (target: Target, id: string, parts: readonly CompletedPart[]): Promise<void> => {
  const { calls, condition } = target;
  await target.check();
  const Parts = [...parts].sort((one, other) => (one.PartNumber ?? 0) - (other.PartNumber ?? 0));
  const command = new CompleteMultipartUploadCommand({
    ...placeOf(target),
    UploadId: id,
    MultipartUpload: { Parts },
    ...condition,
  });
  const call = callOf(target, COMPLETE_BYTES);
  await calls.ask(call, (abortSignal) => calls.client.send(command, { abortSignal }));
};

interface Numbered {
  readonly id: string;
  readonly number: number;
  readonly bytes: Uint8Array;
}

export const sendPart = async (target: Target, { id, number, bytes }: Numbered): Promise<CompletedPart> => {
  const { calls } = target;
  const command = new UploadPartCommand({
    ...placeOf(target),
    UploadId: id,
    PartNumber: number,
    Body: bytes,
    ContentLength: bytes.length,
  });
  const { ETag } = await calls.ask(callOf(target, bytes.length), (abortSignal) =>
    calls.client.send(command, { abortSignal }),
  );
  if (ETag === undefined) throw new Error("it gives a part no ETag");
  return { PartNumber: number, ETag };
};

/** Work of which only so many bytes may be under way; the first that fails is what the whole fails with. */
export class Lanes {
  readonly #limitBytes: number;
  readonly #running = new Set<Promise<void>>();
  #bytes = 0;
  #failed: { readonly error: unknown } | undefined;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Waits until there is room, and starts it. */
  async start(bytes: number, work: () => Promise<void>): Promise<void> {
    while (this.#running.size > 0 && this.#bytes + bytes > this.#limitBytes) await Promise.race(this.#running);
    if (this.#failed) throw this.#failed.error;
    this.#bytes += bytes;
    const run: Promise<void> = work()
      .catch((error: unknown) => {
        this.#failed ??= { error };
      })
      .finally(() => {
        this.#bytes -= bytes;
        this.#running.delete(run);
      });
    this.#running.add(run);
  }

  async settle(): Promise<void> {
    await Promise.all(this.#running);
    if (this.#failed) throw this.#failed.error;
  }

  /** For an end that has its own error. */
  async drain(): Promise<void> {
    await Promise.all(this.#running);
  }
}

/** Takes pieces of a given size out of a stream of chunks of any. */
export class Pieces {
  readonly #chunks: AsyncIterator<Uint8Array | string>;
  readonly #body: Readable;
  #rest: Buffer = Buffer.alloc(0);
  #isEnded = false;

  constructor(body: Readable) {
    this.#body = body;
    this.#chunks = body[Symbol.asyncIterator]();
  }

  get isEnded(): boolean {
    return this.#isEnded && this.#rest.length === 0;
  }

  /** As many bytes, or what is left. */
  async take(lengthBytes: number): Promise<Buffer> {
    const held = [this.#rest];
    let bytes = this.#rest.length;
    while (bytes < lengthBytes && !this.#isEnded) {
      const next = await this.#chunks.next().catch(asForeign);
      if (next.done) this.#isEnded = true;
      else {
        const chunk = Buffer.from(next.value as Uint8Array);
        held.push(chunk);
        bytes += chunk.length;
      }
    }
    const whole = Buffer.concat(held, bytes);
    this.#rest = Buffer.from(whole.subarray(lengthBytes));
    return whole.subarray(0, lengthBytes);
  }

  end(reason?: unknown): void {
    this.#body.destroy(reason instanceof Error ? reason : undefined);
  }
}

/** Sends `first` and what follows it. What breaks off leaves no parts behind. */
export const uploadStream = async (target: Target, first: Buffer, rest: Pieces): Promise<void> => {
  const id = await beginUpload(target);
  const lanes = new Lanes(SENT_AT_ONCE_BYTES);
  const parts: CompletedPart[] = [];
  try {
    let bytes = first;
    for (let number = 1; bytes.length > 0; number += 1) {
      if (number > PARTS_MAX) throw new RangeError("an object of more bytes than S3 takes from a stream");
      const part = { id, number, bytes };
      await lanes.start(bytes.length, async () => void parts.push(await sendPart(target, part)));
      bytes = await rest.take(number < SMALL_PARTS ? PART_BYTES_MIN : LARGE_PART_BYTES);
    }
    await lanes.settle();
    await completeUpload(target, id, parts);
  } catch (error) {
    await lanes.drain();
    await abortUpload(target, id);
    throw error;
  }
};

/** The same for each attempt at a file of this size, so that parts of an earlier one fit. */
export const partBytesOf = (sizeBytes: number): number =>
  Math.max(PART_BYTES_MIN, Math.ceil(sizeBytes / PARTS_MAX / MiB) * MiB);

/** The newest upload of exactly this key that was not completed. */
const findUpload = async (target: Target): Promise<string | null> => {
  const { calls, bucket, name } = target;
  const command = new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: name.key });
  const { Uploads = [] } = await calls.ask(callOf(target), (abortSignal) =>
    calls.client.send(command, { abortSignal }),
  );
  const own = Uploads.filter(({ Key, UploadId }) => Key === name.key && UploadId !== undefined);
  const newest = own.sort((one, other) => (other.Initiated?.getTime() ?? 0) - (one.Initiated?.getTime() ?? 0))[0];
  return newest?.UploadId ?? null;
};

interface StoredPart {
  readonly etag: string;
  readonly sizeBytes: number;
}

/** Pages are followed while the server says that there are more: some give a marker on the last one too. */
const partsOf = async (target: Target, UploadId: string): Promise<Map<number, StoredPart>> => {
  const { calls } = target;
  const parts = new Map<number, StoredPart>();
  let marker: string | undefined;
  for (;;) {
    const from = marker === undefined ? {} : { PartNumberMarker: marker };
    const command = new ListPartsCommand({ ...placeOf(target), UploadId, ...from });
    const page: ListPartsCommandOutput = await calls.ask(callOf(target), (abortSignal) =>
      calls.client.send(command, { abortSignal }),
    );
    for (const { PartNumber, ETag, Size } of page.Parts ?? []) {
      if (PartNumber !== undefined && ETag !== undefined) parts.set(PartNumber, { etag: ETag, sizeBytes: Size ?? -1 });
    }
    const next = page.NextPartNumberMarker;
    if (!page.IsTruncated || next === undefined || next === marker) return parts;
    marker = next;
  }
};

interface Resumed {
  readonly id: string;
  readonly stored: ReadonlyMap<number, StoredPart>;
}

const resume = async (target: Target): Promise<Resumed> => {
  const id = await findUpload(target);
  if (id === null) return { id: await beginUpload(target), stored: new Map() };
  try {
    return { id, stored: await partsOf(target, id) };
  } catch (error) {
    if ((error as { code?: string }).code === "OBJECT_STORE_DOWN") throw error;
    return { id: await beginUpload(target), stored: new Map() }; // it was ended meanwhile
  }
};

const isSame = (stored: StoredPart | undefined, bytes: Buffer): boolean =>
  stored !== undefined &&
  stored.sizeBytes === bytes.length &&
  stored.etag.replaceAll('"', "") === createHash("md5").update(bytes).digest("hex");

const readPart = async (handle: FileHandle, offset: number, lengthBytes: number): Promise<Buffer> => {
  const bytes = Buffer.allocUnsafeSlow(lengthBytes);
  for (let done = 0; done < lengthBytes; ) {
    const { bytesRead } = await handle.read(bytes, done, lengthBytes - done, offset + done).catch(asForeign);
    if (bytesRead === 0) asForeign(new Error("the file became shorter while it was sent"));
    done += bytesRead;
  }
  return bytes;
};

/** Sends a file of more than one part. What breaks off stays on the server, for the next attempt. */
export const uploadFile = async (target: Target, file: string, sizeBytes: number): Promise<void> => {
  const handle = await open(file, "r").catch(asForeign);
  try {
    const { id, stored } = await resume(target);
    const partBytes = partBytesOf(sizeBytes);
    const lanes = new Lanes(Math.max(SENT_AT_ONCE_BYTES, partBytes));
    const parts: CompletedPart[] = [];
    try {
      for (let number = 1, at = 0; at < sizeBytes; number += 1, at += partBytes) {
        target.signal?.throwIfAborted();
        const bytes = await readPart(handle, at, Math.min(partBytes, sizeBytes - at));
        const known = stored.get(number);
        if (known && isSame(known, bytes)) parts.push({ PartNumber: number, ETag: known.etag });
        else {
          const part = { id, number, bytes };
          await lanes.start(bytes.length, async () => void parts.push(await sendPart(target, part)));
        }
      }
      await lanes.settle();
    } finally {
      await lanes.drain();
    }
    await completeUpload(target, id, parts);
  } finally {
    await handle.close();
  }
};
