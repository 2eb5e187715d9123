/** Media types of files by the suffix of their names: what players and packagers ask for, and what pages have. */

const TYPES: Readonly<Record<string, string>> = {
  m3u8: "application/vnd.apple.mpegurl",
  mpd: "application/dash+xml",
  ism: "application/vnd.ms-sstr+xml",
  smil: "application/smil+xml",
  csmil: "application/smil+xml",
  mp4: "video/mp4",
  m4v: "video/mp4",
  m4s: "video/iso.segment",
  cmfv: "video/mp4",
  cmfa: "audio/mp4",
  cmft: "application/mp4",
  m4a: "audio/mp4",
  ts: "video/mp2t",
  mov: "video/quicktime",
  mkv: "video/x-matroska",
  webm: "video/webm",
  mp3: "audio/mpeg",
  aac: "audio/aac",
  ac3: "audio/ac3",
  ec3: "audio/eac3",
  flac: "audio/flac",
  ogg: "audio/ogg",
  opus: "audio/ogg",
  wav: "audio/wav",
  vtt: "text/vtt; charset=utf-8",
  srt: "application/x-subrip",
  ttml: "application/ttml+xml",
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  mjs: "text/javascript; charset=utf-8",
  wasm: "application/wasm",
  json: "application/json",
  xml: "application/xml",
  txt: "text/plain; charset=utf-8",
  pdf: "application/pdf",
  zip: "application/zip",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  png: "image/png",
  gif: "image/gif",
  webp: "image/webp",
  avif: "image/avif",
  svg: "image/svg+xml",
  ico: "image/x-icon",
  woff: "font/woff",
  woff2: "font/woff2",
};

/** The media type of a path's last part; `application/octet-stream` where the suffix says nothing. */
export const contentTypeOf = (path: string): string => {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  const suffix = dot === -1 ? "" : name.slice(dot + 1).toLowerCase();
  return (Object.hasOwn(TYPES, suffix) ? TYPES[suffix] : undefined) ?? "application/octet-stream";
};
