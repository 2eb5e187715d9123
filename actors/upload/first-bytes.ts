/**
 * What is certainly no film, by its first bytes: refused before the rest of it comes. Everything else is ffprobe's to
 * judge, once it is whole; so this names what is refused, and not what is taken.
 */
import { fail } from "../../contracts/errors.ts";

const ascii = (text: string): Buffer => Buffer.from(text, "latin1");

/** How many bytes are looked at. */
const FIRST_BYTES = 512;

const SIGNATURES: readonly (readonly [Buffer, string])[] = [
  [ascii("PK\x03\x04"), "a ZIP archive"],
  [ascii("PK\x05\x06"), "a ZIP archive"],
  [ascii("%PDF-"), "a PDF document"],
  [ascii("\x7fELF"), "a program"],
  [ascii("MZ"), "a program"],
  [ascii("#!"), "a script"],
  [ascii("\x1f\x8b\x08"), "a gzip archive"],
  [ascii("7z\xbc\xaf\x27\x1c"), "a 7-Zip archive"],
  [ascii("Rar!\x1a\x07"), "a RAR archive"],
  [ascii("\xfd7zXZ\x00"), "an XZ archive"],
  [ascii("\x28\xb5\x2f\xfd"), "a Zstandard archive"],
  [ascii("\x89PNG\r\n\x1a\n"), "a picture"],
  [ascii("\xff\xd8\xff"), "a picture"],
  [ascii("GIF8"), "a picture"],
  [ascii("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "an Office document"],
  [ascii("SQLite format 3\x00"), "a database"],
];
/** A list of other addresses: whoever reads it would go and fetch them. */
const PLAYLIST = /^\s*(?:#EXTM3U|ffconcat version)/;
const TEXT = /^[\t\n\r\x20-\x7e]+$/;
/** Media that begins like a text. */
const TEXT_MEDIA = /^(?:YUV4MPEG2|FRM8|#!AMR)/;

/** What a file is that begins like this, when it is certainly no film; null: it may be one. */
export const notMedia = (head: Uint8Array): string | null => {
  const bytes = Buffer.from(head.buffer, head.byteOffset, Math.min(head.byteLength, FIRST_BYTES));
  const text = bytes.toString("latin1");
  if (PLAYLIST.test(text)) return "a playlist";
  if (TEXT_MEDIA.test(text)) return null;
  for (const [signature, what] of SIGNATURES) if (bytes.indexOf(signature) === 0) return what;
  return bytes.length > 0 && TEXT.test(text) ? "a text" : null;
};

/** Looks at the beginning of what comes. */
export class FirstBytes {
  #head: Buffer | null = Buffer.alloc(0);

  /** `isAll`: no more comes. Fails with UPLOAD_REFUSED. */
  look(chunk: Buffer, { isAll }: { readonly isAll: boolean }): void {
    if (!this.#head) return;
    const head = Buffer.concat([this.#head, chunk.subarray(0, FIRST_BYTES - this.#head.length)]);
    this.#head = head;
    if (head.length < FIRST_BYTES && !isAll) return;
    this.#head = null;
    const what = notMedia(head);
    if (what !== null) fail("UPLOAD_REFUSED", { reason: `it is ${what}` });
  }
}
