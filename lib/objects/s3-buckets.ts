/** The buckets of an S3 server: made where they are missing, and freed of uploads that nobody goes on with. */
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  HeadBucketCommand,
  ListMultipartUploadsCommand,
} from "@aws-sdk/client-s3";
import { type S3Calls, sdkNameOf, statusOf } from "./s3-calls.ts";

/** Longer than any upload takes, and than a job waits for its next attempt. */
const LEFT_MS = 7 * 24 * 3_600_000;

interface Buckets {
  readonly region: string;
  /** Their names on the server. */
  readonly buckets: readonly string[];
}

const callFor = (bucket: string) => ({ name: { bucket: "segments", key: bucket }, signal: undefined }) as const;

const makeBucket = (calls: S3Calls, bucket: string, region: string): Promise<void> =>
  calls.ask(callFor(bucket), async (abortSignal) => {
    // Amazon's first region is the one that must not be named.
    const place =
      region === "us-east-1" ? {} : { CreateBucketConfiguration: { LocationConstraint: region as "eu-west-1" } };
    try {
      await calls.client.send(new CreateBucketCommand({ Bucket: bucket, ...place }), { abortSignal });
    } catch (error) {
      const isMade = sdkNameOf(error) === "BucketAlreadyOwnedByYou" || statusOf(error) === 409; // by another node
      if (!isMade) throw error;
    }
  });

export const makeBuckets = async (calls: S3Calls, { region, buckets }: Buckets): Promise<void> => {
  for (const bucket of buckets) {
    const isThere = await calls.ask(callFor(bucket), async (abortSignal) => {
      try {
        await calls.client.send(new HeadBucketCommand({ Bucket: bucket }), { abortSignal });
        return true;
      } catch (error) {
        if (statusOf(error) === 404) return false;
        throw error;
      }
    });
    if (!isThere) await makeBucket(calls, bucket, region);
  }
};

/** Ends uploads that were begun long ago; gives their number. */
export const sweepUploads = async (calls: S3Calls, bucket: string, nowMs: number): Promise<number> => {
  const { client } = calls;
  const command = new ListMultipartUploadsCommand({ Bucket: bucket });
  const { Uploads = [] } = await calls.ask(callFor(bucket), (abortSignal) => client.send(command, { abortSignal }));
  const left = Uploads.filter(({ Initiated }) => Initiated && nowMs - Initiated.getTime() > LEFT_MS);
  for (const { Key, UploadId } of left) {
    const abort = new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId });
    await calls.ask(callFor(bucket), (abortSignal) => client.send(abort, { abortSignal }));
  }
  return left.length;
};
