/** What a track says of itself: `tkhd`, `mdhd`, `elng`, `hdlr`, `udta` (ISO/IEC 14496-12 §8.3, §8.4). */
import { type BoxView, damaged } from "./box-view.ts";
import { MovieError } from "./movie.ts";

const FIXED_POINT = 2 ** 16;
const UNDETERMINED = "und";

/** `track_ID` of `tkhd` (§8.3.2). */
export const trackId = (tkhd: BoxView): number => tkhd.u32(tkhd.version === 1 ? 20 : 12);

/** Enabled tracks are presented; the others only when chosen. */
export const isEnabled = (tkhd: BoxView): boolean => (tkhd.flags & 1) === 1;

/** Clockwise degrees of the matrix of `tkhd`, to the next quarter; 0 where it mirrors the picture. */
export const rotationOf = (tkhd: BoxView): number => {
  const at = tkhd.version === 1 ? 52 : 40;
  const entry = (index: number): number => tkhd.i32(at + index * 4) / FIXED_POINT;
  const [a, b, c, d] = [entry(0), entry(1), entry(3), entry(4)];
  if (a * d - b * c <= 0) return 0;
  const quarters = Math.round(Math.atan2(b, a) / (Math.PI / 2));
  return ((quarters + 4) % 4) * 90;
};

/** Units per second of `mdhd` and of `mvhd`, whose fields stand at the same places. */
export const timescaleOf = (header: BoxView): number => {
  const timescale = header.u32(header.version === 1 ? 20 : 12);
  return timescale > 0 ? timescale : damaged(`${header.type}: a timescale of 0`);
};

/** The shortest tag of a language (RFC 5646 §4.1): `en` for `eng`; what is no tag is undetermined. */
const tagOf = (text: string): string => {
  try {
    return Intl.getCanonicalLocales(text)[0] ?? UNDETERMINED;
  } catch {
    return UNDETERMINED;
  }
};

/** Macintosh language codes, in order (QuickTime File Format, "Language Code Values"). */
const MACINTOSH = "en fr de it nl sv es da pt no he ja ar fi el is mt tr hr zh-Hant ur hi th ko".split(" ");
const PACKED_MIN = 0x400;

/** Three letters of five bits (§8.4.2.3), or a Macintosh code. */
const packedLanguage = (packed: number): string => {
  if (packed < PACKED_MIN) return MACINTOSH[packed] ?? UNDETERMINED;
  return tagOf(String.fromCharCode(...[10, 5, 0].map((shift) => ((packed >> shift) & 31) + 0x60)));
};

/** Text up to the first NUL. */
const textOf = (bytes: Buffer): string => bytes.toString("utf8").split("\0", 1)[0]?.trim() ?? "";

/** `elng` (§8.4.6), else the language of `mdhd`. */
export const languageOf = (mdia: BoxView): string => {
  const elng = mdia.child("elng");
  if (elng) return tagOf(textOf(elng.slice(4, elng.bytes - 4)));
  const mdhd = mdia.need("mdhd");
  return packedLanguage(mdhd.u16(mdhd.version === 1 ? 32 : 20) & 0x7fff);
};

const NAME_BYTES_MAX = 200;
/** What muxers write into every `hdlr`: no name of a track. */
const NO_NAME = /handler|core media|media file|mainconcept|gpac|bento4|l-smash|^(video|audio|sound|text|subtitle)$/i;

/** Name in `hdlr`: a C string, or with its length in front where QuickTime wrote it (a component type is told). */
const handlerName = (hdlr: BoxView): string => {
  const bytes = hdlr.body.subarray(24);
  return textOf(hdlr.u32(4) === 0 ? bytes : bytes.subarray(1, 1 + (bytes[0] ?? 0)));
};

/** Name of a track: `name` in `udta`, else that of `hdlr` where it is one. */
export const nameOf = (trak: BoxView): string => {
  try {
    const name = trak.find("udta", "name")?.body;
    const handler = handlerName(trak.need("mdia", "hdlr"));
    const text = name ? textOf(name) : NO_NAME.test(handler) ? "" : handler;
    return text.slice(0, NAME_BYTES_MAX);
  } catch (error) {
    if (error instanceof MovieError) return ""; // user data are anybody's: they break no film
    throw error;
  }
};
