/**
 * The sending side of scp (`scp -f`) as it speaks on a channel of SSH: a line with the times, one with mode and size,
 * the bytes; each is answered with a zero. OpenSSH's scp.c is its only description.
 */
import type { FileHandle } from "node:fs/promises";
import type { ClientChannel } from "ssh2";
import type { ErrorCode } from "../../contracts/errors.ts";
import { writeAll } from "./copy.ts";
import type { SourceStat } from "./port.ts";
import { codeOfSsh } from "./ssh.ts";
import { statOf } from "./versions.ts";
import type { Watch } from "./watch.ts";

const LINE_BYTES_MAX = 4096;
const COMPLAINT_BYTES_MAX = 500;
const OK = Buffer.from([0]);
const NEWLINE = 10;

/** What the other side complained of, in its words. */
class Complaint extends Error {
  readonly code = "SCP_COMPLAINT";
}

export const codeOfScp = (error: unknown): ErrorCode | undefined => {
  if (!(error instanceof Complaint)) return codeOfSsh(error);
  if (/no such file|not a regular file|is a directory|not a directory/i.test(error.message)) return "SOURCE_NOT_FOUND";
  return /permission denied/i.test(error.message) ? "SOURCE_DENIED" : undefined;
};

/** A word of a POSIX shell that stands for itself. */
export const shellWord = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

export class ScpTransfer {
  readonly #channel: ClientChannel;
  readonly #watch: Watch;
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  #complaint = "";

  constructor(channel: ClientChannel, watch: Watch) {
    this.#channel = channel;
    this.#watch = watch;
    this.#chunks = channel[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    channel.stderr.on("data", (bytes: Buffer) => {
      if (this.#complaint.length < COMPLAINT_BYTES_MAX) this.#complaint += bytes.toString();
    });
  }

  /** What is known before any byte of the file is sent. */
  async head(): Promise<SourceStat> {
    this.#channel.write(OK);
    const [, seconds] = /^T(\d{1,15}) /.exec(await this.#line()) ?? [];
    if (seconds === undefined) throw new Error("the other side is no scp");
    this.#channel.write(OK);
    const [, size] = /^C[0-7]{4} (\d{1,15}) /.exec(await this.#line()) ?? [];
    if (size === undefined) throw new Error("the other side is no scp");
    return statOf(Number(size), Number(seconds) * 1000);
  }

  /** After `head`: writes the file, and gives whether the other side could read all of it. */
  async body(sizeBytes: number, handle: FileHandle): Promise<boolean> {
    this.#channel.write(OK);
    let at = 0;
    while (at < sizeBytes) {
      if (this.#rest.length === 0 && !(await this.#more())) return false;
      const some = this.#rest.subarray(0, sizeBytes - at);
      this.#rest = this.#rest.subarray(some.length);
      await writeAll(handle, some, at);
      at += some.length;
    }
    if (this.#rest.length === 0 && !(await this.#more())) return false;
    this.#channel.write(OK);
    return this.#rest[0] === 0;
  }

  /** A line without its end; a complaint is thrown. */
  async #line(): Promise<string> {
    let end = this.#rest.indexOf(NEWLINE);
    while (end < 0) {
      if (this.#rest.length > LINE_BYTES_MAX) throw new Error("the other side is no scp");
      if (!(await this.#more())) throw new Complaint(this.#complaint.trim() || "it ended without a word");
      end = this.#rest.indexOf(NEWLINE);
    }
    const line = this.#rest.subarray(0, end).toString();
    this.#rest = this.#rest.subarray(end + 1);
    if (line.startsWith("\u0001") || line.startsWith("\u0002")) throw new Complaint(line.slice(1));
    return line;
  }

  async #more(): Promise<boolean> {
    const { value, done } = await this.#chunks.next();
    if (done) return false;
    this.#watch.progress();
    this.#rest = this.#rest.length === 0 ? value : Buffer.concat([this.#rest, value]);
    return true;
  }
}
