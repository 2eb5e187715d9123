/** What tests of uploads have in common: nodes, clients, and small films. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import { Upload, type UploadOptions } from "tus-js-client";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { seeded } from "../support/seeded.ts";
import { keyOf, type NodeSettings, startUploadNode, type UploadNode, type UploadTenant } from "./upload-node.ts";

const FIXTURE = path.join(import.meta.dirname, "upload-process.fixture.ts");
export const MiB = 1024 * 1024;

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export const tempFolder = async (t: TestContext): Promise<string> => {
  const dir = await mkdtemp(path.join(tmpdir(), "castellan-upload-"));
  t.after(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
};

export interface Scene {
  readonly db: TestDatabase;
  readonly dataDir: string;
  readonly tenant: UploadTenant;
  readonly other: UploadTenant;
  readonly settings: (more?: Partial<NodeSettings>) => NodeSettings;
  /** A node in this process; it stops with the test. */
  node(more?: Partial<NodeSettings>): Promise<UploadNode>;
  /** A node as a process of its own. */
  spawn(more?: SpawnSettings): Promise<{ url: string; child: ChildProcess; kill(): Promise<void> }>;
}

const makeTenant = async (db: TestDatabase, slug: string): Promise<UploadTenant> => {
  const tenantId = randomUUID();
  await db.asOwner("insert into tenant (id, slug, name) values ($1, $2, $2)", [tenantId, slug]);
  return { tenantId, tenant: slug };
};

/** `fileBytesMax`: no file of the process gets larger, as on a disk that is full. */
export type SpawnSettings = Partial<NodeSettings> & { readonly fileBytesMax?: number };

const spawnNode = async (t: TestContext, settings: NodeSettings & SpawnSettings) => {
  const command = [process.execPath, FIXTURE, JSON.stringify(settings)];
  const { fileBytesMax } = settings;
  const limited = ["sh", "-c", `ulimit -f ${(fileBytesMax ?? 0) / 512}; exec "$@"`, "sh", ...command];
  const [file = "", ...args] = fileBytesMax === undefined ? command : limited;
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  t.after(kill);
  const [url] = (await once(createInterface(child.stdout), "line", { signal: AbortSignal.timeout(20_000) })) as [
    string,
  ];
  return { url, child, kill };
};

export const makeScene = async (t: TestContext): Promise<Scene> => {
  const db = await testDatabase(t);
  const dataDir = await tempFolder(t);
  const tenant = await makeTenant(db, "acme");
  const other = await makeTenant(db, "other");
  const settings = (more: Partial<NodeSettings> = {}): NodeSettings => ({
    url: db.ownerUrl,
    dataDir,
    nodeId: `node-${randomUUID().slice(0, 8)}`,
    tenants: [tenant, other],
    ...more,
  });
  return {
    db,
    dataDir,
    tenant,
    other,
    settings,
    node: async (more) => {
      const node = await startUploadNode(settings(more));
      t.after(() => node.stop());
      return node;
    },
    spawn: (more) => spawnNode(t, { ...settings(more), ...more }),
  };
};

/** A film of some seconds, made by ffmpeg; `sizeBytes` pads it with a box that players skip. */
export const film = async (dir: string, sizeBytes = 0): Promise<Buffer> => {
  const ffmpeg = await findFfmpeg(null);
  const file = path.join(dir, `film-${randomUUID()}.mp4`);
  const input = ["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=2"];
  const output = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-y", file];
  await promisify(execFile)(ffmpeg.path, ["-v", "error", ...input, ...output]);
  const movie = await readFile(file);
  const padBytes = sizeBytes - movie.length;
  if (padBytes < 8) return movie;
  const pad = Buffer.alloc(padBytes);
  const random = seeded(7);
  for (let at = 8; at + 4 <= padBytes; at += 4) pad.writeUInt32LE((random.next() * 2 ** 32) >>> 0, at);
  pad.writeUInt32BE(padBytes, 0);
  pad.write("free", 4, "latin1");
  return Buffer.concat([movie, pad]);
};

