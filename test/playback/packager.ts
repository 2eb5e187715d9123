/** A stand-in for packagers: says what it was asked for, and knows which contents are public. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";

export interface AskedFor {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}
export interface PackagerStandIn {
  readonly url: string;
  readonly asked: AskedFor[];
  readonly publicContents: Set<string>;
  close(): Promise<void>;
}

const SEGMENT_BYTES = 200_000;
export const bytesOf = (path: string): Buffer => {
  const seed = createHash("sha256")
    .update(path.replace(/^\/public/, ""))
    .digest();
  return Buffer.concat(Array.from({ length: SEGMENT_BYTES / seed.length }, () => seed));
};

export const packagerStandIn = async (): Promise<PackagerStandIn> => {
  const asked: AskedFor[] = [];
  const publicContents = new Set<string>();
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    asked.push({ path, headers: request.headers });
    const [, open, id = ""] = /^\/(?:(public)\/|upto\/\d+\/)?(?:hls|dash|images|previews)\/([^/]+)\//.exec(path) ?? [];
    if (id === "" || (open !== undefined && !publicContents.has(id))) {
      response.writeHead(404, { "Cache-Control": "no-store" }).end();
      return;
    }
    const isPlaylist = path.endsWith(".m3u8");
    const body = isPlaylist ? Buffer.from(`#EXTM3U\n# ${path.replace(/^\/public/, "")}\n`) : bytesOf(path);
    const headers = {
      ETag: `"${createHash("sha256").update(body).digest("hex").slice(0, 16)}"`,
      "Cache-Control": "public, max-age=60",
      "Content-Type": isPlaylist ? "application/vnd.apple.mpegurl" : "video/mp4",
      "Accept-Ranges": "bytes",
      "Access-Control-Allow-Origin": "*",
    };
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    if (first === undefined) {
      response.writeHead(200, { ...headers, "Content-Length": body.length }).end(body);
      return;
    }
    const part = body.subarray(Number(first), Number(last) + 1);
    const range = { "Content-Range": `bytes ${first}-${last}/${body.length}`, "Content-Length": part.length };
    response.writeHead(206, { ...headers, ...range }).end(part);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return { url: `http://127.0.0.1:${port}`, asked, publicContents, close };
};
