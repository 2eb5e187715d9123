/** What ffmpeg does not write, made of what it does: each takes a file with `moov` behind the media. */
import { boxOf, edit, numbersOf, topLevel, typeOf, u32 } from "./boxes.ts";

type Patch = (file: Buffer) => Buffer;

const STBL = "moov/trak/mdia/minf/stbl";
const ENTRY = `${STBL}/stsd`;

/** The eight bytes of `free` that ffmpeg leaves before `mdat` become its 64-bit size. */
export const mdat64: Patch = (file) =>
  Buffer.concat(
    topLevel(file).flatMap((box) => {
      if (typeOf(box) === "free") return [];
      if (typeOf(box) !== "mdat") return [box];
      const body = box.subarray(8);
      return [u32(1), Buffer.from("mdat"), u32(0, body.length + 16), body];
    }),
  );

export const co64: Patch = (file) =>
  edit(file, `${STBL}/stco`, (stco) =>
    boxOf("co64", stco.subarray(8, 16), u32(...numbersOf(stco, 16).flatMap((offset) => [0, offset]))),
  );

/** `stz2` with 16 bits a sample (§8.7.3.3). */
export const stz2: Patch = (file) =>
  edit(file, `${STBL}/stsz`, (stsz) => {
    const sizes = Buffer.alloc((stsz.length - 20) / 2);
    numbersOf(stsz, 20).forEach((size, index) => {
      sizes.writeUInt16BE(size, index * 2);
    });
    return boxOf("stz2", u32(0, 16, sizes.length / 2), sizes);
  });

/** Two equal sample entries, of which every second run of chunks uses the second. */
export const twiceDescribed: Patch = (file) => {
  const twice = edit(file, ENTRY, (stsd) => boxOf("stsd", u32(0, 2), stsd.subarray(16), stsd.subarray(16)));
  return edit(twice, `${STBL}/stsc`, (stsc) => {
    for (let run = 0; 16 + run * 12 < stsc.length; run += 1) stsc.writeUInt32BE(1 + (run % 2), 16 + run * 12 + 8);
    return stsc;
  });
};

/** Sample entries that differ: a codec that changes within the track. */
export const describedOtherwise: Patch = (file) =>
  edit(twiceDescribed(file), `${ENTRY}/avc1`, (entry, index) => {
    if (index === 1) entry.writeUInt16BE(entry.readUInt16BE(32) + 2, 32);
    return entry;
  });

/** `elst` with 64-bit times (§8.6.6). */
export const wideEdits: Patch = (file) =>
  edit(file, "moov/trak/edts/elst", (elst) => {
    const edits: number[] = [];
    for (let at = 16; at < elst.length; at += 12) {
      const time = elst.readInt32BE(at + 4);
      edits.push(0, elst.readUInt32BE(at), time < 0 ? 0xffffffff : 0, time, elst.readUInt32BE(at + 8));
    }
    return boxOf("elst", u32(0x01000000, elst.readUInt32BE(12), ...edits));
  });

/** The one edit of each track cut in three that follow each other. */
export const threeEdits: Patch = (file) =>
  edit(file, "moov/trak", (trak) => {
    const timescale = trak.readUInt32BE(trak.indexOf("mdhd") + 16);
    return edit(trak, "trak/edts/elst", (elst) => {
      const [duration = 0, mediaTime = 0, rate = 0] = numbersOf(elst, 16);
      const third = Math.floor(duration / 3); // in the movie's timescale, 1000
      const edits = [0, 1, 2].flatMap((n) => [third, mediaTime + Math.round((n * third * timescale) / 1000), rate]);
      return boxOf("elst", u32(0, 3, ...edits));
    });
  });

/** Boxes that nobody knows before and behind all others, one with a 64-bit size. */
export const unknownBoxes: Patch = (file) => {
  const large = Buffer.concat([u32(1), Buffer.from("what"), u32(0, 24), Buffer.alloc(8, 0xff)]);
  const strange = (box: Buffer): Buffer => boxOf(typeOf(box), large, box.subarray(8), boxOf("who?", Buffer.alloc(5)));
  const paths = [STBL, "moov/trak/mdia/minf", "moov/trak/mdia", "moov/trak", "moov"];
  return Buffer.concat([paths.reduce((bytes, path) => edit(bytes, path, strange), file), large]);
};

export const firstVideoDisabled: Patch = (file) =>
  edit(file, "moov/trak", (trak, index) =>
    edit(trak, "trak/tkhd", (tkhd) => {
      tkhd[11] = index === 0 ? 2 : 3;
      return tkhd;
    }),
  );

/** What is before the first fragment. */
export const initOnly: Patch = (file) => {
  const boxes = topLevel(file);
  return Buffer.concat(
    boxes.slice(
      0,
      boxes.findIndex((box) => typeOf(box) === "moof"),
    ),
  );
};

/** References that end within boxes. */
export const lyingSidx: Patch = (file) =>
  edit(file, "sidx", (sidx) => {
    const first = sidx[8] === 0 ? 32 : 40;
    for (let at = first; at < sidx.length; at += 12) sidx.writeUInt32BE(sidx.readUInt32BE(at) - 5, at);
    return sidx;
  });

