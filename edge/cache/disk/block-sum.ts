/**
 * The checksum of a block of a body. Each block has one of its own, so that a range is verified by reading its blocks
 * alone.
 *
 * Large blocks are summed by GMAC (NIST SP 800-38D) under a fixed key, cut to 32 bits: a checksum against damage, not
 * against forgery, and the processor's carry-less multiply does it. Measured on 256 KiB blocks 0.07 CPU s/GB against
 * 0.16 of zlib.crc32, which alone would have cost half of what the whole server may take. Its fixed cost makes CRC-32
 * the cheaper one for small blocks; a KeyObject made once keeps that at 3 µs (12 with a Buffer as the key).
 */
import { createCipheriv, createSecretKey } from "node:crypto";
import { crc32 } from "node:zlib";

export const BLOCK_BYTES = 256 * 1024;
/** From here on GMAC is cheaper. A part of the format: the sums of blocks on disk depend on it. */
const GMAC_FROM_BYTES = 32 * 1024;
const KEY = createSecretKey(Buffer.alloc(16));
const NONCE = Buffer.alloc(12);

/** 32 bits over a block of at most BLOCK_BYTES. */
export const blockSum = (block: Uint8Array): number => {
  if (block.length < GMAC_FROM_BYTES) return crc32(block);
  const gmac = createCipheriv("aes-128-gcm", KEY, NONCE);
  gmac.setAAD(block);
  gmac.final();
  return gmac.getAuthTag().readUInt32LE(0);
};

/** How many blocks, and so sums, a body has. */
export const blockCountOf = (bodyBytes: number): number => Math.ceil(bodyBytes / BLOCK_BYTES);
