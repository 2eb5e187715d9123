/** A TCP gate in front of a server: it counts connections, cuts them, or lets the server look as if it hung. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface TcpGate {
  readonly port: number;
  /** Connections that stand now, the most that ever stood at once, and all that came. */
  readonly count: { readonly now: number; readonly most: number; readonly all: number };
  /** Takes connections, and holds all bytes back from now on. */
  freeze(): void;
  /** Lets so many more bytes of answers through, then freezes. */
  freezeAfter(bytes: number): void;
  /** Lets everything through, what was held back first. */
  mend(): void;
  /** Breaks the connections that stand; new ones are taken. */
  cut(): void;
  /** Resolves at the next byte that is held back. */
  held(): Promise<void>;
  close(): void;
}

/** One direction of one connection. */
interface Lane {
  readonly from: Socket;
  readonly into: Socket;
  readonly isAnswer: boolean;
  pending: Buffer[];
}

/** Opens a gate on a free port of 127.0.0.1 that leads to another. */
export const tcpGate = async (to: number): Promise<TcpGate> => {
  const lanes = new Set<Lane>();
  const count = { now: 0, most: 0, all: 0 };
  let allowance = Number.POSITIVE_INFINITY;
  let notice = Promise.withResolvers<void>();

  const flush = (lane: Lane): void => {
    const { from, into, isAnswer } = lane;
    const bytes = Buffer.concat(lane.pending);
    const some = isAnswer ? bytes.subarray(0, allowance) : bytes.subarray(0, allowance > 0 ? bytes.length : 0);
    const rest = bytes.subarray(some.length);
    if (isAnswer) allowance -= some.length;
    lane.pending = rest.length > 0 ? [rest] : [];
    const isTaken = some.length === 0 || into.write(some);
    if (rest.length > 0) {
      from.pause();
      notice.resolve();
      notice = Promise.withResolvers();
    } else if (isTaken) from.resume();
    else {
      from.pause();
      into.once("drain", () => from.resume());
    }
  };

  const open = (from: Socket, into: Socket, isAnswer: boolean): void => {
    const lane: Lane = { from, into, isAnswer, pending: [] };
    lanes.add(lane);
    from.on("data", (bytes: Buffer) => {
      lane.pending.push(bytes);
      flush(lane);
    });
    from.on("end", () => into.end());
    from.on("error", () => {});
    from.once("close", () => {
      lanes.delete(lane);
      into.destroy();
    });
  };

  const server = createServer({ allowHalfOpen: true }, (down) => {
    const up = connect({ port: to, host: "127.0.0.1", allowHalfOpen: true });
    count.all += 1;
    count.now += 1;
    count.most = Math.max(count.most, count.now);
    down.once("close", () => {
      count.now -= 1;
    });
    open(down, up, false);
    open(up, down, true);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = (): void => {
    for (const { from } of lanes) from.destroy();
  };
  const allow = (bytes: number): void => {
    allowance = bytes;
    for (const lane of lanes) flush(lane);
  };
  return {
    port: (server.address() as AddressInfo).port,
    count,
    freeze: () => allow(0),
    freezeAfter: (bytes) => allow(bytes),
    mend: () => allow(Number.POSITIVE_INFINITY),
    cut,
    held: () => notice.promise,
    close: () => {
      cut();
      server.close();
    },
  };
};
