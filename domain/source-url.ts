/**
 * What a source URL says: its kind, where it leads, and which of its options we honour. Pure; no name is resolved here.
 */
import { isMulticastAddress, isPrivateAddress, parseIp } from "./ip-address.ts";

export { isPrivateAddress } from "./ip-address.ts";

export const SOURCE_KINDS = ["udp", "pl", "http", "hls", "srt", "rtmp"] as const;
export type SourceKind = (typeof SOURCE_KINDS)[number];
type Options = Readonly<Record<string, string>>;

export interface UdpSource {
  readonly kind: "udp";
  /** A multicast group, or the local address to bind; empty for all. */
  readonly host: string;
  readonly port: number;
  readonly multicast: boolean;
  readonly options: Options;
}
export interface PlaylistSource {
  readonly kind: "pl";
  /** A folder below `media/{tenant}/` of the object store. */
  readonly name: string;
}
export interface HttpSource {
  readonly kind: "http" | "hls";
  readonly url: string;
  readonly host: string;
  readonly port: number;
}
export interface SrtSource {
  readonly kind: "srt";
  readonly mode: "caller" | "listener";
  readonly host: string;
  readonly port: number;
  readonly options: Options;
}
export interface RtmpSource {
  readonly kind: "rtmp";
  /** We wait for a publisher instead of fetching. */
  readonly listen: boolean;
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** `/app/key`, with a leading slash. */
  readonly path: string;
}
export type Source = UdpSource | PlaylistSource | HttpSource | SrtSource | RtmpSource;

/** `mismatch`: the URL is fine, but not one of the given source type. */
export type ParsedSource =
  | { readonly ok: true; readonly source: Source }
  | { readonly ok: false; readonly reason: string; readonly mismatch: boolean };

const URL_LENGTH_MAX = 2000;
/** Options that reach ffmpeg's protocols; any other is left out, so that none can name a file or a second address. */
const UDP_OPTIONS = [
  "fifo_size",
  "overrun_nonfatal",
  "localaddr",
  "buffer_size",
  "reuse",
  "sources",
  "block",
  "timeout",
];
const SRT_OPTIONS = [
  ...["latency", "rcvlatency", "peerlatency", "passphrase", "pbkeylen", "streamid", "srt_streamid", "maxbw"],
  ...["connect_timeout", "transtype", "tlpktdrop", "nakreport", "mss", "rcvbuf", "ffs", "ipttl", "iptos"],
];
const SCHEMES: Readonly<Record<string, readonly SourceKind[]>> = {
  udp: ["udp"],
  pl: ["pl"],
  http: ["http", "hls"],
  https: ["http", "hls"],
  srt: ["srt"],
  rtmp: ["rtmp"],
  rtmps: ["rtmp"],
};
const PLAYLIST_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,98}$/;

const refused = (reason: string): ParsedSource => ({ ok: false, reason, mismatch: false });
const accepted = (source: Source): ParsedSource => ({ ok: true, source });

interface Address {
  readonly host: string;
  /** 0 where the URL has none. */
  readonly port: number;
  readonly path: string;
  readonly query: URLSearchParams;
}