const renamed =
  (path: string, type: string): Patch =>
  (file) =>
    edit(file, path, (box) => {
      box.write(type, 4, "latin1");
      return box;
    });
export const avc3: Patch = renamed(`${ENTRY}/avc1`, "avc3");

/** An AudioSpecificConfig of five bytes in place of another. */
const audioConfig =
  (hex: string): Patch =>
  (file) =>
    edit(file, `${ENTRY}/mp4a/esds`, (esds) => {
      esds.set(Buffer.from(hex, "hex"), esds.indexOf(Buffer.from("0580808005", "hex")) + 5);
      return esds;
    });
/** SBR before the core's configuration, 24 and 48 kHz; with PS; behind it (ISO/IEC 14496-3 §1.6.5). */
export const heAac: Patch = audioConfig("2b09880000");
export const heAacV2: Patch = audioConfig("eb09880000");
export const heAacBackward: Patch = audioConfig("130856e598");
/** Only the sample entry tells that 48 kHz come out of 24 kHz. */
export const heAacImplicit: Patch = (file) =>
  edit(file, `${ENTRY}/mp4a`, (entry) => {
    entry.writeUInt16BE(48_000, 32);
    return entry;
  });

/** A language that `mdhd` can't tell (§8.4.6). */
export const brazilian: Patch = (file) =>
  edit(file, "moov/trak/mdia", (mdia) =>
    boxOf("mdia", mdia.subarray(8), boxOf("elng", u32(0), Buffer.from("pt-BR\0"))),
  );

/** A tx3g sample, which is a length and text, as cues of WebVTT (ISO/IEC 14496-30 §7.4). */
const cueOf = (sample: Buffer): Buffer => {
  const text = sample.subarray(2, 2 + sample.readUInt16BE(0));
  return text.length === 0 ? boxOf("vtte") : boxOf("vttc", boxOf("payl", text));
};
const childOf = (box: Buffer, type: string): Buffer | undefined =>
  topLevel(box.subarray(8)).find((child) => typeOf(child) === type);

/** Timed text as WebVTT in samples of its own, behind the file. */
export const wvtt: Patch = (file) => {
  let cues: Buffer[] = [];
  const moved = edit(file, STBL, (stbl) => {
    if (!stbl.includes("tx3g")) return stbl;
    const sizes = numbersOf(childOf(stbl, "stsz") ?? stbl, 20);
    const places = numbersOf(childOf(stbl, "stco") ?? stbl, 16);
    cues = places.map((at, index) => cueOf(file.subarray(at, at + (sizes[index] ?? 0)))); // each in a chunk of its own
    const entry = boxOf("wvtt", u32(0, 1), boxOf("vttC", Buffer.from("WEBVTT")));
    const stsz = boxOf("stsz", u32(0, 0, cues.length, ...cues.map((cue) => cue.length)));
    const tables = ["stts", "stss"].flatMap((type) => childOf(stbl, type) ?? []);
    const stsc = boxOf("stsc", u32(0, 1, 1, cues.length, 1));
    return boxOf("stbl", boxOf("stsd", u32(0, 1), entry), ...tables, stsc, stsz, boxOf("stco", u32(0, 1, 0)));
  });
  const withPlace = edit(moved, `${STBL}/stco`, (stco) => {
    if (stco.length === 20 && stco.readUInt32BE(16) === 0) stco.writeUInt32BE(moved.length + 8, 16);
    return stco;
  });
  return Buffer.concat([withPlace, boxOf("mdat", ...cues)]);
};

/** CEA-608 pairs that show "HI", then nothing: resume caption loading, erase, text, end of caption. */
const CAPTIONS = ["9420", "9420", "94ae", "94ae", "c849", "942f", "942f"];
/** ATSC A/53 user data in an SEI message (ITU-T H.264 D.1.6): a pair of the first field, and one of the second. */
const captionSei = (pairs: readonly string[]): Buffer => {
  const triplets = pairs.map((pair, field) => `${field === 0 ? "fc" : "fd"}${pair}`).join("");
  const payload = Buffer.from(`b500314741393403c${pairs.length}ff${triplets}ff`, "hex");
  return Buffer.concat([Buffer.from([0, 0, 0, 1, 6, 4, payload.length]), payload, Buffer.from([0x80])]);
};
const DELIMITER = Buffer.from("0000000109", "hex");

/** An H.264 byte stream with access unit delimiters gets these pairs in its pictures; null: none at all. */
export const captionedBy =
  (pairsOf: (frame: number) => readonly string[] | null): Patch =>
  (stream) => {
    const parts: Buffer[] = [];
    let at = 0;
    for (let frame = 0; at < stream.length; frame += 1) {
      const next = stream.indexOf(DELIMITER, at + 1);
      const end = next < 0 ? stream.length : next;
      const pairs = pairsOf(frame);
      const sei = pairs === null ? [] : [captionSei(pairs)];
      parts.push(stream.subarray(at, at + 6), ...sei, stream.subarray(at + 6, end));
      at = end;
    }
    return Buffer.concat(parts);
  };
export const captioned: Patch = captionedBy((frame) => [CAPTIONS[frame % 50] ?? "8080"]);
