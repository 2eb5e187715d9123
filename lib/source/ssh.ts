/**
 * One SSH connection of a source, shared by all that is asked of it and made anew when it broke. The server's key must
 * be in the file of known hosts: who can't prove to be that server gets no password and gives no files.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { connect as connectTcp, type Socket } from "node:net";
import ssh2, { type Algorithms, type Client, type ConnectConfig, type ServerHostKeyAlgorithm } from "ssh2";
import type { ErrorCode } from "../../contracts/errors.ts";
import { algorithmsOf, type HostKeys, hostKeysOf, hostNameOf, isTrusted } from "./known-hosts.ts";
import type { SshLogin } from "./settings.ts";
import type { NetworkLimits, Watch } from "./watch.ts";

const IDLE_MS = 60_000;
const KEEPALIVE_MS = 15_000;

interface Told {
  readonly code?: unknown;
  readonly level?: unknown;
  readonly message?: unknown;
}
type Refusal = "SSH_DENIED" | "SSH_TIMEOUT";

const refusal = (code: Refusal, message: string): Error => Object.assign(new Error(message), { code });

/** What an error of a connection stands for. */
export const codeOfSsh = (error: unknown): ErrorCode | undefined => {
  const { code, level, message } = error as Told;
  if (code === "SSH_DENIED" || level === "client-authentication") return "SOURCE_DENIED";
  // It has no key of a type that is known of it.
  if (/no matching host key/.test(String(message))) return "SOURCE_DENIED";
  if (code === "SSH_TIMEOUT" || level === "client-timeout") return "SOURCE_TIMEOUT";
  return undefined;
};