/** Splits `scheme://[@]host:port/path?query`. Not by URL: that one folds `..`, and treats schemes differently. */
const splitUrl = (text: string): Address | null => {
  const parts = /^[a-z]+:\/\/@?(\[[0-9a-f:.]+\]|[^/?#:@[\]]*)(?::(\d{1,5}))?(\/[^?#]*)?(?:\?([^#]*))?$/i.exec(text);
  if (!parts) return null;
  const port = Number(parts[2] ?? 0);
  if (port > 65_535) return null;
  const host = (parts[1] ?? "").replace(/^\[(.*)\]$/, "$1").toLowerCase();
  return { host, port, path: parts[3] ?? "", query: new URLSearchParams(parts[4] ?? "") };
};

const pick = (query: URLSearchParams, names: readonly string[]): Options =>
  Object.fromEntries([...query].filter(([name, value]) => names.includes(name) && value !== ""));

const isHostName = (host: string): boolean => parseIp(host) !== null || /^[a-z0-9_](?:[a-z0-9_.-]{0,252})$/.test(host);

const parseUdp = (text: string): ParsedSource => {
  const address = splitUrl(text);
  if (!address || address.port === 0) return refused("it needs a port: udp://<group or address>:<port>");
  const { host, port, query } = address;
  if (host !== "" && host !== "localhost" && parseIp(host) === null) return refused("its host must be an IP address");
  const options = pick(query, UDP_OPTIONS);
  for (const name of ["fifo_size", "buffer_size", "timeout"]) {
    if (options[name] !== undefined && !/^\d{1,9}$/.test(options[name])) return refused(`${name} must be a number`);
  }
  for (const [name, list] of [["localaddr", false] as const, ...["sources", "block"].map((n) => [n, true] as const)]) {
    const addresses = options[name]?.split(list ? "," : "\0") ?? [];
    if (!addresses.every((entry) => parseIp(entry) !== null)) return refused(`${name} must be an IP address`);
  }
  return accepted({ kind: "udp", host, port, multicast: isMulticastAddress(host), options });
};

const parsePlaylist = (text: string): ParsedSource => {
  const name = /^pl:\/\/\/([^/?#]+)$/.exec(text)?.[1] ?? "";
  return PLAYLIST_NAME.test(name) && !name.includes("..")
    ? accepted({ kind: "pl", name })
    : refused("it must be pl:///<name> with the name of one folder");
};

const parseHttp = (text: string, sourceType: SourceKind | undefined): ParsedSource => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || url.hostname === "") return refused("it is not a valid URL");
  const isHls = sourceType === undefined ? /\.m3u8?$/i.test(url.pathname) : sourceType === "hls";
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  url.hash = "";
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return accepted({ kind: isHls ? "hls" : "http", url: url.href, host, port });
};

const parseSrt = (text: string): ParsedSource => {
  const address = splitUrl(text);
  if (!address || address.port === 0) return refused("it needs a port: srt://<host>:<port>");
  const { host, port, query } = address;
  const mode = query.get("mode") ?? (host === "" ? "listener" : "caller");
  if (mode !== "caller" && mode !== "listener") return refused("its mode must be caller or listener");
  if (mode === "caller" ? !isHostName(host) : host !== "" && parseIp(host) === null) {
    return refused("its host is not valid");
  }
  return accepted({ kind: "srt", mode, host, port, options: pick(query, SRT_OPTIONS) });
};

const parseRtmp = (text: string): ParsedSource => {
  const address = splitUrl(text);
  if (!address) return refused("it is not a valid URL");
  const { host, path, query } = address;
  const listen = query.get("listen") === "1";
  const secure = /^rtmps:/i.test(text);
  if (listen && secure) return refused("a listener takes rtmp, not rtmps");
  if (listen ? host !== "" && parseIp(host) === null : !isHostName(host)) return refused("its host is not valid");
  if (!/^(?:\/[A-Za-z0-9._~%+=-]+){1,8}$/.test(path)) return refused("it needs a path: rtmp://<host>/<app>/<key>");
  return accepted({ kind: "rtmp", listen, secure, host, port: address.port || (secure ? 443 : 1935), path });
};

/**
 * Reads a source URL. With `sourceType` the scheme must be one of that type (`mismatch` tells such a case from a URL
 * that is refused for itself); without it, an http(s) URL is HLS when its path ends in `.m3u8`.
 */
export const parseSource = (url: string, sourceType?: SourceKind): ParsedSource => {
  if (url.length > URL_LENGTH_MAX) return refused(`it is longer than ${URL_LENGTH_MAX} characters`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u0020\u007f"'\\|<>]/.test(url)) {
    return refused("it has characters that no URL may have");
  }
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1]?.toLowerCase() ?? "";
  const kinds = Object.hasOwn(SCHEMES, scheme) ? SCHEMES[scheme] : undefined;
  if (!kinds) return refused("only udp, pl, http, https, srt, rtmp and rtmps URLs are taken");
  if (sourceType !== undefined && !kinds.includes(sourceType)) {
    return { ok: false, reason: `${scheme} is not a scheme of the source type ${sourceType}`, mismatch: true };
  }
  if (scheme === "udp") return parseUdp(url);
  if (scheme === "pl") return parsePlaylist(url);
  if (scheme === "srt") return parseSrt(url);
  return kinds[0] === "rtmp" ? parseRtmp(url) : parseHttp(url, sourceType);
};

/**
 * The host that a connection goes out to; null for listeners, multicast and loops, which the private-address rule
 * spares.
 */
export const outgoingHost = (source: Source): string | null => {
  if (source.kind === "http" || source.kind === "hls") return source.host;
  if (source.kind === "srt") return source.mode === "caller" ? source.host : null;
  if (source.kind === "rtmp") return source.listen ? null : source.host;
  return null;
};

/** True when the URL itself names a private address; a name has to be resolved first (lib/source-guard.ts). */
export const namesPrivateAddress = (source: Source): boolean => {
  const host = outgoingHost(source);
  return host !== null && (host === "localhost" || (parseIp(host) !== null && isPrivateAddress(host)));
};
