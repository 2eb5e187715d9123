/** Objects that are sent to S3: whole where they are short, else in parts. */
import { readFile, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { fail } from "../../contracts/errors.ts";
import { asForeign } from "./faults.ts";
import type { ObjectName, PutOptions } from "./port.ts";
import { type S3Calls, statusOf } from "./s3-calls.ts";
import { PART_BYTES_MIN, Pieces, type Target, uploadFile, uploadStream } from "./s3-upload.ts";

interface Place {
  readonly calls: S3Calls;
  readonly bucket: string;
  readonly name: ObjectName;
}

/** Conditions go with the request that ends the put, and are looked at before it too: some servers ignore them. */
export const putTarget = (place: Place, options: PutOptions, check: Target["check"]): Target => {
  const { contentType, ifAbsent, ifMatch, signal } = options;
  const condition = {
    ...(ifAbsent ? { IfNoneMatch: "*" } : {}),
    ...(ifMatch === undefined ? {} : { IfMatch: ifMatch }),
  };
  return { ...place, signal, contentType, condition, check };
};

/** Gives the ETag. */
export const putWhole = (target: Target, bytes: Uint8Array): Promise<string> => {
  const { calls, bucket, name, signal, contentType, condition } = target;
  const command = new PutObjectCommand({
    Bucket: bucket,
    Key: name.key,
    Body: bytes,
    ContentLength: bytes.length,
    ...(contentType === undefined ? {} : { ContentType: contentType }),
    ...condition,
  });
  return calls.ask({ name, signal, bytes: bytes.length }, async (abortSignal) => {
    try {
      return (await calls.client.send(command, { abortSignal })).ETag ?? fail("OBJECT_STORE_DOWN");
    } catch (error) {
      const isGone = condition.IfMatch !== undefined && statusOf(error) === 404; // deleted meanwhile
      if (isGone) fail("OBJECT_CHANGED", { key: name.key });
      throw error;
    }
  });
};

/** Gives the ETag; null where it has to be asked for. */
export const putBody = async (target: Target, body: Uint8Array | Readable): Promise<string | null> => {
  if (body instanceof Uint8Array && body.length <= PART_BYTES_MIN) return putWhole(target, body);
  const pieces = new Pieces(body instanceof Uint8Array ? Readable.from([body]) : body);
  const { signal } = target;
  const abort = () => pieces.end(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    if (signal?.aborted) abort();
    const first = await pieces.take(PART_BYTES_MIN);
    if (pieces.isEnded) return await putWhole(target, first);
    await uploadStream(target, first, pieces);
    return null;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
};

/** Gives the ETag; null where it has to be asked for. */
export const putFile = async (target: Target, file: string): Promise<string | null> => {
  const { size } = await stat(file).catch(asForeign);
  if (size <= PART_BYTES_MIN) return putWhole(target, await readFile(file).catch(asForeign));
  await uploadFile(target, file, size);
  return null;
};
