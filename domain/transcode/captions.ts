/**
 * Captions of analogue television inside of pictures (CEA-608-E). Two fields carry two channels each, between commands
 * that say whose turn it is. ffmpeg's decoder knows fields and no channels: so each channel is told apart here, and
 * given to it alone, as the only one of the first field.
 */

export const CAPTION_CHANNELS = ["CC1", "CC2", "CC3", "CC4"] as const;
export type CaptionChannel = (typeof CAPTION_CHANNELS)[number];

/** Raw Captions With Time: a head, then blocks of a time in ms, a count, and that many triplets of `cc_data`. */
const HEAD_BYTES = 11;
const BLOCK_HEAD_BYTES = 10;
const TRIPLET_BYTES = 3;

/** ATSC A/53 part 4 §6.2.3: five marker bits, whether it is valid, and whose pair it is: of field 1, of field 2. */
const VALID = 0x04;
const TYPE = 0x03;

/** Frames of a Scenarist file as ffmpeg reads them. */
const SCC_FRAME_MS = 33;
const SCC_HEAD = "Scenarist_SCC V1.0\n\n";

const hasOddParity = (byte: number): boolean => {
  let bits = byte;
  for (let shift = 4; shift > 0; shift >>= 1) bits ^= bits >> shift;
  return (bits & 1) === 1;
};
const withOddParity = (value: number): number => (hasOddParity(value) ? value : value | 0x80);
const hex = (value: number): string => withOddParity(value).toString(16).padStart(2, "0");

const two = (value: number): string => String(value).padStart(2, "0");
const sccTime = (ms: number): string => {
  const seconds = Math.floor(ms / 1_000);
  const frame = Math.min(29, Math.round((ms % 1_000) / SCC_FRAME_MS));
  return `${two(Math.floor(seconds / 3_600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}:${two(frame)}`;
};

/** 17 hours of a channel that says a pair in each of 30 frames a second, in 18 characters; what is over is left out. */
const CHANNEL_CHARACTERS_MAX = 32 * 2 ** 20;
const LINE_CHARACTERS = sccTime(0).length + "\t\n\n".length;

/** What one channel said, as lines of a Scenarist file: the pairs of each picture. */
class Channel {
  readonly #lines: string[] = [];
  #timeMs = -1;
  #pairs: string[] = [];
  #characters = 0;
  /** Between "text restart" and the next command of captions: pages of text beside the film, which nobody shows. */
  isText = false;

  say(timeMs: number, pair: string): void {
    if (this.#characters > CHANNEL_CHARACTERS_MAX) return;
    this.#characters += pair.length + 1 + (timeMs === this.#timeMs ? 0 : LINE_CHARACTERS);
    if (timeMs !== this.#timeMs) this.#end();
    this.#timeMs = timeMs;
    this.#pairs.push(pair);
  }
  #end(): void {
    if (this.#pairs.length > 0) this.#lines.push(`${sccTime(this.#timeMs)}\t${this.#pairs.join(" ")}\n\n`);
    this.#pairs = [];
  }
  /** Null: it never said anything. */
  file(): string | null {
    this.#end();
    return this.#lines.length === 0 ? null : SCC_HEAD + this.#lines.join("");
  }
}

/** One field: pairs that belong to two channels, one after the other, and in the second to the service beside them. */
class Field {
  readonly #channels: readonly [Channel, Channel];
  #current: Channel | null = null;
  /** Extended data services: packets about the programme (CEA-608-E §9), 0x01 to 0x0F at their beginning and end. */
  #isData = false;

  constructor(channels: readonly [Channel, Channel]) {
    this.#channels = channels;
  }

  take(timeMs: number, first: number, second: number): void {
    const isCommand = (first & 0x7f) >= 0x10 && (first & 0x7f) < 0x20;
    // Damaged: a command would be another one, a letter is shown as a block.
    if (!hasOddParity(first) || (isCommand && !hasOddParity(second))) return;
    const [a, b] = [first & 0x7f, hasOddParity(second) ? second & 0x7f : 0x7f];
    if (a === 0 && b === 0) return; // nothing is said
    if (a > 0 && a < 0x10) {
      this.#isData = a !== 0x0f;
      return;
    }
    if (isCommand) {
      this.#isData = false;
      this.#command(timeMs, a, b);
      return;
    }
    if (this.#isData || this.#current === null || this.#current.isText) return;
    this.#current.say(timeMs, hex(a) + hex(b));
  }

  /** Bit 3 of the first byte is the second channel. The commands of modes are 0x14 in field 1 and 0x15 in field 2. */
  #command(timeMs: number, a: number, b: number): void {
    const channel = this.#channels[(a & 0x08) === 0 ? 0 : 1];
    this.#current = channel;
    const code = a & 0x17;
    const isMode = (code === 0x14 || code === 0x15) && b >= 0x20 && b < 0x30;
    if (isMode && (b === 0x2a || b === 0x2b)) channel.isText = true;
    if (isMode && (b === 0x20 || (b >= 0x25 && b <= 0x27) || b === 0x29)) channel.isText = false;
    if (!channel.isText) channel.say(timeMs, hex(isMode ? 0x14 : code) + hex(b));
  }
}

/** Reads what ffmpeg's `rcwt` writes, in pieces of any size. Gives a Scenarist file for each channel that is used. */
export class CaptionReader {
  readonly #channels = [new Channel(), new Channel(), new Channel(), new Channel()] as const;
  readonly #fields = [
    new Field([this.#channels[0], this.#channels[1]]),
    new Field([this.#channels[2], this.#channels[3]]),
  ] as const;
  #rest: Buffer = Buffer.alloc(0);
  #isHeadRead = false;

  push(bytes: Buffer): void {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    let at = 0;
    if (!this.#isHeadRead && all.length >= HEAD_BYTES) {
      this.#isHeadRead = true;
      at = HEAD_BYTES;
    }
    while (this.#isHeadRead && all.length - at >= BLOCK_HEAD_BYTES) {
      const end = at + BLOCK_HEAD_BYTES + TRIPLET_BYTES * all.readUInt16LE(at + 8);
      if (end > all.length) break;
      this.#block(all.subarray(at, end));
      at = end;
    }
    this.#rest = Buffer.from(all.subarray(at)); // less than a block: 200 kB
  }

  #block(block: Buffer): void {
    const timeMs = Number(block.readBigInt64LE(0));
    if (timeMs < 0) return; // of before the beginning
    for (let at = BLOCK_HEAD_BYTES; at < block.length; at += TRIPLET_BYTES) {
      const marker = block[at]!;
      const field = (marker & VALID) === 0 ? undefined : this.#fields[marker & TYPE]; // 2 and 3 are CEA-708
      field?.take(timeMs, block[at + 1]!, block[at + 2]!);
    }
  }

  files(): ReadonlyMap<CaptionChannel, string> {
    const said = CAPTION_CHANNELS.map((name, i) => [name, this.#channels[i]?.file() ?? null] as const);
    return new Map(said.filter((one): one is readonly [CaptionChannel, string] => one[1] !== null));
  }
}
