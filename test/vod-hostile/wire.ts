/** Requests as bytes, one connection each: what no client of HTTP would send goes out as it stands. */
import { connect } from "node:net";

export interface Sent {
  /** Base URL of a listener. */
  readonly to: string;
  readonly method: string;
  /** In Latin-1, a character per byte. */
  readonly target: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly body: Buffer | null;
  /** The head says that more follows than does; the sender closes its half. */
  readonly isCutShort: boolean;
}
export interface Answered {
  /** Null: the connection was closed without an answer. */
  readonly status: number | null;
  /** In Latin-1. */
  readonly head: string;
  readonly body: Buffer;
  /** Until its head was there, or the connection closed. */
  readonly tookMs: number;
  readonly isLate: boolean;
}

/** The longest that anybody may wait for an answer. */
export const LATE_MS = 20_000;
const READ_BYTES_MAX = 256 * 1024;
const END_OF_HEAD = "\r\n\r\n";
const CUT_AFTER_MS = 20;

const headOf = ({ to, method, target, fields, body }: Sent): string => {
  const names = new Set(fields.map(([name]) => name.toLowerCase()));
  const host = names.has("host") ? [] : [`Host: ${new URL(to).host}`];
  const length = body && !names.has("content-length") && !names.has("transfer-encoding");
  const lines = [
    `${method} ${target} HTTP/1.1`,
    ...host,
    ...fields.map(([name, value]) => `${name}: ${value}`),
    ...(length ? [`Content-Length: ${body.length}`] : []),
    "Connection: close",
  ];
  return lines.join("\r\n") + END_OF_HEAD;
};

/** The first answer that is not an interim one. */
const parse = (bytes: Buffer): Pick<Answered, "status" | "head" | "body"> | null => {
  const end = bytes.indexOf(END_OF_HEAD);
  if (end === -1) return null;
  const head = bytes.toString("latin1", 0, end);
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]);
  const body = bytes.subarray(end + END_OF_HEAD.length);
  return status < 200 ? parse(body) : { status, head, body };
};

export const exchange = (sent: Sent): Promise<Answered> =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(sent.to);
    const startedAt = performance.now();
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    const parts: Buffer[] = [];
    let size = 0;
    let headMs: number | null = null;
    const end = (isLate: boolean): void => {
      clearTimeout(late);
      socket.destroy();
      const found = parse(Buffer.concat(parts)) ?? { status: null, head: "", body: Buffer.alloc(0) };
      resolve({ ...found, tookMs: headMs ?? performance.now() - startedAt, isLate });
    };
    const late = setTimeout(() => end(true), LATE_MS);
    socket.on("data", (part) => {
      parts.push(part);
      size += part.length;
      headMs ??= performance.now() - startedAt;
      // Events have no end, and of a film its beginning tells enough.
      const isEndless = size > READ_BYTES_MAX || part.includes("text/event-stream");
      if (isEndless) end(false);
    });
    socket.once("end", () => end(false));
    socket.once("error", () => end(false));
    socket.write(Buffer.concat([Buffer.from(headOf(sent), "latin1"), sent.body ?? Buffer.alloc(0)]));
    if (sent.isCutShort) setTimeout(() => socket.end(), CUT_AFTER_MS);
  });
