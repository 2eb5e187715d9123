/** RFC 6381 strings made from decoder configurations, for CODECS of playlists and `codecs` of manifests. */
import type { BoxView } from "./box-view.ts";

const hex2 = (value: number): string => value.toString(16).padStart(2, "0");

/** `avc1.PPCCLL` from `avcC` (ISO/IEC 14496-15 §5.4.2.1; RFC 6381 §3.3). */
export const avcText = (type: string, avcC: BoxView): string =>
  `${type}.${hex2(avcC.u8(1))}${hex2(avcC.u8(2))}${hex2(avcC.u8(3))}`;

const reversedBits32 = (value: number): number => {
  let out = 0;
  for (let bit = 0; bit < 32; bit += 1) out = (out << 1) | ((value >>> bit) & 1);
  return out >>> 0;
};

/** `hvc1.P.C.TL.constraints` from `hvcC` (ISO/IEC 14496-15 annex E). */
export const hevcText = (type: string, hvcC: BoxView): string => {
  const profile = hvcC.u8(1);
  const space = ["", "A", "B", "C"][profile >> 6] ?? "";
  const tier = profile & 0x20 ? "H" : "L";
  const constraints = [...hvcC.slice(6, 6)];
  while (constraints.length > 0 && constraints.at(-1) === 0) constraints.pop();
  const tail = constraints.map((byte) => `.${byte.toString(16)}`).join("");
  const compatibility = reversedBits32(hvcC.u32(2)).toString(16);
  return `${type}.${space}${profile & 0x1f}.${compatibility}.${tier}${hvcC.u8(12)}${tail}`;
};