const fingerprintOf = (key: Buffer): string =>
  `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;

/** A connection that stands. */
export class SshLink {
  readonly client: Client;
  readonly #socket: Socket;
  #isBroken = false;

  constructor(client: Client, socket: Socket) {
    this.client = client;
    this.#socket = socket;
    client.on("error", () => this.close()).on("close", () => this.close());
  }

  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Bytes that came so far. */
  get received(): number {
    return this.#socket.bytesRead;
  }

  close(): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.client.end();
    this.#socket.destroy();
  }
}

/** Only keys of types that are known are asked for, and AES-GCM first: it is the cipher that costs the least. */
const algorithms = (keys: HostKeys): Algorithms => ({
  serverHostKey: algorithmsOf(keys) as ServerHostKeyAlgorithm[], // what ssh2 does not know it refuses by itself
  cipher: { prepend: ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"], append: [], remove: [] },
});

export class SharedSsh {
  readonly #login: SshLogin;
  readonly #limits: NetworkLimits;
  #link: Promise<SshLink> | undefined;
  #standing: SshLink | undefined;
  #connecting: Socket | undefined;
  #users = 0;
  #isClosed = false;
  #idle: NodeJS.Timeout | undefined;

  constructor(login: SshLogin, limits: NetworkLimits) {
    this.#login = login;
    this.#limits = limits;
  }

  /**
   * Work on the connection. One that stood already, and breaks before anything came of this work, is made anew once;
   * one that is silent for the time of the watch is given up.
   */
  async use<T>(watch: Watch, work: (link: SshLink) => Promise<T>): Promise<T> {
    this.#users += 1;
    clearTimeout(this.#idle);
    try {
      for (let isFresh = false; ; isFresh = true) {
        const isKept = this.#standing !== undefined && !this.#standing.isBroken;
        const link = await this.#joined(watch);
        watch.connected();
        const { received } = link;
        try {
          return await watch.race(work(link));
        } catch (error) {
          const isUntouched = link.received === received;
          if (isUntouched && isTimeout(watch)) link.close();
          if (!isKept || isFresh || !isUntouched || !link.isBroken || watch.signal.aborted) throw error;
          watch.connecting();
        }
      }
    } finally {
      this.#users -= 1;
      if (this.#users === 0) this.#idle = setTimeout(() => this.#drop(), IDLE_MS).unref();
    }
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#idle);
    this.#drop();
  }

  #drop(): void {
    this.#connecting?.destroy();
    this.#standing?.close();
    this.#standing = undefined;
    this.#link = undefined;
  }

  /** Who came while it was being made, and finds that it could not, tries once for himself: his time is not over. */
  async #joined(watch: Watch): Promise<SshLink> {
    const isOwn = this.#link === undefined;
    try {
      return await watch.race(this.#connected());
    } catch (error) {
      if (isOwn || watch.signal.aborted) throw error;
      return watch.race(this.#connected());
    }
  }

  /** All who ask while it is being made wait for the same one. */
  #connected(): Promise<SshLink> {
    if (this.#standing && !this.#standing.isBroken) return Promise.resolve(this.#standing);
    if (this.#link) return this.#link;
    const link = this.#connect();
    this.#link = link;
    const over = () => {
      if (this.#link === link) this.#link = undefined;
    };
    link.then((made) => {
      this.#standing = made;
      over();
      if (this.#isClosed) this.#drop();
    }, over);
    return link;
  }

  async #connect(): Promise<SshLink> {
    const { host, port } = this.#login;
    const keys = await this.#hostKeys();
    const secrets = await this.#secrets();
    if (this.#isClosed) throw new Error("the source is closed");
    const socket = connectTcp({ host, port, noDelay: true });
    this.#connecting = socket;
    const client = new ssh2.Client();
    const { promise, resolve, reject } = Promise.withResolvers<SshLink>();
    const late = setTimeout(() => {
      reject(refusal("SSH_TIMEOUT", "no connection stood in time"));
      socket.destroy();
    }, this.#limits.connectTimeoutMs);
    let refused: Error | undefined;
    const hostVerifier = (shown: Buffer): boolean => {
      if (isTrusted(keys, shown)) return true;
      const told = `the host key of ${hostNameOf(host, port)} has changed: ${fingerprintOf(shown)} is not in`;
      refused = refusal("SSH_DENIED", `${told} ${this.#login.knownHostsFile}`);
      return false;
    };
    client.on("ready", () => resolve(new SshLink(client, socket)));
    client.on("error", (error) => reject(refused ?? error));
    client.on("close", () => reject(refused ?? new Error("the server closed the connection")));
    client.on("keyboard-interactive", (_name, _instructions, _language, prompts, finish) => {
      finish(prompts.map(() => this.#login.password ?? ""));
    });
    try {
      // Its own time is off: ours covers the TCP connection too.
      const settled = { sock: socket, readyTimeout: 0, keepaliveInterval: KEEPALIVE_MS, hostVerifier };
      client.connect({ ...settled, ...secrets, algorithms: algorithms(keys) });
      return await promise;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(late);
      this.#connecting = undefined;
    }
  }

  /** Read for each connection: a key that an operator adds counts at once. */
  async #hostKeys(): Promise<HostKeys> {
    const { host, port, knownHostsFile } = this.#login;
    const file = await readFile(knownHostsFile, "utf8").catch((error: unknown) => {
      throw refusal("SSH_DENIED", `the file of known hosts can't be read: ${(error as Error).message}`);
    });
    const keys = hostKeysOf(file, host, port);
    if (keys.trusted.length > 0) return keys;
    throw refusal("SSH_DENIED", `the host key of ${hostNameOf(host, port)} is in no line of ${knownHostsFile}`);
  }

  async #secrets(): Promise<ConnectConfig> {
    const { user, password, keyFile, passphrase } = this.#login;
    const login: ConnectConfig = { username: user };
    if (password !== null) Object.assign(login, { password, tryKeyboard: true });
    if (keyFile === null) return login;
    const text = await readFile(keyFile, "utf8").catch((error: unknown) => {
      throw refusal("SSH_DENIED", `the private key can't be read: ${(error as Error).message}`);
    });
    const key = ssh2.utils.parseKey(text, passphrase ?? undefined);
    if (key instanceof Error) throw refusal("SSH_DENIED", `the private key ${keyFile} can't be used: ${key.message}`);
    return { ...login, privateKey: text, ...(passphrase === null ? {} : { passphrase }) };
  }
}

const isTimeout = ({ signal }: Watch): boolean =>
  signal.aborted && (signal.reason as Told | undefined)?.code === "SOURCE_TIMEOUT";
