/** Reads subtitle files: WebVTT (W3C) and SubRip here, TTML and DFXP next door. */
import { CueList, escapedText, linesOf, parsedTimestamp, SUBTITLE_BYTES_MAX, type TimedText } from "./cue.ts";
import { readTtml } from "./ttml.ts";

const BLOCKS_LENGTH_MAX = 32_768;
const SETTING = /^(?:vertical|line|position|size|align|region):[^\s:][^\s]{0,99}$/;
const TIMING = /^\s*([\d:.,]+)\s+-->\s+([\d:.,]+)(?:\s+(.*))?$/;

interface Timing {
  readonly startSeconds: number;
  readonly endSeconds: number;
  readonly rest: string;
}
const timingOf = (line: string): Timing | null => {
  const [, from = "", to = "", rest = ""] = line.includes("-->") ? (TIMING.exec(line) ?? []) : [];
  const [startSeconds, endSeconds] = [parsedTimestamp(from), parsedTimestamp(to)];
  return startSeconds === null || endSeconds === null ? null : { startSeconds, endSeconds, rest };
};

/** Blocks of lines that are not empty; a line of times begins one too, with the number before it. */
const blocksOf = (lines: readonly string[]): string[][] => {
  const blocks: string[][] = [];
  let block: string[] = [];
  const finish = (): void => {
    if (block.length > 0) blocks.push(block);
    block = [];
  };
  for (const line of lines) {
    if (line.trim() === "") finish();
    else {
      const beginsAnother = line.includes("-->") && block.some((earlier) => earlier.includes("-->"));
      const number = beginsAnother && /^\d+$/.test(block.at(-1)?.trim() ?? "") ? block.pop() : undefined;
      if (beginsAnother) finish();
      if (number !== undefined) block.push(number);
      block.push(line);
    }
  }
  finish();
  return blocks;
};

/** WebVTT; other headers, also X-TIMESTAMP-MAP, are left out: times count from the presentation's beginning. */
const readWebVtt = (text: string): TimedText => {
  const cues = new CueList();
  const kept: string[] = [];
  let keptLength = 0;
  for (const block of blocksOf(linesOf(text).slice(1))) {
    const at = block.findIndex((line) => line.includes("-->"));
    if (at === -1) {
      const isHeader = /^(?:STYLE|REGION)\s*$/.test(block[0] ?? "");
      const whole = block.join("\n");
      keptLength += isHeader ? whole.length : 0;
      if (isHeader && keptLength <= BLOCKS_LENGTH_MAX) kept.push(whole);
      continue;
    }
    const timing = timingOf(block[at]!);
    if (timing === null) continue;
    const settings = timing.rest.split(/\s+/).filter((setting) => SETTING.test(setting));
    const id = at > 0 ? block[at - 1]!.trim() : "";
    cues.add({ ...timing, text: block.slice(at + 1).join("\n"), settings: settings.join(" "), id });
  }
  return { blocks: kept, cues: cues.sorted() };
};

/** SubRip text as cue text: italics, bold and underline stay, other markup goes. */
const subRipText = (text: string): string =>
  text
    .replace(/\{\\[^}]{0,100}\}/g, "")
    .split(/(<\/?[a-z][^<>]{0,200}>)/i)
    .map((piece, n) => {
      if (n % 2 === 0) return escapedText(piece);
      return /^<\/?[ibu]>$/i.test(piece) ? piece.toLowerCase() : "";
    })
    .join("");

/** SubRip, which has no standard: numbers and coordinates are left out. */
const readSubRip = (text: string): TimedText => {
  const cues = new CueList();
  for (const block of blocksOf(linesOf(text))) {
    const at = block.findIndex((line) => line.includes("-->"));
    const timing = at === -1 ? null : timingOf(block[at]!);
    if (timing === null) continue;
    cues.add({
      startSeconds: timing.startSeconds,
      endSeconds: timing.endSeconds,
      text: subRipText(block.slice(at + 1).join("\n")),
    });
  }
  return { blocks: [], cues: cues.sorted() };
};

const decoded = (bytes: Uint8Array): string => {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return new TextDecoder("utf-16le").decode(bytes);
  if (first === 0xfe && second === 0xff) return new TextDecoder("utf-16be").decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes); // what old SubRip files are in
  }
};

/** Reads a subtitle file by what is in it; null: it is too large, or nothing that is known. */
export const readSubtitle = (bytes: Uint8Array): TimedText | null => {
  if (bytes.length > SUBTITLE_BYTES_MAX) return null;
  const text = decoded(bytes).replace(/^\ufeff/, "");
  if (/^WEBVTT(?:[ \t\r\n]|$)/.test(text)) return readWebVtt(text);
  if (/^\s*</.test(text)) return readTtml(text);
  return text.includes("-->") ? readSubRip(text) : null;
};