export const authorization = (tenant: UploadTenant): Record<string, string> => ({
  authorization: `Bearer ${keyOf(tenant)}`,
});

type TusOptions = Partial<UploadOptions> & { readonly onStarted?: (upload: Upload) => void };

/** Sends bytes as a browser or an app would, by tus-js-client; resolves with the upload's address. */
export const sendByTus = (
  url: string,
  tenant: UploadTenant,
  bytes: Buffer,
  options: TusOptions = {},
): Promise<string> =>
  new Promise((resolve, reject) => {
    const { onStarted, ...rest } = options;
    const upload = new Upload(bytes, {
      endpoint: `${url}/api/v1/uploads`,
      headers: authorization(tenant),
      metadata: { filename: "film.mp4" },
      retryDelays: [50, 100, 200, ...Array.from({ length: 120 }, () => 500)],
      onSuccess: () => resolve(upload.url ?? ""),
      onError: reject,
      ...rest,
    });
    upload.start();
    onStarted?.(upload);
  });

export interface TusCall {
  readonly method: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly tenant: UploadTenant;
}
export const tus = (url: string, { method, path: at = "", headers = {}, body, tenant }: TusCall): Promise<Response> =>
  fetch(new URL(at.startsWith("/") ? at : `/api/v1/uploads${at && `/${at}`}`, url), {
    method,
    headers: { "tus-resumable": "1.0.0", ...authorization(tenant), ...headers },
    ...(body ? { body: new Uint8Array(body) } : {}),
  });

export const PATCH_TYPE = { "content-type": "application/offset+octet-stream" };

/** Makes an upload; its address. */
export const createUpload = async (url: string, tenant: UploadTenant, sizeBytes: number): Promise<string> => {
  const headers = { "upload-length": String(sizeBytes) };
  const response = await tus(url, { method: "POST", tenant, headers });
  if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
  return new URL(response.headers.get("location") ?? "", url).pathname;
};

export interface View {
  readonly id: string;
  readonly state: string;
  readonly offset: number;
  readonly sizeBytes: number | null;
  readonly titleId: string | null;
  readonly error: string | null;
}

const SETTLED = ["done", "refused", "failed", "expired", "terminated"];
/** The upload once nothing more happens to it. */
export const settled = async (url: string, tenant: UploadTenant, at: string, deadlineMs = 60_000): Promise<View> => {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const response = await fetch(new URL(at, url), { headers: authorization(tenant) });
    const { data } = (await response.json()) as { data?: View };
    if (data && SETTLED.includes(data.state)) return data;
    if (performance.now() > end) throw new Error(`it is still ${JSON.stringify(data)} (${response.status})`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

/** The bytes of the source that an upload became. */
export const sourceBytes = ({ dataDir }: Scene, { tenantId }: UploadTenant, at: string): Promise<Buffer> =>
  readFile(path.join(dataDir, "objects/plexbd-sources", tenantId, at.split("/").at(-1) ?? ""));

/** What a client is told. */
export const offsetOf = async (url: string, at: string, tenant: UploadTenant): Promise<number> => {
  const answer = await tus(url, { method: "HEAD", path: new URL(at, url).pathname, tenant });
  return Number(answer.headers.get("upload-offset"));
};

/** A PATCH whose body goes on for as long as the test likes. */
export const openPatch = (url: string, at: string, tenant: UploadTenant, lengthBytes: number) => {
  const headers = {
    ...PATCH_TYPE,
    "tus-resumable": "1.0.0",
    "upload-offset": "0",
    authorization: `Bearer ${keyOf(tenant)}`,
    "content-length": lengthBytes,
  };
  const request = httpRequest(new URL(at, url), { method: "PATCH", headers });
  const answer = new Promise<number>((resolve, reject) => {
    request.once("response", (response) => resolve(response.resume().statusCode ?? 0));
    request.once("error", reject);
  });
  return { request, answer };
};

export const until = async (what: string, holds: () => Promise<boolean>, deadlineMs = 60_000): Promise<void> => {
  const end = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
