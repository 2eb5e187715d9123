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

const decimal2 = (value: number): string => String(value).padStart(2, "0");

/** `vp09.PP.LL.DD.CC.cp.tc.mc.FF` from `vpcC` (VP Codec ISO Media File Format Binding, "Codecs Parameter String"). */
export const vp9Text = (type: string, vpcC: BoxView): string => {
  const depth = vpcC.u8(6);
  const fields = [vpcC.u8(4), vpcC.u8(5), depth >> 4, (depth >> 1) & 7, vpcC.u8(7), vpcC.u8(8), vpcC.u8(9), depth & 1];
  return `${type}.${fields.map(decimal2).join(".")}`;
};

/** Primaries, transfer, matrix and range of a `colr` box (ISO/IEC 14496-12 §12.1.5); BT.709 where it has none. */
const colourOf = (colr: BoxView | undefined): readonly [number, number, number, number] => {
  if (colr?.body.toString("latin1", 0, 4) !== "nclx") return [1, 1, 1, 0];
  return [colr.u16(4), colr.u16(6), colr.u16(8), colr.u8(10) >> 7];
};

/** What the optional fields of an AV1 string are when they are left out. */
const AV1_DEFAULTS = ".0.110.01.01.01.0";

/** `av01.P.LLT.DD`, with colours where they aren't the usual (AV1 Codec ISO Media File Format Binding §5). */
export const av1Text = (type: string, av1C: BoxView, colr: BoxView | undefined): string => {
  const profile = av1C.u8(1) >> 5;
  const bits = av1C.u8(2);
  const isHigh = (bits & 0x40) !== 0;
  const depth = isHigh ? (profile === 2 && bits & 0x20 ? 12 : 10) : 8;
  const [x, y] = [(bits >> 3) & 1, (bits >> 2) & 1];
  const [primaries, transfer, matrix, fullRange] = colourOf(colr);
  const subsampling = `${x}${y}${x & y ? bits & 3 : 0}`;
  const colours = [primaries, transfer, matrix].map(decimal2).join(".");
  const optional = `.${(bits >> 4) & 1}.${subsampling}.${colours}.${fullRange}`;
  const required = `${type}.${profile}.${decimal2(av1C.u8(1) & 0x1f)}${bits & 0x80 ? "H" : "M"}.${decimal2(depth)}`;
  return optional === AV1_DEFAULTS ? required : required + optional;
};
