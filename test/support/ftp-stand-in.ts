/**
 * An FTP server that misbehaves on demand (RFC 959, RFC 2428, RFC 3659): what no real one does when a test wants it.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

interface Cleaner {
  after(clean: () => void | Promise<void>): void;
}

/** What is done with the data connection of a RETR once `after` bytes were sent. */
export interface Interruption {
  readonly after: number;
  readonly next: "hang" | "reset" | "end";
}

export interface FtpStandIn {
  readonly port: number;
  /** By path as it stands in the command. */
  readonly files: Map<string, Buffer>;
  /** Commands in order, without the password. */
  readonly asked: string[];
  /** Replies instead of the usual ones, by command word; `{raw}` is written as it is, in these pieces. */
  readonly replies: Map<string, string | { readonly raw: readonly string[] }>;
  interruption: Interruption | null;
  /** Resolves once a transfer was interrupted. */
  interrupted: Promise<void>;
}

/** MLSD's lines for `list`. */
export const MLSD_LINES =
  "type=cdir; .\r\ntype=file;size=3; b c\r\ntype=dir; a\r\ntype=OS.unix=slink:/x;size=1; link\r\n";

class Session {
  readonly #socket: Socket;
  readonly #server: FtpStandIn;
  readonly #notice: () => void;
  #passive: Server | undefined;
  #data: Promise<Socket> | undefined;
  #restAt = 0;

  constructor(socket: Socket, server: FtpStandIn, notice: () => void) {
    this.#socket = socket;
    this.#server = server;
    this.#notice = notice;
    socket.on("close", () => this.#passive?.close());
  }

  say(line: string): void {
    this.#socket.write(`${line}\r\n`);
  }

  async answer(line: string): Promise<void> {
    const [word = "", ...rest] = line.split(" ");
    const path = rest.join(" ");
    this.#server.asked.push(word === "PASS" ? word : line);
    const told = this.#server.replies.get(word);
    if (typeof told === "string") return this.say(told);
    if (told) {
      for (const piece of told.raw)
        await new Promise((resolve) => this.#socket.write(piece, () => setImmediate(resolve)));
      return;
    }
    const file = this.#server.files.get(path);
    switch (word) {
      case "USER":
        return this.say("331 password");
      case "PASS":
        return this.say("230 in");
      case "FEAT":
        return this.say("211-\r\n MLST type*;size*;\r\n211 end");
      case "EPSV":
        return this.#listen();
      case "REST":
        this.#restAt = Number(path);
        return this.say("350 go on");
      case "SIZE":
        return this.say(file ? `213 ${file.length}` : "550 no");
      case "MDTM":
        return this.say(file ? "213 20260105100000" : "550 no");
      case "RETR":
        return file ? this.#send(file) : this.say("550 no");
      case "MLSD":
        return this.#send(Buffer.from(MLSD_LINES));
      default:
        return this.say("200 fine");
    }
  }

  async #listen(): Promise<void> {
    this.#passive?.close();
    const passive = createServer({ pauseOnConnect: true }).listen(0, "127.0.0.1");
    this.#passive = passive;
    await once(passive, "listening");
    this.#data = once(passive, "connection").then(([socket]) => socket as Socket);
    this.say(`229 entering (|||${(passive.address() as AddressInfo).port}|)`);
  }

  async #send(file: Buffer): Promise<void> {
    const socket = await this.#data;
    if (!socket) return this.say("425 no data connection");
    let isBroken = false;
    socket.on("error", () => {
      isBroken = true;
    });
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.resume();
    this.#socket.on("close", () => socket.destroy());
    this.say("150 here it comes");
    const bytes = file.subarray(this.#restAt);
    this.#restAt = 0;
    const { interruption } = this.#server;
    const sent = interruption === null ? bytes : bytes.subarray(0, interruption.after);
    socket.write(sent, () => {
      if (interruption?.next === "hang") this.#notice();
      else if (interruption?.next === "reset") socket.resetAndDestroy();
      else socket.end();
    });
    if (interruption?.next === "hang") return;
    await closed;
    this.say(isBroken || interruption?.next === "reset" ? "426 broken" : "226 done");
  }
}

export const ftpStandIn = async (t: Cleaner): Promise<FtpStandIn> => {
  const sockets = new Set<Socket>();
  const notice = Promise.withResolvers<void>();
  const standIn: FtpStandIn = {
    port: 0,
    files: new Map(),
    asked: [],
    replies: new Map(),
    interruption: null,
    interrupted: notice.promise,
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    const session = new Session(socket, standIn, notice.resolve);
    const greeting = standIn.replies.get("");
    session.say(typeof greeting === "string" ? greeting : "220 hello");
    let tail = "";
    let turn = Promise.resolve();
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      const lines = (tail + chunk).split("\r\n");
      tail = lines.pop() ?? "";
      for (const line of lines) turn = turn.then(() => session.answer(line)).catch(() => void socket.destroy());
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return Object.assign(standIn, { port: (server.address() as AddressInfo).port });
};
