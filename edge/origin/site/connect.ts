/** Opens connections to one server; an address that a third party may not reach is refused as it is resolved. */
import { type LookupAddress, lookup } from "node:dns";
import net, { isIP, type LookupFunction } from "node:net";
import tls from "node:tls";
import { isAllowedAddress, isPrivateAddress } from "../../../domain/ip-address.ts";
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

const isRefused = (address: string, allowed: AllowedNetworks): boolean =>
  allowed !== null && isPrivateAddress(address) && !isAllowedAddress(address, allowed);

const refusal = (): UpstreamError =>
  new UpstreamError("address", new Error("it leads to a private address (see ALLOW_PRIVATE_SOURCES)"));

/** Looked at as the connection is made: a check of the configuration does not see where a name leads later. */
const guardedLookup =
  (allowed: AllowedNetworks): LookupFunction =>
  (host, options, done) => {
    lookup(host, { ...options, all: true }, (error, found: LookupAddress[] = []) => {
      const [first] = found;
      const isBad = found.some(({ address }) => isRefused(address, allowed));
      if (error || isBad || !first) done(error ?? refusal(), []);
      else if (options.all) done(null, found);
      else done(null, first.address, first.family);
    });
  };

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
    if (isIP(host) !== 0 && isRefused(host, this.#allowed)) throw refusal();
    const socket = net.connect({ host, port, noDelay: true, lookup: guardedLookup(this.#allowed) });
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
    const end = (error?: unknown): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      socket.off("error", onError).off("close", onClose).off(event, onDone);
      if (error === undefined) {
        resolve();
        return;
      }
      socket.on("error", () => {}); // one that was already on its way
      socket.destroy();
      reject(error);
    };
    const failed = (cause: unknown): void => end(new UpstreamError("connect", cause));
    const onError = (error: Error): void => (error instanceof UpstreamError ? end(error) : failed(error));
    const onClose = (): void => failed(new Error("the connection was closed while it was made"));
    const onDone = (): void => end();
    const onAbort = (): void => end(signal.reason);
    const timer = setTimeout(() => failed(new Error(`no ${event} within ${ms} ms`)), ms);
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("error", onError).once("close", onClose).once(event, onDone);
  });
