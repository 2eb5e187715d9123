/** Opens connections to one server; an address that a third party may not reach is refused as it is resolved. */
import net, { isIP } from "node:net";
import tls from "node:tls";
import { ADDRESS_REFUSED, addressRefusal, guardedLookup, isRefusedLiteral } from "../../../lib/http/guarded-lookup.ts";
import { UpstreamError } from "../upstream.ts";

export interface Authority {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  /** PEM of authorities to trust instead of the usual ones. */
  readonly ca?: string | undefined;
}

/** Null: the origin may be anywhere. Otherwise the private networks that it may be in (`10.0.0.0/8`). */
export type AllowedNetworks = readonly string[] | null;

export class Connector {
  readonly #to: Authority;
  readonly #allowed: AllowedNetworks;
  /** A handshake with a ticket costs a fifth (RFC 8446 §2.2). */
  #session: Buffer | undefined;

  constructor(to: Authority, allowed: AllowedNetworks) {
    this.#to = to;
    this.#allowed = allowed;
  }

  /** A connected socket within the deadlines; UpstreamError (`connect`, `address`), or the signal's reason. */
  async open(deadlines: { readonly connectMs: number; readonly tlsMs: number; readonly signal: AbortSignal }) {
    const { host, port, isTls } = this.#to;
    const { signal } = deadlines;
    signal.throwIfAborted();
    const allowed = this.#allowed;
    if (allowed && isRefusedLiteral(host, allowed)) throw new UpstreamError("address", addressRefusal());
    const socket = net.connect({ host, port, noDelay: true, ...(allowed ? { lookup: guardedLookup(allowed) } : {}) });
    await settled(socket, "connect", { ms: deadlines.connectMs, signal });
    if (!isTls) return socket;
    const secure = this.#secured(socket);
    await settled(secure, "secureConnect", { ms: deadlines.tlsMs, signal });
    return secure;
  }

  #secured(socket: net.Socket): tls.TLSSocket {
    const { host, ca } = this.#to;
    const secure = tls.connect({
      socket,
      ALPNProtocols: ["http/1.1"],
      ...(isIP(host) === 0 ? { servername: host } : { host }),
      ...(ca === undefined ? {} : { ca }),
      ...(this.#session === undefined ? {} : { session: this.#session }),
    });
    secure.on("session", (session: Buffer) => {
      this.#session = session;
    });
    return secure;
  }
}

interface Wait {
  readonly ms: number;
  readonly signal: AbortSignal;
}

/** Waits for the socket's event; on anything else it is destroyed. */
const settled = (socket: net.Socket, event: "connect" | "secureConnect", { ms, signal }: Wait): Promise<void> =>
  new Promise((resolve, reject) => {
    let turn: NodeJS.Immediate | undefined;
    const end = (error?: unknown): void => {
      clearTimeout(timer);
      clearImmediate(turn);
      signal.removeEventListener("abort", onAbort);
      socket.off("error", failed).off("close", onClose).off(event, onDone);
      if (error === undefined) {
        resolve();
        return;
      }
      socket.on("error", () => {}); // one that was already on its way
      socket.destroy();
      reject(error);
    };
    const failed = (cause: NodeJS.ErrnoException): void =>
      end(new UpstreamError(cause.code === ADDRESS_REFUSED ? "address" : "connect", cause));
    const onClose = (): void => failed(new Error("the connection was closed while it was made"));
    const onDone = (): void => end();
    const onAbort = (): void => end(signal.reason);
    const late = (): void => failed(new Error(`no ${event} within ${ms} ms`));
    // A process that stood still finds its timers due before it has seen what came meanwhile: it looks at that first.
    const timer = setTimeout(() => {
      turn = setImmediate(late);
    }, ms);
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("error", failed).once("close", onClose).once(event, onDone);
  });
