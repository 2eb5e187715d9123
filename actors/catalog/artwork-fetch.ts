/** Fetches one picture over HTTP: byte and time limits, no private addresses, and it must be a picture. */
import { type IncomingMessage, request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import { codeOf, fail } from "../../contracts/errors.ts";
import { ADDRESS_REFUSED, type OutgoingAgents } from "../../lib/http/outgoing-agents.ts";
import { PRIVATE_ADDRESS } from "../../lib/source-guard.ts";
import { type PictureType, pictureType } from "./artwork-type.ts";

export interface FetchOptions {
  readonly agents: OutgoingAgents;
  /** The address is the operator's: it may lead anywhere. */
  readonly trusted: boolean;
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}
export interface FetchedPicture extends PictureType {
  readonly bytes: Buffer;
}

export const PICTURE_BYTES_MAX = 15 * 1024 * 1024; // a poster of 2000 × 3000 is 1 to 3 MB
const SIDE_MAX = 10_000;
const SIDE_MIN = 16;
const DEADLINE_MS = 15_000;
const REDIRECTS_MAX = 3;

/** What these bytes are. Fails with PICTURE_REFUSED. */
export const checkedPicture = (bytes: Buffer): FetchedPicture => {
  const type = pictureType(bytes);
  if (!type) return fail("PICTURE_REFUSED", { reason: "it is neither JPEG, PNG nor WebP" });
  const { width, height } = type;
  if (Math.max(width, height) > SIDE_MAX || Math.min(width, height) < SIDE_MIN) {
    return fail("PICTURE_REFUSED", { reason: `${width} × ${height} is no size for one` });
  }
  return { ...type, bytes };
};

const open = (url: URL, { agents, trusted }: FetchOptions, signal: AbortSignal): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const send = url.protocol === "https:" ? requestTls : requestPlain;
    const headers = { accept: "image/jpeg, image/png, image/webp" };
    const outgoing = send(url, { agent: agents.for(url, { trusted }), headers, signal });
    outgoing.on("error", reject);
    outgoing.on("response", resolve);
    outgoing.end();
  });

const bytesOf = async (response: IncomingMessage): Promise<Buffer> => {
  const tooLarge = () => fail("PICTURE_REFUSED", { reason: `it is larger than ${PICTURE_BYTES_MAX} bytes` });
  if (Number(response.headers["content-length"] ?? 0) > PICTURE_BYTES_MAX) {
    response.destroy();
    return tooLarge();
  }
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > PICTURE_BYTES_MAX) return tooLarge(); // leaving the loop destroys the stream
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

const asFault = (error: unknown, url: string): never => {
  if (codeOf(error) !== undefined) throw error;
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (code === ADDRESS_REFUSED) return fail("SOURCE_URL_REFUSED", { url, reason: PRIVATE_ADDRESS });
  if (name === "TimeoutError" || name === "AbortError") return fail("SOURCE_TIMEOUT", { path: url });
  return fail("SOURCE_FAILED", { path: url });
};

/** Fails with PICTURE_REFUSED, SOURCE_URL_REFUSED, SOURCE_NOT_FOUND, SOURCE_TIMEOUT or SOURCE_FAILED. */
export const fetchPicture = async (address: string, options: FetchOptions): Promise<FetchedPicture> => {
  const deadline = AbortSignal.timeout(options.deadlineMs ?? DEADLINE_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
  let url = new URL(address);
  try {
    for (let redirects = 0; ; redirects += 1) {
      const response = await open(url, options, signal);
      const { statusCode = 0, headers } = response;
      if (statusCode === 200) return checkedPicture(await bytesOf(response));
      response.destroy();
      if (statusCode === 404 || statusCode === 410) return fail("SOURCE_NOT_FOUND", { path: address });
      const isRedirect = [301, 302, 303, 307, 308].includes(statusCode) && headers.location !== undefined;
      if (!isRedirect || redirects >= REDIRECTS_MAX) return fail("SOURCE_FAILED", { path: address });
      url = new URL(headers.location!, url);
      if (!/^https?:$/.test(url.protocol)) return fail("SOURCE_URL_REFUSED", { url: address, reason: "it leads away" });
    }
  } catch (error) {
    return asFault(error, address);
  }
};
