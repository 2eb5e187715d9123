/** A source as ffmpeg's input arguments. Each is confined to the protocols and containers that it needs. */
import type { HttpSource, RtmpSource, SrtSource, UdpSource } from "../../domain/source-url.ts";
import type { Ffmpeg } from "./binary.ts";

/** In 188-byte packets: 9.4 MB, 3 s at 25 Mbit/s. The 1000000 of the playback document is a ring of 188 MB. */
export const FIFO_SIZE_DEFAULT = 50_000;
const IO_TIMEOUT_US = 10_000_000;

const words = (text: string): string[] => text.split(" ");

/**
 * Fast, clean start. Analysis always takes its whole time on MPEG-TS; without `nobuffer`, which would throw away what
 * it read: the key frame in it is played at once, and the encoder catches up. A source whose size and rate are not
 * known is looked at until a key frame must have come.
 */
const startOptions = (analysisMs: number): string[] =>
  words(`-fflags +discardcorrupt -probesize 5M -analyzeduration ${analysisMs * 1000}`);
const confined = (protocols: string, formats: string): string[] => [
  "-protocol_whitelist",
  protocols,
  "-format_whitelist",
  formats,
];
/** Reads at the pace of its timestamps, so that what a server sends in bursts comes out evenly. */
const PACED = ["-re"];

const hostText = (host: string): string => (host.includes(":") ? `[${host}]` : host);
const queryText = (options: Readonly<Record<string, string>>): string => {
  const text = Object.entries(options)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join("&");
  return text === "" ? "" : `?${text}`;
};

const udpInput = ({ host, port, options }: UdpSource): string[] => {
  const query = { fifo_size: String(FIFO_SIZE_DEFAULT), overrun_nonfatal: "1", ...options };
  return [
    ...confined("udp", "mpegts"),
    ...["-f", "mpegts", "-i", `udp://${hostText(host)}:${port}${queryText(query)}`],
  ];
};

/** `httpproxy`: connections may be led through the guard, which looks at every address they go to. */
const httpInput = ({ kind, url }: HttpSource): string[] => [
  ...confined("http,https,tcp,tls,httpproxy,crypto", "mpegts,hls,mov,flv,aac,mp3,ac3,eac3"),
  ...["-rw_timeout", String(IO_TIMEOUT_US)],
  // One segment before the newest: the newest alone would run dry while the next is being made.
  ...(kind === "hls" ? words("-live_start_index -2") : []),
  ...PACED,
  ...["-i", url],
];

const srtInput = ({ mode, host, port, options }: SrtSource, address: string | null): string[] => [
  ...confined("srt", "mpegts"),
  ...["-f", "mpegts"],
  ...["-i", `srt://${hostText(address ?? host)}:${port}${queryText({ ...options, mode })}`],
];

const rtmpInput = ({ listen, secure, host, port, path }: RtmpSource, address: string | null): string[] => {
  const scheme = secure ? "rtmps" : "rtmp";
  const [, app = "", key = ""] = /^\/(.*)\/([^/]+)$/.exec(path) ?? [];
  // The server is told the name that was asked for, whatever address the connection goes to.
  const named = address === null || app === "" ? [] : ["-rtmp_tcurl", `${scheme}://${hostText(host)}:${port}/${app}`];
  const target = `${scheme}://${hostText(address ?? host)}:${port}${path}`;
  return [
    ...confined("rtmp,rtmps,tcp,tls,httpproxy", "flv,live_flv"),
    ...(listen ? ["-listen", "1"] : [...PACED, ...named, ...(key === "" ? [] : ["-rtmp_live", "live"])]),
    ...["-i", listen && host === "" ? target.replace("://:", "://0.0.0.0:") : target],
  ];
};

/**
 * Input arguments of a source from the network. `address`: what the host resolved to when the private-address rule
 * looked at it; SRT and RTMP connect to that very address, so that a name can't lead elsewhere a moment later.
 */
export const networkInput = (
  source: UdpSource | HttpSource | SrtSource | RtmpSource,
  { address, analysisMs }: { readonly address: string | null; readonly analysisMs: number },
): string[] => [...startOptions(analysisMs), ...sourceInput(source, address)];

const sourceInput = (source: UdpSource | HttpSource | SrtSource | RtmpSource, address: string | null): string[] => {
  if (source.kind === "udp") return udpInput(source);
  if (source.kind === "srt") return srtInput(source, source.mode === "caller" ? address : null);
  // The name in a TLS handshake must be the one that was asked for: rtmps goes through the guard like https.
  if (source.kind === "rtmp") return rtmpInput(source, source.listen || source.secure ? null : address);
  return httpInput(source);
};

/** True where ffmpeg can read the start of a paced input faster than its pace (`-readrate_initial_burst`). */
export const canBurst = ({ major, minor }: Pick<Ffmpeg, "major" | "minor">): boolean =>
  major > 6 || (major === 6 && minor >= 1);

/** Input arguments of a conformed loop. `burstSeconds`: how much of it is read at once, to be playable sooner. */
export const loopInput = (listPath: string, burstSeconds: number): string[] => [
  ...confined("file", "concat,mov"),
  ...PACED,
  ...(burstSeconds > 0 ? ["-readrate_initial_burst", burstSeconds.toFixed(3)] : []),
  ...["-f", "concat", "-i", listPath],
];
