/**
 * A stand-in for S3 with archived objects, after its API reference (GetObject, HeadObject, RestoreObject) and "Archive
 * retrieval options" of its user guide: no server that we can run has archives. It checks no signatures.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

interface Cleaner {
  after(clean: () => void | Promise<void>): void;
}

export interface ArchivedObject {
  readonly body: Buffer;
  readonly storageClass: "GLACIER" | "DEEP_ARCHIVE" | "INTELLIGENT_TIERING";
  /** `frozen` until RestoreObject, then `restoring` until the test says `restored`. */
  state: "frozen" | "restoring" | "restored";
}

export interface S3ArchiveStandIn {
  readonly endpoint: string;
  /** By path: `/bucket/key`. */
  readonly objects: Map<string, ArchivedObject>;
  /** `GET /bucket/key` and the like, in order. */
  readonly asked: string[];
  /** Bodies of RestoreObject. */
  readonly restores: string[];
  /** What RestoreObject is refused with; null: it is not. */
  refusal: { readonly status: number; readonly code: string } | null;
}

const refuse = (response: ServerResponse, status: number, code: string, more = ""): void => {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>no</Message>${more}</Error>`;
  response.writeHead(status, { "content-type": "application/xml", "content-length": Buffer.byteLength(body) });
  response.end(response.req.method === "HEAD" ? undefined : body);
};

const restoreHeader = ({ state, storageClass }: ArchivedObject): Record<string, string> => {
  if (state === "restoring") return { "x-amz-restore": 'ongoing-request="true"' };
  // An object of INTELLIGENT_TIERING has moved back for good: there is no copy that would expire.
  if (state === "frozen" || storageClass === "INTELLIGENT_TIERING") return {};
  return { "x-amz-restore": 'ongoing-request="false", expiry-date="Fri, 21 Dec 2029 00:00:00 GMT"' };
};

const send = (request: IncomingMessage, response: ServerResponse, object: ArchivedObject): void => {
  const { body } = object;
  const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  const from = Number(start ?? 0);
  const last = Math.min(Number(end ?? body.length), body.length - 1);
  const part = body.subarray(from, last + 1);
  response.writeHead(start === undefined ? 200 : 206, {
    etag: '"0123456789abcdef"',
    "content-length": part.length,
    "x-amz-storage-class": object.storageClass,
    ...restoreHeader(object),
    ...(start === undefined ? {} : { "content-range": `bytes ${from}-${last}/${body.length}` }),
  });
  response.end(request.method === "HEAD" ? undefined : part);
};

export const s3ArchiveStandIn = async (t: Cleaner): Promise<S3ArchiveStandIn> => {
  const objects: S3ArchiveStandIn["objects"] = new Map();
  const [asked, restores]: [string[], string[]] = [[], []];
  const standIn: S3ArchiveStandIn = { endpoint: "", objects, asked, restores, refusal: null };

  const restore = async (request: IncomingMessage, response: ServerResponse, object: ArchivedObject) => {
    const body = await text(request);
    if (standIn.refusal) return refuse(response, standIn.refusal.status, standIn.refusal.code);
    if (object.state === "restoring") return refuse(response, 409, "RestoreAlreadyInProgress");
    if (object.storageClass === "INTELLIGENT_TIERING" && body.includes("<Days>")) {
      return refuse(response, 400, "MalformedXML");
    }
    restores.push(body);
    response.writeHead(object.state === "restored" ? 200 : 202, { "content-length": 0 }).end();
    object.state = "restoring";
  };

  const server = createServer((request, response) => {
    const [path = "", query = ""] = (request.url ?? "").split("?");
    const isRestore = request.method === "POST" && new URLSearchParams(query).has("restore");
    asked.push(`${isRestore ? "RESTORE" : request.method} ${path}`);
    const object = objects.get(path);
    if (!object) refuse(response, 404, "NoSuchKey");
    else if (isRestore) void restore(request, response, object);
    else if (request.method === "GET" && object.state !== "restored") {
      refuse(response, 403, "InvalidObjectState", `<StorageClass>${object.storageClass}</StorageClass>`);
    } else send(request, response, object);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return Object.assign(standIn, { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
};
