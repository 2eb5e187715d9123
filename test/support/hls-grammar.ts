/** What a playlist does against RFC 8216, line by line: written from its grammar, not from our writer. */

type Kind = "integer" | "hex" | "float" | "quoted" | "enumerated" | "resolution" | "quoted-or-NONE";
const KINDS: Readonly<Record<Kind, RegExp>> = {
  integer: /^(?:0|[1-9]\d{0,19})$/,
  hex: /^0[xX][0-9A-F]{1,32}$/i,
  float: /^\d+(?:\.\d+)?$/,
  quoted: /^"[^"\r\n]*"$/,
  enumerated: /^[^",\s]+$/,
  resolution: /^[1-9]\d*x[1-9]\d*$/,
  "quoted-or-NONE": /^(?:"[^"\r\n]*"|NONE)$/,
};
type Attributes = Readonly<Record<string, Kind>>;
interface Tag {
  readonly of: "master" | "media" | "both";
  readonly attributes?: Attributes;
  readonly required?: readonly string[];
  readonly value?: RegExp;
  /** EXT-X-VERSION that it needs (§7). */
  readonly version?: number;
  /** The next line is a URI. */
  readonly uri?: true;
  /** At most once in a playlist. */
  readonly once?: true;
}
const KEY: Attributes = {
  METHOD: "enumerated",
  URI: "quoted",
  IV: "hex",
  KEYFORMAT: "quoted",
  KEYFORMATVERSIONS: "quoted",
};
const TAGS: Readonly<Record<string, Tag>> = {
  "EXT-X-VERSION": { of: "both", value: /^[1-9]\d*$/, once: true },
  "EXT-X-INDEPENDENT-SEGMENTS": { of: "both", once: true },
  EXTINF: { of: "media", value: /^\d+(?:\.\d+)?,[^\r\n]*$/ },
  "EXT-X-KEY": { of: "media", attributes: KEY, required: ["METHOD"] },
  "EXT-X-MAP": { of: "media", attributes: { URI: "quoted", BYTERANGE: "quoted" }, required: ["URI"], version: 5 },
  "EXT-X-TARGETDURATION": { of: "media", value: /^[1-9]\d*$/, once: true },
  "EXT-X-MEDIA-SEQUENCE": { of: "media", value: /^\d+$/, once: true },
  "EXT-X-ALLOW-CACHE": { of: "media", value: /^(?:YES|NO)$/, once: true },
  "EXT-X-PLAYLIST-TYPE": { of: "media", value: /^(?:VOD|EVENT)$/, once: true },
  "EXT-X-START": {
    of: "both",
    attributes: { "TIME-OFFSET": "float", PRECISE: "enumerated" },
    required: ["TIME-OFFSET"],
    once: true,
  },
  "EXT-X-I-FRAMES-ONLY": { of: "media", version: 4, once: true },
  "EXT-X-ENDLIST": { of: "media", once: true },
  "EXT-X-MEDIA": {
    of: "master",
    attributes: {
      TYPE: "enumerated",
      URI: "quoted",
      "GROUP-ID": "quoted",
      LANGUAGE: "quoted",
      NAME: "quoted",
      DEFAULT: "enumerated",
      AUTOSELECT: "enumerated",
      FORCED: "enumerated",
      CHARACTERISTICS: "quoted",
      "INSTREAM-ID": "quoted",
      CHANNELS: "quoted",
    },
    required: ["TYPE", "GROUP-ID", "NAME"],
  },
  "EXT-X-STREAM-INF": {
    of: "master",
    attributes: {
      "PROGRAM-ID": "integer",
      BANDWIDTH: "integer",
      "AVERAGE-BANDWIDTH": "integer",
      CODECS: "quoted",
      RESOLUTION: "resolution",
      "FRAME-RATE": "float",
      "VIDEO-RANGE": "enumerated", // RFC 8216bis
      AUDIO: "quoted",
      SUBTITLES: "quoted",
      "CLOSED-CAPTIONS": "quoted-or-NONE",
    },
    required: ["BANDWIDTH"],
    uri: true,
  },
  "EXT-X-I-FRAME-STREAM-INF": {
    of: "master",
    attributes: {
      "VIDEO-RANGE": "enumerated", // RFC 8216bis
      BANDWIDTH: "integer",
      "AVERAGE-BANDWIDTH": "integer",
      CODECS: "quoted",
      RESOLUTION: "resolution",
      URI: "quoted",
    },
    required: ["BANDWIDTH", "URI"],
    version: 4,
  },
  "EXT-X-SESSION-KEY": { of: "master", attributes: KEY, required: ["METHOD", "URI"] },
};
// RFC 3986 without the characters that nothing may have unescaped.
const URI = /^(?:[\w\-.~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})+$/;

