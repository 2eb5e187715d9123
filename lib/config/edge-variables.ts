/** The variables of the edge; everything about customers and their sites is in the file that EDGE_CONFIG names. */
import { baseUrl, bytes, integer, list, oneOf, path, port, text } from "./kinds.ts";
import { fixed, open } from "./variable.ts";

const MiB = 1024 * 1024;

export const EDGE_VARIABLES = {
  edgePort: fixed("EDGE_PORT", port, "8081", { doc: "Port of the edge.", roles: ["edge"] }),
  edgeTlsPort: open("EDGE_TLS_PORT", port, {
    otherwise: "8443 where a site has a certificate, else no TLS",
    doc: "Port of the edge for HTTPS: HTTP/1.1 and HTTP/2.",
    roles: ["edge"],
  }),
  edgePublicUrl: open("EDGE_PUBLIC_URL", baseUrl, {
    otherwise: "http://HOST:EDGE_PORT",
    doc: "The edge's address as viewers see it; put into playback answers.",
    roles: ["gateway", "control"],
  }),
  edgeConfig: open("EDGE_CONFIG", path, {
    otherwise: "what comes over the bus",
    doc: "File of the edge's customers, sites and origins (docs/edge.md); `npm start -- --config FILE` sets it.",
    roles: ["edge"],
  }),
  edgeThreads: open("EDGE_THREADS", integer(1, 64), {
    otherwise: "one per core where edge is the only role, else 1",
    doc: "Threads of the edge; all listen on its ports.",
    roles: ["edge"],
  }),
  edgeCacheBytes: fixed("EDGE_CACHE_BYTES", bytes(MiB), "512MiB", {
    doc: "Memory for the edge's cache.",
    roles: ["edge"],
  }),
  edgeDiskBytes: fixed("EDGE_DISK_BYTES", bytes(0), "4GiB", {
    doc: "Disk for the edge's cache, in DATA_DIR/edge; 0: none.",
    roles: ["edge"],
  }),
  edgePackagerUrls: open("EDGE_PACKAGER_URLS", list(baseUrl), {
    otherwise: "the packager of this process, if it has one",
    doc: "Packagers behind /i/ and /api/media/, by commas.",
    roles: ["edge", "gateway"],
  }),
  edgeAdminPort: open("EDGE_ADMIN_PORT", port, {
    otherwise: "no such listener",
    doc: "Port of the edge's own door for its operator: purges, sites, accounts (docs/edge.md).",
    roles: ["edge"],
  }),
  edgeAdminToken: open(
    "EDGE_ADMIN_TOKEN",
    text("16 to 200 printable characters without spaces", /^[\x21-\x7e]{16,200}$/),
    {
      otherwise: "who connects from this machine may do all, and nobody else",
      doc: "Bearer token of that door.",
      roles: ["edge"],
      secret: true,
    },
  ),
  edgeConfigPublicKey: open("EDGE_CONFIG_PUBLIC_KEY", text("32 bytes in base64url", /^[A-Za-z0-9_-]{43}$/), {
    otherwise: "the first key that a configuration came with, kept in DATA_DIR/edge",
    doc: "Whose configurations of CDN customers are believed when they come over the bus.",
    roles: ["edge"],
  }),
  edgeAccessLog: open("EDGE_ACCESS_LOG", path, {
    otherwise: "DATA_DIR/edge/access.log where edge is the only role, else none",
    doc: "A line per request of the edge; - is stdout.",
    roles: ["edge"],
  }),
  edgeAccessLogFormat: fixed("EDGE_ACCESS_LOG_FORMAT", oneOf("json", "combined"), "json", {
    doc: "JSON objects, or lines as Apache and nginx write them.",
    roles: ["edge"],
  }),
  edgeAccessLogSample: fixed("EDGE_ACCESS_LOG_SAMPLE", integer(1, 1_000_000), "100", {
    doc: "One request in so many is logged; those that fail or are cut always are.",
    roles: ["edge"],
  }),
} as const;
