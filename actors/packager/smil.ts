/**
 * SMIL files of MSOD (C-60): `<switch>` of `<video src= system-bitrate=>`, with a base from `<meta>`. The files that
 * its guide shows are taken as they are, also `.ssmil` and combined ones (`server-src`, `server-HDBase`).
 */
import { SaxesParser, type SaxesTagPlain } from "saxes";
import { fail } from "../../contracts/errors.ts";
import { sourcePathProblem } from "../../domain/csmil/path.ts";

/** A file that a SMIL file names. */
export interface SmilMedia {
  readonly kind: "video" | "audio";
  /** Path in the source. */
  readonly path: string;
  /** `system-bitrate`; null: not told. */
  readonly bitrateBps: number | null;
  /** BCP 47 (`system-language`); null: not told. */
  readonly language: string | null;
}
/** A SMIL file, read. */
export interface Smil {
  /** In the file's order, none twice, at least one. */
  readonly media: readonly SmilMedia[];
}

/** Larger files are not read: 100 entries with long names are 50 kB. */
export const SMIL_BYTES_MAX = 256 * 1024;
const ENTRIES_MAX = 100;
const DEPTH_MAX = 32;
const BPS_MAX = 1e9;

interface Entry {
  readonly element: string;
  readonly source: string;
  readonly bitrateBps: number | null;
  readonly language: string | null;
}
interface Outline {
  readonly entries: readonly Entry[];
  readonly base: string | null;
}

class SmilProblem extends Error {}
const refuse = (reason: string): never => {
  throw new SmilProblem(reason);
};

type Found = ReadonlyMap<string, string>;
/** Names without a prefix and in lower case: `system-bitrate`, `systemBitrate`, `systembitrate`. */
const attributesOf = (attributes: SaxesTagPlain["attributes"]): Found =>
  new Map(Object.entries(attributes).map(([name, value]) => [name.toLowerCase().replaceAll("-", ""), String(value)]));

const bitrateOf = (text: string | undefined): number | null => {
  const bps = Number(text?.trim() || Number.NaN);
  return Number.isFinite(bps) && bps > 0 && bps <= BPS_MAX ? Math.round(bps) : null;
};

/** `<textstream>` is other servers' (Wowza's): MSOD has none, and subtitles are found as those of other sets (C-68). */
const ELEMENTS: readonly string[] = ["video", "audio"];
/** Names of `<meta>`, the ones for servers first. */
const BASES: readonly string[] = ["server-hdbase", "server-httpbase", "httpbase", "hdbase", "base"];

/** Reads the elements. Nothing that a DTD declares is expanded or fetched; a DOCTYPE with declarations is refused. */
const outlineOf = (text: string): Outline => {
  const entries: Entry[] = [];
  const bases = new Map<string, string>();
  let depth = 0;
  const parser = new SaxesParser<{ xmlns: false }>({ xmlns: false });
  parser.on("error", (error) => refuse(error.message.slice(0, 120)));
  parser.on("doctype", (doctype) => void (doctype.includes("[") && refuse("its DOCTYPE declares something")));
  const read = (tag: SaxesTagPlain): void => {
    depth += 1;
    if (depth > DEPTH_MAX) refuse(`its elements are nested deeper than ${DEPTH_MAX}`);
    const element = tag.name.toLowerCase();
    const found = attributesOf(tag.attributes);
    if (element === "meta") {
      const base = found.get("base");
      if (base !== undefined) bases.set("base", base);
      bases.set(found.get("name")?.toLowerCase() ?? "", found.get("content") ?? "");
    }
    const source = found.get("serversrc") ?? found.get("src");
    if (!ELEMENTS.includes(element) || !source?.trim()) return;
    if (entries.length >= ENTRIES_MAX) refuse(`it has more than ${ENTRIES_MAX} entries`);
    const language = found.get("systemlanguage") ?? null;
    entries.push({ element, source, bitrateBps: bitrateOf(found.get("systembitrate")), language });
  };
  parser.on("opentag", read);
  parser.on("closetag", () => {
    depth -= 1;
  });
  parser.write(text).close();
  const base = BASES.map((name) => bases.get(name)).find((value) => value !== undefined && value !== "");
  return { entries, base: base ?? null };
};

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a name with a percent sign in it
  }
};

/** The path of a reference: without scheme, host, query, and without the packager's own prefix. */
const pathOf = (reference: string, prefix: string): { readonly path: string; readonly isRooted: boolean } => {
  const [, origin, rest = ""] = /^([a-z][a-z0-9+.-]{0,20}:\/\/[^/?#]*)?([^?#]*)/i.exec(reference.trim()) ?? [];
  const bare = rest.replace(/^(?:mp4|flv|f4v|mp3):/i, ""); // Flash's names for what is in the file
  const own = bare.startsWith(prefix) ? bare.slice(prefix.length) : bare.replace(/^\/+/, "");
  return { path: decoded(own), isRooted: origin !== undefined || bare.startsWith("/") };
};

/** A path below a folder with `.` and `..` resolved; a way out of the root is refused. */
const resolved = (folder: string, path: string): string => {
  const parts: string[] = [];
  for (const part of [...folder.split("/"), ...path.split("/")]) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) refuse(`${path} leads out of the source`);
  }
  const whole = parts.join("/");
  const problem = sourcePathProblem(whole);
  return problem === null ? whole : refuse(`${path} is no path: ${problem}`);
};

interface Located extends Entry {
  readonly path: string;
}
/** References count from the base where one is told (the root where that is a host), else from the SMIL file itself. */
const located = (smilPath: string, { entries, base }: Outline, prefix: string): readonly Located[] => {
  const own = smilPath.slice(0, Math.max(0, smilPath.lastIndexOf("/")));
  const from = base === null ? { path: "", isRooted: false } : pathOf(base, prefix);
  const folder = from.isRooted ? from.path : `${own}/${from.path}`;
  return entries.map((entry) => {
    const { path, isRooted } = pathOf(entry.source, prefix);
    return { ...entry, path: resolved(isRooted ? "" : folder, path) };
  });
};

const smilOf = (smilPath: string, text: string, prefix: string): Smil => {
  const found = located(smilPath, outlineOf(text), prefix);
  const once = [...new Map(found.map((entry) => [entry.path, entry])).values()];
  const media = once.map(({ element, path, bitrateBps, language }): SmilMedia => {
    const kind = element === "audio" ? "audio" : "video";
    return { kind, path, bitrateBps, language };
  });
  if (media.length === 0) refuse("it names no video and no audio");
  return { media };
};

/**
 * Reads a SMIL file that is at `path` in the source; `prefix` (`/i/`) is left out of its references where they have it.
 * MEDIA_DAMAGED when it can't be read or names nothing, MEDIA_UNSUPPORTED when it is too large.
 */
export const readSmil = (path: string, bytes: Uint8Array, { prefix }: { readonly prefix: string }): Smil => {
  if (bytes.length > SMIL_BYTES_MAX) {
    return fail("MEDIA_UNSUPPORTED", { path, reason: `a SMIL file has at most ${SMIL_BYTES_MAX} bytes` });
  }
  try {
    return smilOf(path, new TextDecoder("utf-8", { fatal: true }).decode(bytes), prefix);
  } catch (error) {
    if (error instanceof SmilProblem) return fail("MEDIA_DAMAGED", { path, reason: error.message });
    if (error instanceof TypeError) return fail("MEDIA_DAMAGED", { path, reason: "it is not UTF-8" });
    throw error;
  }
};
