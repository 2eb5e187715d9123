/** What every answer of a packager has to be, whatever its file is: judged by its outside, without knowing the file. */
import assert from "node:assert/strict";
import { playlistProblems } from "../support/hls-grammar.ts";
import type { Reply } from "./watched.ts";

/** Folders whose files are encrypted; their rules are in `encryptedFolders`. */
export const ENCRYPTED = ["aes-128", "sample-aes", "cenc", "cbcs"] as const;

export const encryptedFolders = (): Record<string, string> =>
  Object.fromEntries(
    ENCRYPTED.flatMap((method) => {
      const name = `CASTERPAK_ENCRYPTION_${method.replace("-", "").toUpperCase()}`;
      return [
        [`${name}_PATHS`, `/${method}/*`],
        [`${name}_METHOD`, method],
        [`${name}_SECRET`, "of-the-damaged-movies"],
      ];
    }),
  );

/** Of a file: what is there, what has no form in a container, or what is none of a movie. */
const ALLOWED = new Set([200, 404, 415]);
const NONSENSE = /NaN|Infinity|undefined|\bnull\b|\[object/;
const TS_PACKET_BYTES = 188;
const CBC_BLOCK_BYTES = 16;

const assertTransportStream = (bytes: Buffer): void => {
  assert.equal(bytes.length % TS_PACKET_BYTES, 0, `${bytes.length} bytes are no whole packets`);
  for (let at = 0; at < bytes.length; at += TS_PACKET_BYTES) assert.equal(bytes[at], 0x47, `no packet at ${at}`);
};

const assertBoxes = (bytes: Buffer): void => {
  let at = 0;
  while (at + 8 <= bytes.length) at += Math.max(8, bytes.readUInt32BE(at));
  assert.equal(at, bytes.length, "boxes end where the answer does");
};

const assertContent = (path: string, bytes: Buffer): void => {
  if (/\.(m3u8|mpd|vtt)$/.test(path)) assert.doesNotMatch(bytes.toString(), NONSENSE);
  if (path.endsWith(".m3u8")) assert.deepEqual(playlistProblems(bytes.toString()), []);
  const isMedia = /\/(segment|iframe)[^/]*\.(ts|m4s)$/.test(path);
  if (isMedia && path.includes("/aes-128/")) assert.equal(bytes.length % CBC_BLOCK_BYTES, 0);
  else if (path.endsWith(".ts")) assertTransportStream(bytes);
  else if (/\.(m4s|mp4)$/.test(path)) assertBoxes(bytes);
};

/** Throws where an answer is none of a file's, is not as long as it says, or makes no sense. */
export const assertAnswer = (path: string, { status, headers, bytes, isPart }: Reply): void => {
  assert.ok(ALLOWED.has(status), `${path}: ${status} ${bytes.subarray(0, 400)}`);
  if (isPart) return;
  assert.equal(Number(headers["content-length"] ?? bytes.length), bytes.length, path);
  if (status !== 200) return;
  try {
    assertContent(path, bytes);
  } catch (error) {
    throw new Error(`${path}\n${bytes.subarray(0, 600).toString("latin1")}`, { cause: error });
  }
};
