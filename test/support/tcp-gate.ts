/** A TCP gate in front of a server: it counts connections, cuts them, or lets the server look as if it hung. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface TcpGate {
  readonly port: number;
  /** Connections that stand now, the most that ever stood at once, and all that came. */
  readonly count: { readonly now: number; readonly most: number; readonly all: number };
  /** Takes connections and bytes, and lets nothing through any more. */
  freeze(): void;
  /** Lets so many more bytes of answers through, then freezes. */
  freezeAfter(bytes: number): void;
  mend(): void;
  /** Breaks the connections that stand; new ones are taken. */
  cut(): void;
  /** Resolves at the next byte or connection that a frozen gate keeps. */
  held(): Promise<void>;
  close(): void;
}

/** Opens a gate on a free port of 127.0.0.1 that leads to another. */
export const tcpGate = async (to: number): Promise<TcpGate> => {
  const sockets = new Set<Socket>();
  const count = { now: 0, most: 0, all: 0 };
  let allowance = Number.POSITIVE_INFINITY;
  let notice = Promise.withResolvers<void>();
  const keep = (): void => {
    notice.resolve();
    notice = Promise.withResolvers();
  };
  const server = createServer({ allowHalfOpen: true }, (down) => {
    const up = connect({ port: to, host: "127.0.0.1", allowHalfOpen: true });
    count.all += 1;
    count.now += 1;
    count.most = Math.max(count.most, count.now);
    down.once("close", () => {
      count.now -= 1;
    });
    for (const socket of [down, up]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.once("close", () => {
        sockets.delete(socket);
        down.destroy();
        up.destroy();
      });
    }
    const pass = (from: Socket, into: Socket, isAnswer: boolean): void => {
      from.on("data", (bytes: Buffer) => {
        const some = isAnswer ? bytes.subarray(0, allowance) : allowance > 0 ? bytes : bytes.subarray(0, 0);
        if (isAnswer) allowance -= some.length;
        if (some.length > 0 && !into.write(some)) {
          from.pause();
          into.once("drain", () => from.resume());
        }
        if (some.length < bytes.length) keep();
      });
      from.on("end", () => {
        // A hung process's kernel takes the end of a connection, and nothing is heard of it.
        if (allowance > 0) into.end();
      });
    };
    pass(down, up, false);
    pass(up, down, true);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    count,
    freeze: () => {
      allowance = 0;
    },
    freezeAfter: (bytes) => {
      allowance = bytes;
    },
    mend: () => {
      allowance = Number.POSITIVE_INFINITY;
    },
    cut,
    held: () => notice.promise,
    close: () => {
      cut();
      server.close();
    },
  };
};
