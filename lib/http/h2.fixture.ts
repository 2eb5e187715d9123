/** HTTP/2 listeners behind a key that both sides know, node's client, and clients that say what a test wants. */
import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectSession,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type Settings,
} from "node:http2";
import type { TestContext } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import type { RawHandler } from "./exchange.ts";
import { keptLog, rawListener, settle } from "./raw.fixture.ts";
import { Deadlines } from "./raw-deadlines.ts";
import type { RawListenerOptions } from "./raw-listener.ts";

const KEY = Buffer.from("0123456789abcdef");
const SHARED = {
  ciphers: "PSK-AES256-GCM-SHA384",
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.2",
  ALPNProtocols: ["h2", "http/1.1"],
} as const;
const WAIT_MS = 20_000;

export const h2Listener = (t: TestContext, handle: RawHandler, options: Partial<RawListenerOptions> = {}) =>
  rawListener(t, handle, { tls: { ...SHARED, ALPNProtocols: ["h2", "http/1.1"], pskCallback: () => KEY }, ...options });

/** A TLS connection to such a listener. */
export const tlsTo = async (t: TestContext, port: number, protocols = ["h2"]): Promise<TLSSocket> => {
  const socket = connect({
    ...SHARED,
    ALPNProtocols: protocols,
    port,
    host: "127.0.0.1",
    pskCallback: () => ({ psk: KEY, identity: "client" }),
    checkServerIdentity: () => undefined,
  });
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  return socket;
};

/** A session of node's own client. */
export const h2Client = async (
  t: TestContext,
  port: number,
  { settings = {}, socket: given }: { readonly settings?: Settings; readonly socket?: TLSSocket } = {},
): Promise<ClientHttp2Session> => {
  const socket = given ?? (await tlsTo(t, port));
  const session = connectSession("https://a.example", { createConnection: () => socket, settings });
  t.after(() => session.destroy());
  session.on("error", () => {});
  await once(session, "connect");
  return session;
};

export interface H2Answer {
  readonly headers: IncomingHttpHeaders & { readonly ":status"?: number };
  readonly body: Buffer;
}

/** The whole answer. Rejects when the stream is reset. */
export const answerOf = async (stream: ClientHttp2Stream): Promise<H2Answer> => {
  const chunks: Buffer[] = [];
  stream.on("data", (bytes: Buffer) => chunks.push(bytes));
  const [headers] = (await once(stream, "response", { signal: AbortSignal.timeout(WAIT_MS) })) as [H2Answer["headers"]];
  if (!stream.readableEnded) await once(stream, "end", { signal: AbortSignal.timeout(WAIT_MS) });
  if (!stream.closed) await once(stream, "close", { signal: AbortSignal.timeout(WAIT_MS) });
  if (stream.rstCode !== 0) throw new Error(`reset with ${stream.rstCode}`);
  return { headers, body: Buffer.concat(chunks) };
};

export const ask = (session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: Buffer): Promise<H2Answer> => {
  const stream = session.request(headers, { endStream: body === undefined });
  stream.on("error", () => {});
  if (body) stream.end(body);
  return answerOf(stream);
};

/** Types of frames (RFC 9113 §6). */
export const DATA = 0;
export const HEADERS = 1;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;
export const END_STREAM = 1;
export const END_HEADERS = 4;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

export const frame = (type: number, flags: number, streamId: number, payload: Uint8Array = Buffer.alloc(0)): Buffer => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
};

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const lengths = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) lengths.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...lengths, rest]), bytes]);
};

/** Fields as literals that are never indexed (RFC 7541 §6.2.3). */
export const headerBlock = (fields: readonly (readonly [string, string])[]): Buffer =>
  Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0x10]), text(name), text(value)]));

export const REQUEST = [
  [":method", "GET"],
  [":scheme", "https"],
  [":path", "/"],
  [":authority", "a.example"],
] as const;

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** A client that sends frames as it likes. */
export class FrameClient {
  readonly socket: TLSSocket;
  readonly frames: Frame[] = [];
  isClosed = false;
  #rest = Buffer.alloc(0);
  #wake: () => void = () => {};

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on("data", (bytes: Buffer) => this.#came(bytes));
    socket.on("close", () => {
      this.isClosed = true;
      this.#wake();
    });
    socket.on("end", () => socket.end());
    socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  }

  /** `settings`: payload of its SETTINGS frame. */
  static async to(t: TestContext, port: number, settings: Uint8Array = Buffer.alloc(0)): Promise<FrameClient> {
    const client = new FrameClient(await tlsTo(t, port));
    client.send(frame(SETTINGS, 0, 0, settings));
    return client;
  }

  send(...frames: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** A request without a body. */
  ask(streamId: number, fields: readonly (readonly [string, string])[] = REQUEST): void {
    this.send(frame(HEADERS, END_STREAM | END_HEADERS, streamId, headerBlock(fields)));
  }

  of(streamId: number, type: number): Frame[] {
    return this.frames.filter((each) => each.streamId === streamId && each.type === type);
  }

  /** Code of the GOAWAY or RST_STREAM that came last. */
  code(streamId: number): number | undefined {
    const last = streamId === 0 ? this.of(0, GOAWAY).at(-1) : this.of(streamId, RST_STREAM).at(-1);
    return last?.payload.readUInt32BE(streamId === 0 ? 4 : 0);
  }

  body(streamId: number): Buffer {
    return Buffer.concat(this.of(streamId, DATA).map(({ payload }) => payload));
  }

  isEnded(streamId: number): boolean {
    return this.frames.some(
      (each) => each.streamId === streamId && each.type <= HEADERS && (each.flags & END_STREAM) !== 0,
    );
  }

  async until(holds: () => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(WAIT_MS);
    const late = new Promise<never>((_, reject) => {
      deadline.addEventListener("abort", () => {
        reject(new Error(`nothing more came after ${this.frames.map(({ type, streamId }) => `${type}:${streamId}`)}`));
      });
    });
    while (!holds()) {
      const more = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await Promise.race([more, late]);
    }
  }

  #came(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= 9) {
      const end = 9 + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) break;
      const [type = 0, flags = 0] = [this.#rest[3], this.#rest[4]];
      const streamId = this.#rest.readUInt32BE(5) & 0x7fffffff;
      this.frames.push({ type, flags, streamId, payload: Buffer.from(this.#rest.subarray(9, end)) });
      this.#rest = this.#rest.subarray(end);
    }
    this.#wake();
  }
}

/** A listener whose time the test moves. */
export const timedH2 = async (t: TestContext, handle: RawHandler, limits = {}) => {
  const deadlines = new Deadlines(500);
  const log = keptLog();
  const listener = await h2Listener(t, handle, { deadlines, log: log.log, limits });
  const pass = async (seconds: number): Promise<void> => {
    await settle();
    for (let ms = 0; ms < seconds * 1_000; ms += 500) deadlines.advance(500);
    await settle();
  };
  return { listener, pass, log };
};