/** The attributes of an attribute list (§4.2). */
export const attributesOf = (text: string): ReadonlyMap<string, string> => {
  const found = new Map<string, string>();
  for (const [, name = "", value = ""] of text.matchAll(/([A-Z0-9-]+)=("[^"]*"|[^",]*)(?:,|$)/g)) {
    found.set(name, value);
  }
  return found;
};

const attributeProblems = (tag: Tag, text: string): string[] => {
  const found = attributesOf(text);
  const again = [...found].map(([name, value]) => `${name}=${value}`).join(",");
  if (again !== text) return ["is no attribute list, or has a name twice"];
  return [
    ...[...found].flatMap(([name, value]) => {
      const kind = tag.attributes?.[name];
      if (!kind) return [`has the unknown attribute ${name}`];
      return KINDS[kind].test(value) ? [] : [`has ${name}=${value}, which is no ${kind}`];
    }),
    ...(tag.required ?? []).filter((name) => !found.has(name)).map((name) => `lacks ${name}`),
  ];
};

const tagProblems = (name: string, tag: Tag, value: string | undefined): string[] => {
  if (tag.attributes) return attributeProblems(tag, value ?? "");
  if (tag.value) return tag.value.test(value ?? "") ? [] : [`has the value ${value}`];
  return value === undefined ? [] : [`${name} takes no value`];
};

