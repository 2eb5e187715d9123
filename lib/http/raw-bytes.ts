/** Classes of the bytes of an HTTP/1.1 head (RFC 9110 §5.6.2, §5.5; RFC 9112 §3), and comparisons without strings. */

export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const COLON = 0x3a;

const classOf = (isMember: (byte: number) => boolean): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, byte) => (isMember(byte) ? 1 : 0));

const TOKEN_TEXT = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** tchar: methods and field names. */
export const IS_TOKEN = classOf((byte) => TOKEN_TEXT.includes(String.fromCharCode(byte)));
/** Visible ASCII without `#`: no request target has a fragment, and what is not ASCII has to be percent-encoded. */
export const IS_TARGET = classOf((byte) => byte > SP && byte < 0x7f && byte !== 0x23);
/** field-content: tab, space, visible ASCII and obs-text; no other control byte. */
export const IS_VALUE = classOf((byte) => byte === TAB || (byte >= SP && byte !== 0x7f));
/** uri-host [ ":" port ] (RFC 3986 §3.2.2). */
const HOST = /^(?:\[[\da-fA-F:.]+\]|[\w\-.~!$&'()*+,;=%]+)(?::\d{0,5})?$/;
export const isHost = (text: string): boolean => HOST.test(text);

/** Upper-case ASCII letters as lower-case ones; all else as it is. */
const LOWER = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte));

/** Whether `text` (lower-case ASCII) stands at `at`, in whatever case. */
export const standsAt = (bytes: Uint8Array, at: number, text: string): boolean => {
  if (at + text.length > bytes.length) return false;
  for (let i = 0; i < text.length; i += 1) if (LOWER[bytes[at + i]!] !== text.charCodeAt(i)) return false;
  return true;
};
