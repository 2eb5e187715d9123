/** Taking a port, and saying in the operator's words why it can't be had. */
import { type AddressInfo, createServer, type ListenOptions, type Server } from "node:net";
import { ConfigError } from "../config/config.ts";

/** Where a listener is to be; `portVariable` is the setting that the port comes from. */
export interface Place {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly portVariable: string;
}

const explained = (error: NodeJS.ErrnoException, { host, port, portVariable }: Place): ConfigError => {
  switch (error.code) {
    case "EADDRINUSE":
      return new ConfigError(portVariable, `port ${port} on ${host} is taken by another program.`);
    case "EACCES":
      return new ConfigError(portVariable, `port ${port} needs more rights than this user has.`);
    case "EADDRNOTAVAIL":
    case "EAFNOSUPPORT":
      return new ConfigError("HOST", `${host} is no address of this machine.`);
    default:
      return new ConfigError("HOST", `${host} can't be listened on (${error.code}).`);
  }
};

/** Resolves with the port once the server listens. Rejects with a ConfigError. */
export const listening = (server: Server, place: Place, options: ListenOptions = {}): Promise<number> =>
  new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(explained(error, place));
    server.once("error", failed);
    server.listen({ ...options, port: place.port, host: place.host }, () => {
      server.off("error", failed);
      resolve((server.address() as AddressInfo).port); // a TCP listener always has one
    });
  });

/** A port of this machine that nobody has at the moment. Rejects with a ConfigError. */
export const freePort = async (host: string): Promise<number> => {
  const server = createServer();
  const port = await listening(server, { host, port: 0, portVariable: "HOST" });
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
};

/** A port that nobody else gets until it is let go. */
export interface HeldPort {
  readonly port: number;
  release(): Promise<void>;
}

/** Takes a free port for a listener that comes later; whoever connects until then is turned away. */
export const holdPort = async (host: string): Promise<HeldPort> => {
  const server = createServer((socket) => socket.destroy());
  const port = await listening(server, { host, port: 0, portVariable: "HOST" });
  server.unref();
  return { port, release: () => new Promise((resolve) => server.close(() => resolve())) };
};
