/**
 * A packager as a process of its own, asked over connections that are kept, and watched: its memory, files, and words.
 */
import { readdirSync, readFileSync } from "node:fs";
import http from "node:http";
import { type Node, startNode } from "../support/platform.ts";

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

export interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly bytes: Buffer;
  /** There is more that was not waited for. */
  readonly isPart: boolean;
  /** Until its head was there. */
  readonly headMs: number;
  readonly tookMs: number;
}

export interface AskOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly deadlineMs?: number;
  /** The client leaves when it has so many of the body. */
  readonly leaveAfterBytes?: number;
}

export type Ask = (path: string, options?: AskOptions) => Promise<Reply>;

export interface WatchedPackager {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  readonly node: Node;
  /** The whole of an answer, by its path as it is to be sent; rejects where it is cut short, or late. */
  readonly ask: Ask;
  /** Of memory, now and at most since the start. */
  residentBytes(): { readonly now: number; readonly most: number };
  openFileCount(): number;
  /** Lines of its log at the level of errors or above, and those that are none of its log's. */
  errors(): readonly string[];
}

const DEADLINE_MS = 30_000;
const CONNECTIONS_MAX = 64;
const LEVEL_ERROR = 50;

/** The settings of a packager of a folder, without any other server; its segments are short. */
export const aloneOn = (folder: string): Record<string, string> => ({
  ...{ ROLES: "packager", DATABASE_URL: "", NATS_URL: "" },
  CASTERPAK_FILESYSTEM_VIDEOPARENTPATH: folder,
  CASTERPAK_OUTPUT_SEGMENTDURATION: "2",
  CASTERPAK_CACHE_SOURCE_RECHECK: "0",
});

const KiB = 1024;
/** `VmRSS` and the like of a process (proc(5)). */
const fieldOf = (pid: number, name: string): number => {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * KiB;
};

const levelOf = (line: string): number => {
  try {
    return (JSON.parse(line) as { readonly level?: number }).level ?? 0;
  } catch {
    return /Error|FATAL/.test(line) ? LEVEL_ERROR : 0; // what a dying process prints
  }
};

/** Reads the body; what the client has when it leaves is what it gets. */
const bodyOf = (answer: http.IncomingMessage, leaveAfterBytes: number): Promise<Pick<Reply, "bytes" | "isPart">> =>
  new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let got = 0;
    answer.on("data", (part: Buffer) => {
      parts.push(part);
      got += part.length;
      if (got < leaveAfterBytes) return;
      resolve({ bytes: Buffer.concat(parts), isPart: true });
      answer.destroy();
    });
    answer.once("error", (error) => reject(new Error(`it was cut short: ${error.message}`)));
    answer.once("end", () => resolve({ bytes: Buffer.concat(parts), isPart: false }));
  });

export const askerOf = (url: string, agent: http.Agent): Ask => {
  const { hostname, port } = new URL(url);
  return (path, { method = "GET", headers = {}, deadlineMs = DEADLINE_MS, leaveAfterBytes = 2 ** 40 } = {}) =>
    new Promise((resolve, reject) => {
      const from = performance.now();
      const failed = (error: Error): void => reject(new Error(`${path}: ${error.message}`));
      const request = http.request({ hostname, port, path, method, headers, agent }, (answer) => {
        const headMs = performance.now() - from;
        bodyOf(answer, leaveAfterBytes).then((body) => {
          const { statusCode: status = 0, headers: fields } = answer;
          resolve({ status, headers: fields, ...body, headMs, tookMs: performance.now() - from });
        }, failed);
      });
      request.setTimeout(deadlineMs, () => request.destroy(new Error(`no answer after ${deadlineMs} ms`)));
      request.once("error", failed);
      request.end();
    });
};

/** Starts one; it ends with the test. */
export const startWatched = async (
  t: Cleaner,
  { env, dataDir }: { readonly env: Readonly<Record<string, string>>; readonly dataDir?: string },
): Promise<WatchedPackager> => {
  const node = await startNode(t, { env, ...(dataDir === undefined ? {} : { dataDir }) });
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS_MAX });
  t.after(async () => agent.destroy());
  const url = node.endpoints.packager ?? "";
  const pid = node.child.pid ?? 0;
  return {
    url,
    node,
    ask: askerOf(url, agent),
    residentBytes: () => ({ now: fieldOf(pid, "VmRSS"), most: fieldOf(pid, "VmHWM") }),
    openFileCount: () => readdirSync(`/proc/${pid}/fd`).length,
    errors: () =>
      node
        .output()
        .split("\n")
        .filter((line) => levelOf(line) >= LEVEL_ERROR),
  };
};
