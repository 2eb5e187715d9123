/** The variables of VOD: object store, uploads, transcoding, keys, enrichment, playback. */
import { baseUrl, bytes, duration, flag, integer, list, oneOf, path, port, text, url } from "./kinds.ts";
import { fixed, open } from "./variable.ts";

const GiB = 2 ** 30;
const SECRET = text("1 to 1000 printable characters", /^[\x21-\x7e]{1,1000}$/);

const objects = {
  objectStore: open("OBJECT_STORE", oneOf("filesystem", "s3"), {
    otherwise: "s3 where S3_ENDPOINT is set, else filesystem",
    doc: "Where uploads, rungs and pictures are kept.",
    roles: ["control", "transcoder", "packager"],
  }),
  objectsDir: open("OBJECTS_DIR", path, {
    otherwise: "DATA_DIR/objects",
    doc: "Folder of the object store filesystem; nodes on several machines need a shared one, or S3.",
    roles: ["control", "transcoder", "packager"],
  }),
  objectS3Endpoint: open("S3_ENDPOINT", url("http", "https"), {
    otherwise: "AWS",
    doc: "An S3 server that is not Amazon's.",
    roles: ["control", "transcoder", "packager"],
  }),
  objectS3Region: fixed("S3_REGION", text("a region's name", /^[a-z0-9-]{1,64}$/), "us-east-1", {
    doc: "Region of the buckets.",
    roles: ["control", "transcoder", "packager"],
  }),
  objectS3AccessKeyId: open("S3_ACCESS_KEY_ID", SECRET, {
    otherwise: "as the AWS SDK finds it",
    doc: "Access key.",
    roles: ["control", "transcoder", "packager"],
    secret: true,
  }),
  objectS3SecretAccessKey: open("S3_SECRET_ACCESS_KEY", SECRET, {
    otherwise: "as the AWS SDK finds it",
    doc: "Its secret.",
    roles: ["control", "transcoder", "packager"],
    secret: true,
  }),
  objectS3PathStyle: open("S3_PATH_STYLE", flag, {
    otherwise: "on with an endpoint",
    doc: "The bucket's name is in the path and not in the host.",
    roles: ["control", "transcoder", "packager"],
  }),
  bucketPrefix: fixed("BUCKET_PREFIX", text("1 to 40 letters, digits and -", /^[a-z0-9][a-z0-9-]{0,39}$/), "plexbd", {
    doc: "What the names of the buckets begin with: plexbd-segments, plexbd-thumbnails, plexbd-trailers, plexbd-sources.",
    roles: ["control", "transcoder", "packager"],
  }),
} as const;

const uploads = {
  uploadPort: fixed("UPLOAD_PORT", port, "8070", {
    doc: "Port of the upload listener; only gateways speak to it.",
    roles: ["control"],
  }),
  uploadInternalUrl: open("UPLOAD_INTERNAL_URL", baseUrl, {
    otherwise: "http://HOST:UPLOAD_PORT",
    doc: "Where gateways reach the upload listener of this process.",
    roles: ["control"],
  }),
  uploadBytesMax: fixed("UPLOAD_BYTES_MAX", bytes(1), String(256 * GiB), {
    doc: "Largest file that is taken.",
    roles: ["control"],
  }),
  uploadQuotaBytes: open("UPLOAD_QUOTA_BYTES", bytes(1), {
    otherwise: "no quota",
    doc: "What the sources of one tenant may take in all.",
    roles: ["control"],
  }),
  uploadExpiresMs: fixed("UPLOAD_EXPIRES", duration(1_000, 30 * 86_400_000), "24h", {
    doc: "How long an upload that has not ended waits for its next byte.",
    roles: ["control"],
  }),
} as const;

const jobs = {
  jobWaitMaxMs: fixed("JOB_WAIT_MAX", duration(60_000, 365 * 86_400_000), "168h", {
    doc: "How long a job waits for an object store, a bus or a service that is away until it is dead.",
    roles: ["control", "transcoder"],
  }),
} as const;

