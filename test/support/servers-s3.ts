/**
 * Two S3 servers in Java, since each lacks what the other has: s3proxy checks signatures, S3Mock has storage classes.
 */
import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  S3Client,
  type StorageClass,
} from "@aws-sdk/client-s3";
import { missingPrograms, serverDir, startServer } from "./server-process.ts";

interface Cleaner {
  after(clean: () => void | Promise<void>): void;
}

export const noS3 = missingPrograms("java", "mvn");

/** The jars come from Maven the first time. */
const START_MS = 180_000;
const SCRIPT = resolve(import.meta.dirname, "../servers/s3/start.sh");

export const S3_KEYS = { accessKeyId: "right-identity", secretAccessKey: "right-s3cret" };
export const S3_WRONG_KEYS = { accessKeyId: "right-identity", secretAccessKey: "wrong-s3cret" };

export interface S3Server {
  readonly port: number;
  readonly bucket: string;
  put(key: string, bytes: Uint8Array, storageClass?: StorageClass): Promise<void>;
  remove(key: string): Promise<void>;
}

const answers = async (port: number): Promise<boolean> => {
  try {
    await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(2_000) });
    return true; // whatever its status
  } catch {
    return false;
  }
};

/** A server with one new bucket. */
export const startS3 = async (t: Cleaner, kind: "s3proxy" | "s3mock"): Promise<S3Server> => {
  const dir = serverDir(t, kind);
  const env = { S3_ACCESS_KEY: S3_KEYS.accessKeyId, S3_SECRET_KEY: S3_KEYS.secretAccessKey };
  const { port } = await startServer(
    t,
    (port) => ({ program: SCRIPT, args: [kind, dir, String(port)], cwd: dir, env }),
    { isReady: answers, startMs: START_MS },
  );
  const client = new S3Client({
    endpoint: `http://127.0.0.1:${port}`,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: S3_KEYS,
    requestChecksumCalculation: "WHEN_REQUIRED",
  });
  t.after(() => client.destroy());
  const bucket = `bucket-${randomBytes(6).toString("hex")}`;
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  return {
    port,
    bucket,
    async put(key, bytes, storageClass) {
      const StorageClass = storageClass === undefined ? {} : { StorageClass: storageClass };
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes, ...StorageClass }));
    },
    async remove(key) {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
    },
  };
};
