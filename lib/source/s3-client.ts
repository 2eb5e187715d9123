/** The client of S3 and of servers that speak like it, for sources and for the object store. */
import { S3Client } from "@aws-sdk/client-s3";

export interface S3Account {
  /** Null: Amazon's. */
  readonly endpoint: string | null;
  readonly region: string;
  /** Null: as the AWS SDK finds them. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | null;
  /** The bucket's name is in the path and not in the host. */
  readonly pathStyle: boolean;
}

export interface S3ClientLimits {
  readonly connectionsMax: number;
  readonly connectTimeoutMs: number;
  /** Of each request, the first one counted. */
  readonly attemptsMax: number;
}

const FREE_SOCKET_MS = 15_000; // S3 closes after 20 s

const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

export const makeS3Client = (account: S3Account, limits: S3ClientLimits): S3Client => {
  const { endpoint, region, credentials, pathStyle } = account;
  const { connectionsMax, connectTimeoutMs, attemptsMax } = limits;
  const agent = { keepAlive: true, maxSockets: connectionsMax, timeout: FREE_SOCKET_MS };
  return new S3Client({
    region,
    ...(endpoint === null ? {} : { endpoint }),
    ...(credentials === null ? {} : { credentials }),
    forcePathStyle: pathStyle,
    followRegionRedirects: true,
    maxAttempts: attemptsMax,
    // Checksums are of whole objects; and servers that are not Amazon's trip over them.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: { httpAgent: agent, httpsAgent: agent, connectionTimeout: connectTimeoutMs, logger: silent },
    logger: silent,
  });
};