const transcoding = {
  transcodeSlots: open("TRANSCODE_SLOTS", integer(1, 64), {
    otherwise: "2, or 1 where there are 4 GB of memory or less",
    doc: "Transcode jobs that this process runs side by side.",
    roles: ["transcoder"],
  }),
  transcodePreset: fixed(
    "TRANSCODE_PRESET",
    oneOf("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"),
    "veryfast",
    { doc: "x264 and x265 preset of VOD rungs.", roles: ["transcoder"] },
  ),
  transcodeCodec: fixed("TRANSCODE_CODEC", oneOf("h264", "hevc", "all"), "h264", {
    doc: "Codecs of a title's rungs where the title names none; all: the seven rungs of both.",
    roles: ["control", "transcoder"],
  }),
} as const;

const keys = {
  masterKey: open("MASTER_KEY", text("64 hexadecimal digits", /^[0-9a-fA-F]{64}$/), {
    otherwise: "the one in MASTER_KEY_FILE",
    doc: "What content keys are wrapped with at rest (AES-256-GCM).",
    roles: ["control"],
    secret: true,
  }),
  masterKeyFile: open("MASTER_KEY_FILE", path, {
    otherwise: "DATA_DIR/run/master-key, made at the first start",
    doc: "File with that key in hexadecimal digits; further lines are former keys that still open what they wrapped.",
    roles: ["control"],
  }),
  contentEncryption: fixed("CONTENT_ENCRYPTION", oneOf("aes-128", "cbcs", "cenc", "none"), "aes-128", {
    doc: "How titles are encrypted that don't say.",
    roles: ["control"],
  }),
} as const;

const catalog = {
  purgeGraceMs: fixed("PURGE_GRACE", duration(0, 30 * 86_400_000), "0s", {
    doc: "How long a deleted title can be restored before its files and rows are removed.",
    roles: ["control"],
  }),
} as const;

const enrichment = {
  tmdbUrl: fixed("TMDB_URL", baseUrl, "https://api.themoviedb.org/3", {
    doc: "The metadata service; its own simulator speaks like it.",
    roles: ["control"],
  }),
  tmdbImageUrl: fixed("TMDB_IMAGE_URL", baseUrl, "https://image.tmdb.org/t/p", {
    doc: "Where its pictures are.",
    roles: ["control"],
  }),
  tmdbToken: open("TMDB_TOKEN", SECRET, {
    otherwise: "titles are not enriched",
    doc: "Read access token of that service.",
    roles: ["control"],
    secret: true,
  }),
  tmdbRequestsPerSecond: fixed("TMDB_RATE", integer(1, 1_000), "40", {
    doc: "Requests per second that are sent to it.",
    roles: ["control"],
  }),
} as const;

const playback = {
  redisUrl: open("REDIS_URL", url("redis", "rediss"), {
    otherwise: "the memory of each process",
    doc: "Redis for what is quick to look up and can be lost: playback sessions.",
    roles: ["control"],
    secret: true,
  }),
  playbackSessionMs: fixed("PLAYBACK_SESSION_TTL", duration(60_000, 7 * 86_400_000), "6h", {
    doc: "How long a playback session and its addresses are good.",
    roles: ["control"],
  }),
  playbackHeartbeatMs: fixed("PLAYBACK_HEARTBEAT", duration(1_000, 3_600_000), "30s", {
    doc: "How often players are asked to say that they still play.",
    roles: ["control"],
  }),
  edgeGatewayUrls: open("EDGE_GATEWAY_URLS", list(baseUrl), {
    otherwise: "the gateway of this process, if it has one",
    doc: "Gateways that an edge asks for content keys, by commas.",
    roles: ["edge"],
  }),
} as const;

export const VOD_VARIABLES = {
  ...objects,
  ...uploads,
  ...jobs,
  ...transcoding,
  ...keys,
  ...catalog,
  ...enrichment,
  ...playback,
} as const;
