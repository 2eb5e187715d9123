/** A TCP proxy that a test can cut, so that a process loses a server while the server itself goes on. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface CuttableProxy {
  /** The target's URL with this proxy's address in it. */
  readonly url: string;
  /** Breaks every connection and refuses new ones until `mend`. */
  cut(): void;
  /** Takes connections and bytes, and answers nothing any more: a server that hangs. */
  freeze(): void;
  /** Freezes when a client's next bytes have this text in them, which the target does not get. */
  freezeAt(text: string): void;
  isFrozen(): boolean;
  mend(): void;
}

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

export const proxyTo = async (t: Cleaner, target: string): Promise<CuttableProxy> => {
  const to = new URL(target);
  const socketDir = to.searchParams.get("host"); // PostgreSQL on a Unix socket: its URL names the folder
  const port = Number(to.port || 5432);
  const address = socketDir === null ? { host: to.hostname, port } : { path: `${socketDir}/.s.PGSQL.${port}` };
  const sockets = new Set<Socket>();
  let open = true;
  let frozen = false;
  let freezeText: string | null = null;
  // A server that hangs does not answer a goodbye either.
  const server = createServer({ allowHalfOpen: true }, (down) => {
    if (!open) return void down.destroy();
    const up = connect({ ...address, allowHalfOpen: true });
    for (const socket of [down, up]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => {
        sockets.delete(socket);
        down.destroy();
        up.destroy();
      });
    }
    for (const [from, to] of [
      [down, up],
      [up, down],
    ] as const) {
      from.on("data", (bytes) => {
        if (from === down && freezeText !== null && bytes.includes(freezeText)) frozen = true;
        frozen || to.write(bytes);
      });
      from.on("end", () => frozen || to.end());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const drop = () => {
    for (const socket of sockets) socket.destroy();
  };
  t.after(async () => {
    drop();
    server.close();
  });
  const url = new URL(target);
  url.searchParams.delete("host");
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    cut() {
      open = false;
      drop();
    },
    freeze() {
      frozen = true;
    },
    freezeAt(text) {
      freezeText = text;
    },
    isFrozen: () => frozen,
    mend() {
      open = true;
      frozen = false;
      freezeText = null;
    },
  };
};