/** Complaints about a playlist; empty when there are none. */
export const playlistProblems = (text: string): string[] => {
  const problems: string[] = [];
  const crlf = text.includes("\r\n");
  const lines = text.split(crlf ? "\r\n" : "\n");
  if (/\r(?!\n)/.test(text) || (crlf && /(?<!\r)\n/.test(text))) problems.push("line ends are mixed");
  if (lines.pop() !== "") problems.push("the last line has no end");
  if (lines.shift() !== "#EXTM3U") problems.push("does not begin with #EXTM3U");
  const of = lines.some((line) => line.startsWith("#EXTINF") || line.startsWith("#EXT-X-TARGET")) ? "media" : "master";
  const version = Number(/^#EXT-X-VERSION:(\d+)/m.exec(text)?.[1] ?? 1);
  const seen = new Set<string>();
  let uriDue = false;
  for (const [n, line] of lines.entries()) {
    const at = (problem: string): void => void problems.push(`line ${n + 2} ${problem}: ${line}`);
    if (!line.startsWith("#")) {
      if (!uriDue) at("is a URI that nothing announces");
      if (!URI.test(line)) at("is no URI");
      uriDue = false;
      continue;
    }
    const [, name = "", value] = /^#([^:]+)(?::(.*))?$/.exec(line) ?? [];
    const tag = TAGS[name];
    if (!tag) {
      at("is an unknown tag");
      continue;
    }
    if (uriDue && tag.of === "master") at("comes where a URI is due");
    if (tag.of !== "both" && tag.of !== of) at(`is not of a ${of} playlist`);
    if (tag.once && seen.has(name)) at("comes twice");
    if ((tag.version ?? 0) > version) at(`needs EXT-X-VERSION ${tag.version}`);
    for (const problem of tagProblems(name, tag, value)) at(problem);
    seen.add(name);
    uriDue ||= name === "EXTINF" || tag.uri === true;
  }
  if (uriDue) problems.push("a URI is missing at the end");
  return [...problems, ...(of === "media" ? mediaProblems(text, version) : masterProblems(text))];
};

const mediaProblems = (text: string, version: number): string[] => {
  const problems: string[] = [];
  const target = Number(/^#EXT-X-TARGETDURATION:(\d+)/m.exec(text)?.[1] ?? Number.NaN);
  if (Number.isNaN(target)) problems.push("has no EXT-X-TARGETDURATION");
  for (const [line = "", seconds] of text.matchAll(/^#EXTINF:([\d.]+),/gm)) {
    if (Math.round(Number(seconds)) > target) problems.push(`${line} is longer than the target duration ${target}`);
    if (line.includes(".") && version < 3) problems.push("decimal EXTINF needs EXT-X-VERSION 3");
  }
  const keys = [...text.matchAll(/^#EXT-X-KEY:(.*)$/gm)].map(([, list = ""]) => attributesOf(list));
  for (const key of keys) {
    if (key.has("IV") && version < 2) problems.push("IV needs EXT-X-VERSION 2");
    if ((key.has("KEYFORMAT") || key.get("METHOD") === "SAMPLE-AES") && version < 5) problems.push("KEYFORMAT needs 5");
  }
  const iframes = text.includes("#EXT-X-I-FRAMES-ONLY");
  if (text.includes("#EXT-X-MAP") && !iframes && version < 6) problems.push("EXT-X-MAP needs EXT-X-VERSION 6");
  if (text.includes("#EXT-X-ALLOW-CACHE") && version >= 7) problems.push("EXT-X-ALLOW-CACHE is gone in version 7");
  return problems;
};

const masterProblems = (text: string): string[] => {
  const groups = [...text.matchAll(/^#EXT-X-MEDIA:([^\r\n]*)/gm)].map(([, list = ""]) => attributesOf(list));
  const streams = [...text.matchAll(/^#EXT-X-STREAM-INF:([^\r\n]*)/gm)].map(([, list = ""]) => attributesOf(list));
  const problems: string[] = [];
  for (const [type, name] of [
    ["AUDIO", "AUDIO"],
    ["SUBTITLES", "SUBTITLES"],
    ["CLOSED-CAPTIONS", "CLOSED-CAPTIONS"],
  ] as const) {
    const ids = new Set(groups.filter((group) => group.get("TYPE") === type).map((group) => group.get("GROUP-ID")));
    const used = new Set(streams.map((stream) => stream.get(name)).filter((id) => id !== undefined && id !== "NONE"));
    for (const id of used) if (!ids.has(id)) problems.push(`there is no ${type} group ${id}`);
    for (const id of ids) if (!used.has(id)) problems.push(`nothing uses the ${type} group ${id}`);
  }
  const named = groups.map((group) => [group.get("TYPE"), group.get("GROUP-ID"), group.get("NAME")].join());
  if (new Set(named).size < named.length) problems.push("a group has a name twice");
  const captions = streams.map((stream) => stream.get("CLOSED-CAPTIONS"));
  if (captions.includes("NONE") && captions.some((value) => value !== "NONE")) problems.push("NONE is not told of all");
  for (const group of groups) {
    if (group.get("DEFAULT") === "YES" && group.get("AUTOSELECT") === "NO") problems.push("a default is not selected");
    if (group.get("TYPE") === "SUBTITLES" && !group.has("URI")) problems.push("subtitles have no URI");
    if (group.get("TYPE") === "CLOSED-CAPTIONS" && group.has("URI")) problems.push("closed captions have a URI");
  }
  return problems;
};
