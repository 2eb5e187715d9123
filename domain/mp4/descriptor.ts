/** Descriptors of MPEG-4 systems (ISO/IEC 14496-1 §7.2.6, §8.3.3), as they stand in `esds`. */
import { type BoxView, damaged } from "./box-view.ts";

const ES_DESCRIPTOR = 0x03;
const DECODER_CONFIG = 0x04;
const DECODER_SPECIFIC_INFO = 0x05;
const SIZE_BYTES_MAX = 4;
const DECODER_CONFIG_BYTES = 13; // object type, stream type, buffer size, two bit rates (§7.2.6.6)

/** What `esds` says of a stream. */
export interface ElementaryStream {
  /** Object type indication (§7.2.6.6.2, MP4RA): 0x40 is MPEG-4 audio. */
  readonly objectType: number;
  /** Decoder specific info; empty where there is none. */
  readonly configuration: Buffer;
}

interface Descriptor {
  readonly at: number;
  readonly length: number;
}

/** The contents of a descriptor: after its tag and one to four bytes of size. */
const contents = (esds: BoxView, at: number, tag: number): Descriptor => {
  if (esds.u8(at) !== tag) return damaged(`esds: descriptor ${esds.u8(at)} where ${tag} was expected`);
  let length = 0;
  for (let next = at + 1; next <= at + SIZE_BYTES_MAX; next += 1) {
    length = length * 128 + (esds.u8(next) & 0x7f);
    if (!(esds.u8(next) & 0x80)) return { at: next + 1, length };
  }
  return damaged("esds: a size of more than four bytes");
};

/** Optional fields of an ES descriptor (§7.2.6.5), after its id. */
const esFieldsBytes = (esds: BoxView, at: number): number => {
  const flags = esds.u8(at + 2);
  const dependsOn = flags & 0x80 ? 2 : 0;
  const url = flags & 0x40 ? 1 + esds.u8(at + 3 + dependsOn) : 0;
  return 3 + dependsOn + url + (flags & 0x20 ? 2 : 0);
};

/** Reads `esds` (ISO/IEC 14496-14 §5.6). */
export const readEsds = (esds: BoxView): ElementaryStream => {
  const stream = contents(esds, 4, ES_DESCRIPTOR);
  const decoder = contents(esds, stream.at + esFieldsBytes(esds, stream.at), DECODER_CONFIG);
  const objectType = esds.u8(decoder.at);
  const specific = decoder.at + DECODER_CONFIG_BYTES;
  if (decoder.length <= DECODER_CONFIG_BYTES || specific >= esds.bytes || esds.u8(specific) !== DECODER_SPECIFIC_INFO)
    return { objectType, configuration: Buffer.alloc(0) };
  const { at, length } = contents(esds, specific, DECODER_SPECIFIC_INFO);
  return { objectType, configuration: esds.slice(at, length) };
};
