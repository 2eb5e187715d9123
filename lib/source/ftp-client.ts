/** One FTP control connection (RFC 959, RFC 3659), on basic-ftp: ranges, stats and listings of it. */
import { isIP, type Socket } from "node:net";
import type { Writable } from "node:stream";
import { Client, type FileInfo, FTPContext, FTPError, type FTPResponse } from "basic-ftp";
import type { ErrorCode } from "../../contracts/errors.ts";
import type { Connection } from "./pool.ts";
import type { SourceStat } from "./port.ts";
import type { FtpSettings } from "./settings.ts";
import { statOf } from "./versions.ts";
import type { NetworkLimits, Watch } from "./watch.ts";

type TaskResolver = Parameters<Parameters<FTPContext["handle"]>[1]>[1];

const LINE_BYTES_MAX = 64 * 1024;
const LISTING_BYTES_MAX = 64 * 1024 * 1024; // 200,000 lines of 300 bytes

/** basic-ftp takes whatever came in one piece for whole lines; a reply may come in two. And it forgets sockets. */
class LineContext extends FTPContext {
  readonly #sockets = new Set<Socket>();
  /** Bytes of replies so far. */
  received = 0;
  #tail = "";

  protected override _onControlSocketData(chunk: string): void {
    this.received += chunk.length;
    const text = this.#tail + chunk;
    const end = text.lastIndexOf("\n") + 1;
    this.#tail = text.slice(end);
    if (this.#tail.length > LINE_BYTES_MAX) this.closeWithError(new Error("a reply is one endless line"));
    else if (end > 0) super._onControlSocketData(text.slice(0, end));
  }

  override _newSocket(): Socket {
    const socket = super._newSocket();
    if (!(#sockets in this)) return socket; // the base's constructor makes one that is never used
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    return socket;
  }

  /** Those that are still connecting too. */
  destroyAll(): void {
    this.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** What a reply code stands for (RFC 959 §4.2.1); 550 is all that most servers say of a file. */
export const codeOfReply = (error: unknown): ErrorCode | undefined => {
  if (!(error instanceof FTPError)) return /^Timeout/.test((error as Error).message) ? "SOURCE_TIMEOUT" : undefined;
  switch (error.code) {
    case 530:
    case 532:
      return "SOURCE_DENIED";
    case 550:
      return /denied|permission/i.test(error.message) ? "SOURCE_DENIED" : "SOURCE_NOT_FOUND";
    default:
      return undefined;
  }
};

const isUnknownCommand = (error: unknown): boolean => error instanceof FTPError && [500, 502, 504].includes(error.code);

interface Transfer {
  /** Gets each piece; false when it wants no more. */
  readonly take: (chunk: Buffer) => boolean;
  readonly watch: Watch;
}

export class FtpConnection implements Connection {
  readonly #client: Client;
  readonly #context: LineContext;

  private constructor(client: Client, context: LineContext) {
    this.#client = client;
    this.#context = context;
  }

  static async open(settings: FtpSettings, ca: string | undefined, limits: NetworkLimits, watch: Watch) {
    // Its own times are a second net only: they end a data connection that never stands.
    const timeoutMs = 2 * Math.max(limits.connectTimeoutMs, limits.idleTimeoutMs);
    const client = new Client(timeoutMs, { allowSeparateTransferHost: false, maxListingBytes: LISTING_BYTES_MAX });
    const context = new LineContext(timeoutMs);
    Object.assign(client, { ftp: context });
    const connection = new FtpConnection(client, context);
    const { host, port, user, password, secure } = settings;
    const secureOptions = { ...(isIP(host) ? {} : { servername: host }), ...(ca === undefined ? {} : { ca }) };
    const modes = { off: false, explicit: true, implicit: "implicit" } as const;
    try {
      await watch.race(client.access({ host, port, user, password, secure: modes[secure], secureOptions }));
    } catch (error) {
      connection.close();
      throw error;
    }
    watch.connected();
    return connection;
  }

  get isBroken(): boolean {
    return this.#client.closed;
  }

  /** Grows with each reply. */
  get received(): number {
    return this.#context.received;
  }

  close(): void {
    this.#context.destroyAll();
  }

  async stat(path: string): Promise<SourceStat> {
    const sizeBytes = await this.#client.size(path);
    return statOf(sizeBytes, await this.#modified(path));
  }

  async #modified(path: string): Promise<number | null> {
    try {
      const time = (await this.#client.lastMod(path)).getTime();
      return Number.isNaN(time) ? null : time;
    } catch (error) {
      if (isUnknownCommand(error)) return null;
      throw error;
    }
  }

  /** Entries of a folder; links and the like are told by their type. */
  async list(path: string): Promise<FileInfo[]> {
    // Not as an argument of LIST: servers look for options and patterns in it.
    await this.#client.cd(path);
    return this.#client.list();
  }

  async isFolder(path: string): Promise<boolean> {
    const reply = await this.#client.sendIgnoringError(`CWD ${path}`);
    return reply.code < 300;
  }

  /** The whole of a file, as fast as it is taken. */
  async download(path: string, into: Writable): Promise<void> {
    await this.#client.downloadTo(into, path);
  }

  /** RETR from `offset` on until `take` has enough or the file ends; true when it ended. */
  async retrieve(path: string, offset: number, transfer: Transfer): Promise<boolean> {
    await this.#client.prepareTransfer(this.#context);
    const receiver = new Receiver(this.#context, transfer);
    const command = offset > 0 ? `REST ${offset}` : `RETR ${path}`;
    return this.#context.handle(command, (reply, task) => {
      if (!(reply instanceof Error) && reply.code === 350) this.#context.send(`RETR ${path}`);
      else receiver.reply(reply, task);
    });
  }
}

/** One transfer: it is over when both the data connection and the control connection say so, in any order. */
class Receiver {
  readonly #context: FTPContext;
  readonly #transfer: Transfer;
  #hasBegun = false;
  /** The reader has all it wants: the data connection was closed, and the server complains about that. */
  #hasEnough = false;
  #isDataOver = false;
  #isReplied = false;

  constructor(context: FTPContext, transfer: Transfer) {
    this.#context = context;
    this.#transfer = transfer;
  }

  reply(reply: Error | FTPResponse, task: TaskResolver): void {
    if (reply instanceof Error) {
      const isOurDoing = this.#hasEnough && reply instanceof FTPError;
      if (isOurDoing) this.#replied(task);
      else this.#failed(task, reply);
    } else if (reply.code === 150 || reply.code === 125) this.#begin(task);
    else if (reply.code >= 200) this.#replied(task);
  }

  #begin(task: TaskResolver): void {
    const { dataSocket } = this.#context;
    if (this.#hasBegun || !dataSocket) return;
    this.#hasBegun = true;
    const over = (): void => {
      this.#isDataOver = true;
      this.#settle(task);
    };
    dataSocket.on("data", (chunk: Buffer) => {
      if (this.#hasEnough || this.#transfer.watch.signal.aborted) return;
      this.#transfer.watch.progress();
      if (this.#transfer.take(chunk)) return;
      this.#hasEnough = true;
      dataSocket.destroy();
      over();
    });
    dataSocket.once("end", over);
    dataSocket.once("close", over);
  }

  #replied(task: TaskResolver): void {
    this.#isReplied = true;
    this.#settle(task);
  }

  #settle(task: TaskResolver): void {
    if (!this.#isDataOver || !this.#isReplied) return;
    this.#context.dataSocket = undefined;
    task.resolve(!this.#hasEnough);
  }

  #failed(task: TaskResolver, error: Error): void {
    this.#context.dataSocket = undefined;
    task.reject(error);
  }
}
