/** Every variable that Castellan reads: help, docs/configuration.md, the doctor and the typed config come from here. */

import { EDGE_VARIABLES } from "./edge-variables.ts";
import { baseUrl, bytes, cidrList, duration, flag, integer, oneOf, path, port, text, url, wordList } from "./kinds.ts";
import { PACKAGER_VARIABLES } from "./packager-variables.ts";
import { fixed, open, ROLES, type Role } from "./variable.ts";
import { VOD_VARIABLES } from "./vod-variables.ts";

export { ROLES, type Role } from "./variable.ts";

/** What each role is for, in one sentence. */
export const ROLE_DOCS: Readonly<Record<Role, string>> = {
  gateway: "The REST API, its reference and the watch page.",
  control:
    "Channels, their supervisors, tenants, the catalog, uploads, keys, playback sessions and the edges' snapshots; uses the database.",
  streamer: "Takes sources in with ffmpeg and serves live HLS and DASH.",
  transcoder: "Turns uploaded files into the rungs, tracks and pictures of titles with ffmpeg; uses the database.",
  packager: "Makes HLS and DASH out of stored MP4 files on demand; runs alone too, without any other server.",
  edge: "The cache that viewers talk to; with a file of sites it runs alone too, in front of anybody's origin.",
};

/** The actors of the role control; each may also be a process of its own, under the name of its folder. */
export const CONTROL_ACTORS = [
  "tenant",
  "channel",
  "channel-supervisor",
  "fleet",
  "scheduler",
  "catalog",
  "upload",
  "keyserver",
  "playback",
] as const;
export type ControlActor = (typeof CONTROL_ACTORS)[number];

const MiB = 2 ** 20;

/** The variables, under the names of the config's fields, in the order in which they are listed. */
export const VARIABLES = {
  roles: fixed("ROLES", wordList(...ROLES, ...CONTROL_ACTORS), "all", {
    doc: "What this process does: roles, or single actors of control. Less than all of it needs NATS_URL, but for packager alone.",
    roles: "all",
  }),
  host: fixed("HOST", text("a host name or an address", /^[A-Za-z0-9._:-]{1,255}$/), "127.0.0.1", {
    doc: "Address that every listener binds; 0.0.0.0 for all.",
    roles: "all",
  }),
  port: fixed("PORT", port, "8080", {
    doc: "Port of the gateway: REST API, its reference, watch page.",
    roles: ["gateway"],
  }),
  publicUrl: open("PUBLIC_URL", baseUrl, {
    otherwise: "http://HOST:PORT",
    doc: "The gateway's address as clients see it; put into answers.",
    roles: ["gateway"],
  }),
  ...EDGE_VARIABLES,
  streamerPort: fixed("STREAMER_PORT", port, "8082", {
    doc: "Port of the first streamer; further ones of this process take the next ports.",
    roles: ["streamer"],
  }),
  streamerPublicUrl: open("STREAMER_PUBLIC_URL", baseUrl, {
    otherwise: "http://HOST:(its port)",
    doc: "Address of the first streamer as other nodes and viewers see it; further ones add to its port.",
    roles: ["streamer"],
  }),
  streamers: open("STREAMERS", integer(1, 64), {
    otherwise: "2 with all roles in one process, else 1",
    doc: "Streamers in this process.",
    roles: ["streamer"],
  }),
  streamsMax: fixed("STREAMS_MAX", integer(1, 10_000), "64", {
    doc: "Streams that one streamer takes; more are refused.",
    roles: ["streamer"],
  }),
  ringBytesMax: fixed("RING_BYTES_MAX", bytes(4 * MiB), "64MiB", {
    doc: "Memory for the segments of one stream; the oldest go first.",
    roles: ["streamer"],
  }),
  ffmpegPath: open("FFMPEG_PATH", path, {
    otherwise: "the one from npm, else ffmpeg in PATH",
    doc: "The ffmpeg to run.",
    roles: ["streamer", "transcoder"],
  }),
  ffmpegPreset: fixed("FFMPEG_PRESET", oneOf("ultrafast", "superfast", "veryfast", "faster", "fast"), "veryfast", {
    doc: "x264 preset where a channel names none: slower ones look better and cost more.",
    roles: ["streamer"],
  }),
  allowPrivateSources: fixed("ALLOW_PRIVATE_SOURCES", cidrList, "", {
    doc: "Private networks that tenants may name in source and castis URLs, and that a packager's source may lead to.",
    roles: ["control", "streamer", "packager", "edge"],
  }),
  healthPort: open("HEALTH_PORT", port, {
    otherwise: "no such listener",
    doc: "Port for /livez, /readyz and /metrics alone, for a process without another listener.",
    roles: "all",
  }),
  dataDir: fixed("DATA_DIR", path, "data", {
    doc: "Where this process keeps its state; one process per directory.",
    roles: "all",
  }),
  nodeId: open("NODE_ID", text("1 to 63 letters, digits, - and _", /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/), {
    otherwise: "made once, kept in DATA_DIR",
    doc: "Name of this process among all nodes.",
    roles: "all",
  }),
  namespace: fixed("NAMESPACE", text("1 to 32 letters, digits, - and _", /^[A-Za-z0-9_-]{1,32}$/), "castellan", {
    doc: "Nodes of one namespace find each other on the bus.",
    roles: "all",
  }),
  natsUrl: open("NATS_URL", url("nats", "tls", "ws", "wss"), {
    otherwise: "no bus; all roles are in this process",
    doc: "The NATS server (with JetStream) between the nodes.",
    roles: "all",
    secret: true,
  }),
  databaseUrl: open("DATABASE_URL", url("postgres", "postgresql"), {
    otherwise: "an embedded PostgreSQL 18 in DATA_DIR",
    doc: "PostgreSQL 15 or newer; its user must own the database or be superuser.",
    roles: ["control", "transcoder"],
    secret: true,
  }),
  eventPrefix: fixed("EVENT_PREFIX", text("1 to 32 letters, digits, - and _", /^[A-Za-z0-9_-]{1,32}$/), "plexbd", {
    doc: "First word of the subjects that facts get on the bus.",
    roles: ["control"],
  }),
  leaseTtlMs: fixed("LEASE_TTL", duration(1000, 600_000), "6s", {
    doc: "After this long without a sign of life a frozen control process loses its channels.",
    roles: ["control"],
  }),
  adminApiKey: open("ADMIN_API_KEY", text("16 to 200 printable characters without spaces", /^[\x21-\x7e]{16,200}$/), {
    otherwise: "one is made at the first start and shown once",
    doc: "The first key with platform:admin.",
    roles: ["control"],
    secret: true,
  }),
  demo: open("DEMO", flag, {
    otherwise: "on with all roles in one process, else off",
    doc: "Make a demo channel at the first start; control and streamer must be in one process.",
    roles: ["control"],
  }),
  logLevel: fixed("LOG_LEVEL", oneOf("error", "warn", "info", "debug", "trace", "silent"), "info", {
    doc: "The least urgent messages that are logged.",
    roles: "all",
  }),
  logFormat: open("LOG_FORMAT", oneOf("pretty", "json"), {
    otherwise: "pretty on a terminal, else json",
    doc: "Logs for eyes or one JSON object a line.",
    roles: "all",
  }),
  ...VOD_VARIABLES,
  ...PACKAGER_VARIABLES,
} as const;
export type VariableKey = keyof typeof VARIABLES;
