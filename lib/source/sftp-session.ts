/** The SFTP channel of a connection (draft-ietf-secsh-filexfer-02): its calls as promises. */
import type { FileEntryWithStats, SFTPWrapper, Stats } from "ssh2";
import type { ErrorCode } from "../../contracts/errors.ts";
import type { SourceStat } from "./port.ts";
import { codeOfSsh, type SshLink } from "./ssh.ts";
import { statOf } from "./versions.ts";
import type { Watch } from "./watch.ts";

const ENTRIES_MAX = 200_000;
const END_OF_FILE = 1;
const NO_SUCH_FILE = 2;
const PERMISSION_DENIED = 3;

export const codeOfSftp = (error: unknown): ErrorCode | undefined => {
  const { code } = error as { code?: unknown };
  if (code === NO_SUCH_FILE) return "SOURCE_NOT_FOUND";
  if (code === PERMISSION_DENIED) return "SOURCE_DENIED";
  return codeOfSsh(error);
};

type Done<T> = (error: Error | null | undefined, value: T) => void;

const call = <T>(begin: (done: Done<T>) => void): Promise<T> =>
  new Promise((resolve, reject) => begin((error, value) => (error ? reject(error) : resolve(value))));

/** undefined: no file. */
const fileStat = (stats: Stats): SourceStat | undefined =>
  stats.isFile() ? statOf(stats.size, stats.mtime * 1000) : undefined;

const sessions = new WeakMap<SshLink, Promise<SftpSession>>();

/** The one session of a connection. */
export const sftpOf = (link: SshLink): Promise<SftpSession> => {
  const known = sessions.get(link);
  if (known) return known;
  const session = call<SFTPWrapper>((done) => void link.client.sftp(done)).then((sftp) => {
    sftp.on("close", () => link.close());
    sftp.on("error", () => link.close());
    return new SftpSession(link, sftp);
  });
  // Without its channel the connection is of no use.
  session.catch(() => link.close());
  sessions.set(link, session);
  return session;
};

export class SftpSession {
  readonly #link: SshLink;
  readonly #sftp: SFTPWrapper;
  /** Calls that wait for an answer: ssh2 forgets them when the connection ends. */
  readonly #waiting = new Set<(error: Error) => void>();

  constructor(link: SshLink, sftp: SFTPWrapper) {
    this.#link = link;
    this.#sftp = sftp;
    sftp.once("close", () => {
      for (const reject of this.#waiting) reject(new Error("the connection ended"));
    });
  }

  get isBroken(): boolean {
    return this.#link.isBroken;
  }

  async stat(path: string): Promise<SourceStat | undefined> {
    return fileStat(await this.#call<Stats>((done) => this.#sftp.stat(path, done)));
  }

  async statHandle(handle: Buffer): Promise<SourceStat | undefined> {
    return fileStat(await this.#call<Stats>((done) => this.#sftp.fstat(handle, done)));
  }

  open(path: string): Promise<Buffer> {
    return this.#call<Buffer>((done) => this.#sftp.open(path, "r", done));
  }

  /** The bytes that came, at most `length`; 0 at the end. */
  read(handle: Buffer, into: Buffer, length: number, position: number): Promise<number> {
    return this.#call<number>((done) => this.#sftp.read(handle, into, 0, length, position, done));
  }

  /** Nobody waits for it. */
  closeHandle(handle: Buffer): void {
    if (!this.isBroken) this.#sftp.close(handle, () => {});
  }

  /** All names of a folder, page by page. */
  async list(path: string, watch: Watch): Promise<FileEntryWithStats[]> {
    const handle = await this.#call<Buffer>((done) => this.#sftp.opendir(path, done));
    const found: FileEntryWithStats[] = [];
    try {
      for (;;) {
        found.push(...(await this.#page(handle)));
        if (found.length > ENTRIES_MAX) throw new Error(`the folder has more than ${ENTRIES_MAX} entries`);
        watch.progress();
      }
    } catch (error) {
      if ((error as { code?: unknown }).code !== END_OF_FILE) throw error;
      return found;
    } finally {
      this.closeHandle(handle);
    }
  }

  #page(handle: Buffer): Promise<FileEntryWithStats[]> {
    // A handle is taken as well as a path; the types know the path alone.
    return this.#call<FileEntryWithStats[]>((done) => this.#sftp.readdir(handle as never, done));
  }

  /** What a link leads to; undefined when that is nothing. */
  async follow(path: string): Promise<Stats | undefined> {
    return this.#call<Stats>((done) => this.#sftp.stat(path, done)).catch(() => undefined);
  }

  async #call<T>(begin: (done: Done<T>) => void): Promise<T> {
    if (this.isBroken) throw new Error("the connection ended");
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.add(reject);
    begin((error, value) => (error ? reject(error) : resolve(value)));
    try {
      return await promise;
    } finally {
      this.#waiting.delete(reject);
    }
  }
}
