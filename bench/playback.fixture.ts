/** The product in one process, with a title that plays: its set is written by hand, its film by ffmpeg. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { findFfmpeg } from "../lib/ffmpeg/binary.ts";

const KEY = "bench-admin-key-0123456789abcdef0123456789";
const START = join(import.meta.dirname, "..", "start.mjs");
const READY_MS = 120_000;

export interface Bench {
  /** POST here for a session. */
  readonly api: string;
  readonly key: string;
  stop(): Promise<void>;
}

interface Endpoints {
  readonly gateway: string;
  readonly edge: string;
}

const eventually = async <T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> => {
  for (const endsAt = performance.now() + READY_MS; performance.now() < endsAt; await pause(200)) {
    const found = await Promise.resolve()
      .then(look)
      .catch(() => undefined);
    if (found !== undefined) return found;
  }
  throw new Error(`never: ${what}`);
};

const filmOf = async (dataDir: string): Promise<string> => {
  const { path } = await findFfmpeg(null);
  const file = join(dataDir, "film.mp4");
  const picture = "-f lavfi -i testsrc2=s=640x360:r=25:d=12 -c:v libx264 -preset ultrafast -y";
  execFileSync(path, [..."-hide_banner -loglevel error".split(" "), ...picture.split(" "), file]);
  return file;
};

/** Uploads a film, and publishes its title once it is made. */
const publishedTitle = async (gateway: string, file: string): Promise<string> => {
  const call = async (
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: string | Uint8Array<ArrayBuffer>,
  ) => {
    const authorization = `Bearer ${KEY}`;
    const answer = await fetch(`${gateway}/api/v1${path}`, {
      method,
      headers: { authorization, ...headers },
      ...(body === undefined ? {} : { body }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  };
  const bytes = readFileSync(file);
  const tus = { "Tus-Resumable": "1.0.0" };
  const filename = Buffer.from("film.mp4").toString("base64");
  const length = { "Upload-Length": String(bytes.length), "Upload-Metadata": `filename ${filename}` };
  const made = await call("POST", "/uploads", { ...tus, ...length });
  const path = new URL(made.headers.get("location") ?? "", gateway).pathname.replace(/^\/api\/v1/, "");
  const type = { "Content-Type": "application/offset+octet-stream" };
  await call("PATCH", path, { ...tus, ...type, "Upload-Offset": "0" }, bytes);
  const ready = await eventually("the title is made", async () => {
    const { data } = (await (await call("GET", "/titles")).json()) as { data: { id: string; state: string }[] };
    return data.find(({ state }) => state === "ready");
  });
  await call("POST", `/titles/${ready.id}/publish`, { "content-type": "application/json" }, "{}");
  return ready.id;
};

export const startBench = async (dataDir: string): Promise<Bench> => {
  const ports = { PORT: "0", EDGE_PORT: "0", STREAMER_PORT: "0", PACKAGER_PORT: "0", UPLOAD_PORT: "0" };
  const settings = { DATA_DIR: dataDir, DEMO: "off", ADMIN_API_KEY: KEY, LOG_LEVEL: "warn", LOG_FORMAT: "json" };
  const child = spawn(process.execPath, [START], {
    env: { PATH: process.env.PATH, ...ports, ...settings },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const stop = async (): Promise<void> => {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  };
  try {
    const { gateway } = await eventually("the product is ready", async () => {
      const told = JSON.parse(readFileSync(join(dataDir, "run", "endpoints.json"), "utf8")) as Endpoints;
      return (await fetch(`${told.gateway}/readyz`)).ok ? told : undefined;
    });
    const titleId = await publishedTitle(gateway, await filmOf(dataDir));
    return { api: `${gateway}/api/v1/titles/${titleId}/playback`, key: KEY, stop };
  } catch (error) {
    await stop();
    throw error;
  }
};
