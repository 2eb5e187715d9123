/** Starts the product as a user does, as child processes, and speaks to it over its own REST API. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

const ROOT = path.resolve(import.meta.dirname, "../..");
export const ADMIN_KEY = "test-admin-key-0123456789abcdef0123456789";
const READY_DEADLINE_MS = 60_000;

/** What main writes to `DATA_DIR/run/endpoints.json` when all is up. */
export interface Endpoints {
  readonly nodeId: string;
  readonly gateway: string | null;
  readonly edge: string | null;
  readonly streamers: readonly string[];
  readonly packager: string | null;
  readonly health: string | null;
}

export interface Node {
  readonly child: ChildProcess;
  readonly dataDir: string;
  readonly endpoints: Endpoints;
  /** Everything it printed so far. */
  output(): string;
  /** SIGTERM, waits for the end; the exit code. */
  stop(): Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
}

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

export interface NodeOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** An existing data directory to start on again; it is not removed afterwards. */
  readonly dataDir?: string;
}

const baseEnv = (dataDir: string): Record<string, string> => ({
  PATH: process.env.PATH ?? "",
  HOME: process.env.HOME ?? dataDir,
  DATA_DIR: dataDir,
  PORT: "0",
  EDGE_PORT: "0",
  STREAMER_PORT: "0",
  PACKAGER_PORT: "0",
  UPLOAD_PORT: "0",
  DEMO: "off",
  ADMIN_API_KEY: ADMIN_KEY,
  LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? "info",
  LOG_FORMAT: "json",
});

/** Polls until `probe` gives a value; rejects after the deadline with what it was waiting for. */
export const until = async <T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  deadlineMs = 60_000,
  everyMs = 50,
): Promise<T> => {
  const end = performance.now() + deadlineMs;
  let last: unknown;
  while (performance.now() < end) {
    try {
      const value = await probe();
      if (value !== undefined) return value;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  throw new Error(`waited ${deadlineMs} ms in vain for ${what}${last ? `: ${(last as Error).message}` : ""}`);
};

export const tempDir = async (t: Cleaner): Promise<string> => {
  const dir = await mkdtemp(path.join(tmpdir(), "castellan-test-"));
  t.after(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
};

const stopChild = async (child: ChildProcess): Promise<number | null> => {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const hard = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const [code] = (await ended) as [number | null];
  clearTimeout(hard);
  return code;
};

const readEndpoints = async (dataDir: string, pid: number): Promise<Endpoints | undefined> => {
  const found = JSON.parse(await readFile(path.join(dataDir, "run/endpoints.json"), "utf8")) as Endpoints & {
    pid: number;
  };
  return found.pid === pid ? found : undefined;
};

export type Launched = Omit<Node, "endpoints">;

/** Starts one process and waits for nothing. It is stopped when the test ends. */
export const launchNode = async (t: Cleaner, options: NodeOptions = {}): Promise<Launched> => {
  const dataDir = options.dataDir ?? (await tempDir(t));
  const child = spawn(process.execPath, [path.join(ROOT, "start.mjs")], {
    cwd: ROOT,
    env: { ...baseEnv(dataDir), ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (chunk: Buffer) => {
      output = (output + chunk).slice(-400_000);
      if (process.env.TEST_VERBOSE) process.stderr.write(chunk);
    });
  t.after(async () => void (await stopChild(child)));
  return {
    child,
    dataDir,
    output: () => output,
    stop: () => stopChild(child),
    kill: (signal) => void child.kill(signal),
  };
};

/** Starts one process and waits until its /readyz says 200. It is stopped when the test ends. */
export const startNode = async (t: Cleaner, options: NodeOptions = {}): Promise<Node> => {
  const launched = await launchNode(t, options);
  const { child, dataDir, output } = launched;
  const endpoints = await until(
    "the node to be ready",
    async () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${output().slice(-3000)}`);
      const found = await readEndpoints(dataDir, child.pid ?? 0);
      const any = found && (found.gateway ?? found.edge ?? found.streamers[0] ?? found.packager ?? found.health);
      if (!any || !(await fetch(`${any}/readyz`)).ok) return undefined;
      return found;
    },
    READY_DEADLINE_MS,
  ).catch((error: Error) => {
    throw new Error(`${error.message}\n${output().slice(-3000)}`);
  });
  return { ...launched, endpoints };
};

export interface Answer<T = unknown> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

export interface Api {
  call<T>(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer<T>>;
}

/** A REST client with an API key; paths are below `/api/v1`. */
export const apiOf = (gateway: string, key: string = ADMIN_KEY): Api => ({
  async call<T>(method: string, at: string, body?: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(`${gateway}/api/v1${at}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: (text ? JSON.parse(text) : null) as T };
  },
});

interface StreamerList {
  data: { id: number; baseUrl: string; kind: string; health: string }[];
}
/** Waits until `count` of our own streamers are online; their ids in order. */
export const streamerIds = (api: Api, count: number): Promise<number[]> =>
  until(`${count} streamers to register`, async () => {
    const { body } = await api.call<StreamerList>("GET", "/streamers");
    const online = body.data.filter((s) => s.kind === "castellan" && s.health === "online").map((s) => s.id);
    return online.length >= count ? online.sort((a, b) => a - b) : undefined;
  });

export interface ChannelBody {
  success: true;
  data: {
    id: number;
    streamId: string;
    status: string;
    version: number;
    origins: { id: number; streamerId: number; status: string; playbackUrl: string | null }[];
  };
  failures: { streamerId: number; status: number; message: string }[];
}
export interface PlaybackBody {
  data: { hls: string; dash: string; origins: { streamerId: number; hls: string; dash: string; status: string }[] };
}

export const createChannel = async (api: Api, body: Record<string, unknown>): Promise<ChannelBody["data"]> => {
  const made = await api.call<ChannelBody>("POST", "/channels", body);
  if (made.status !== 201)
    throw new Error(`POST /channels answered ${made.status}: ${JSON.stringify(made.body, null, 1)}`);
  return made.body.data;
};

export const playbackOf = async (api: Api, channelId: number): Promise<PlaybackBody["data"]> =>
  (await api.call<PlaybackBody>("GET", `/channels/${channelId}/playback`)).body.data;

/** Waits until a multivariant playlist answers 200. */
export const untilPlayable = (url: string, deadlineMs = 60_000): Promise<string> =>
  until(
    `${url} to be playable`,
    async () => {
      const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
      return response.ok ? await response.text() : undefined;
    },
    deadlineMs,
  );
