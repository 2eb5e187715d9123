/** Bytes of an object of S3, of one version whatever happens to the connection. */
import type { Readable } from "node:stream";
import { GetObjectCommand, type GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { fail } from "../../contracts/errors.ts";
import { parseContentRange } from "../source/http-answer.ts";
import type { ObjectName, ObjectStat } from "./port.ts";
import { type Call, type S3Calls, statusOf } from "./s3-calls.ts";

/** A body that breaks is asked for again from where it broke; so often without a byte in between. */
const BREAKS_MAX = 3;

export interface Reading {
  readonly calls: S3Calls;
  readonly bucket: string;
  readonly name: ObjectName;
  readonly signal: AbortSignal | undefined;
}

export interface Answer {
  readonly stat: ObjectStat;
  readonly body: Readable;
  /** Of `body`. */
  readonly lengthBytes: number;
}

interface Described {
  readonly ETag?: string | undefined;
  readonly LastModified?: Date | undefined;
  readonly ContentType?: string | undefined;
}

export const objectStat = (key: string, told: Described, sizeBytes: number): ObjectStat => ({
  key,
  sizeBytes,
  etag: told.ETag ?? fail("OBJECT_STORE_DOWN"),
  modifiedMs: told.LastModified?.getTime() ?? 0,
  contentType: told.ContentType ?? null,
});

export const callOf = ({ name, signal }: Reading): Call => ({ name, signal });

const bodyOf = ({ Body }: GetObjectCommandOutput): Readable => {
  if (Body === undefined) throw new Error("it answers without a body");
  return Body as Readable; // in Node
};

/** `range` as the header has it, or null for the whole. Null: the object has no byte in that range. */
export const getObject = async (
  reading: Reading,
  { range, ifMatch }: { readonly range: string | null; readonly ifMatch: string | undefined },
): Promise<Answer | null> => {
  const { calls, bucket, name } = reading;
  const command = new GetObjectCommand({
    Bucket: bucket,
    Key: name.key,
    ...(range === null ? {} : { Range: range }),
    ...(ifMatch === undefined ? {} : { IfMatch: ifMatch }),
  });
  const answer = await calls.ask(callOf(reading), (abortSignal) =>
    calls.client.send(command, { abortSignal }).catch((error: unknown) => {
      if (statusOf(error) === 416) return null;
      throw error;
    }),
  );
  if (answer === null) return null;
  const body = bodyOf(answer);
  const told = parseContentRange(answer.ContentRange);
  const sizeBytes = told?.totalBytes ?? answer.ContentLength;
  const lengthBytes = answer.ContentLength;
  if (sizeBytes !== undefined && lengthBytes !== undefined) {
    return { stat: objectStat(name.key, answer, sizeBytes), body, lengthBytes };
  }
  body.destroy();
  throw new Error("it does not tell the size");
};

/** Chunks of an answer from `offset` on; OBJECT_CHANGED when a later answer would be of another version. */
export async function* chunksOf(reading: Reading, first: Answer, offset: number): AsyncGenerator<Uint8Array> {
  const end = offset + first.lengthBytes;
  let [answer, at, breaks] = [first, offset, 0];
  try {
    while (at < end) {
      const chunks = answer.body[Symbol.asyncIterator]();
      try {
        for (;;) {
          const next: IteratorResult<Uint8Array> = await reading.calls.next(callOf(reading), chunks);
          if (next.done) break;
          if (at + next.value.length > end) fail("OBJECT_STORE_DOWN");
          at += next.value.length;
          breaks = 0;
          yield next.value;
        }
        if (at < end) fail("OBJECT_STORE_DOWN"); // it ended early, as if that were all
      } catch (error) {
        answer.body.destroy();
        breaks += 1;
        if ((error as { code?: string }).code !== "OBJECT_STORE_DOWN" || breaks > BREAKS_MAX) throw error;
        const rest = { range: `bytes=${at}-${end - 1}`, ifMatch: first.stat.etag };
        answer = (await getObject(reading, rest)) ?? fail("OBJECT_CHANGED", { key: reading.name.key });
      }
    }
  } finally {
    answer.body.destroy();
  }
}
