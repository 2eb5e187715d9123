/**
 * The whole product in one process, as a user starts it, with two tenants and titles of theirs that play; its roots lie
 * in one folder, between canaries: files that no answer may show and no request may change.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { type Api, apiOf, type Node, startNode, tempDir, until } from "../support/platform.ts";
import { keptPort } from "../support/ports.ts";

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

/** What stands in every canary. */
export const CANARY = "canary-5c1e9b7d-of-a-file-that-nobody-may-read";
export const FILENAME = "film.mp4";

export interface TenantAt {
  readonly id: string;
  readonly slug: string;
  readonly key: string;
  readonly keyId: string;
  readonly api: Api;
}
export interface Played {
  readonly sessionId: string;
  /** Of the session. */
  readonly token: string;
  readonly hls: string;
}
export interface HostileScene {
  readonly node: Node;
  readonly gateway: string;
  readonly edge: string;
  readonly packager: string;
  readonly uploads: string;
  /** Folder of everything: the roots and the canaries. */
  readonly folder: string;
  readonly objectsDir: string;
  readonly film: Buffer;
  readonly admin: Api;
}

/** The folders that the product may write to, below the scene's. */
const ROOTS = ["data", "objects", "scratch"];

const makeFilm = async (folder: string): Promise<Buffer> => {
  const { path: ffmpeg } = await findFfmpeg(null);
  const file = path.join(folder, FILENAME);
  const inputs = "-f lavfi -i testsrc2=s=320x180:r=25:d=2 -f lavfi -i sine=440:r=48000:d=2".split(" ");
  const coding = "-c:v libx264 -preset ultrafast -g 50 -pix_fmt yuv420p -c:a aac -b:a 64k -movflags +faststart";
  await promisify(execFile)(ffmpeg, ["-v", "error", "-y", ...inputs, ...coding.split(" "), file]);
  return readFile(file);
};

const plant = async (folder: string): Promise<void> => {
  const names = ["canary", "set.json", "public.json", "canary.mp4", "canary.smil", "canary.m3u8", "canary.vtt"];
  const places = [".", "plexbd-sources", "media-beside", "etc"];
  for (const place of places) {
    await mkdir(path.join(folder, place), { recursive: true });
    for (const name of names) await writeFile(path.join(folder, place, name), CANARY);
  }
};

export const openScene = async (t: Cleaner, more: Readonly<Record<string, string>> = {}): Promise<HostileScene> => {
  const folder = await tempDir(t);
  const [dataDir, objectsDir, scratch] = ROOTS.map((name) => path.join(folder, name)) as [string, string, string];
  const source = path.join(folder, "media");
  for (const one of [dataDir, objectsDir, scratch, source]) await mkdir(one);
  const film = await makeFilm(source);
  await plant(folder);
  const uploadPort = await keptPort();
  const node = await startNode(t, {
    dataDir,
    env: {
      OBJECTS_DIR: objectsDir,
      UPLOAD_PORT: String(uploadPort),
      CASTERPAK_FILESYSTEM_VIDEOPARENTPATH: source,
      TMPDIR: scratch,
      TRANSCODE_PRESET: "ultrafast",
      LOG_LEVEL: "warn",
      ...more,
    },
  });
  const { gateway, edge, packager } = node.endpoints;
  if (!gateway || !edge || !packager) throw new Error("a role is not there");
  const uploads = `http://127.0.0.1:${uploadPort}`;
  return { node, gateway, edge, packager, uploads, folder, objectsDir, film, admin: apiOf(gateway) };
};

export const newTenant = async ({ admin, gateway }: HostileScene, slug: string): Promise<TenantAt> => {
  const made = await admin.call<{ data: { id: string; apiKey: { id: string; secret: string } } }>("POST", "/tenants", {
    slug,
  });
  if (made.status !== 201) throw new Error(`POST /tenants answered ${made.status}: ${JSON.stringify(made.body)}`);
  const { id, apiKey } = made.body.data;
  return { id, slug, key: apiKey.secret, keyId: apiKey.id, api: apiOf(gateway, apiKey.secret) };
};

const metadataOf = (fields: Readonly<Record<string, string>>): string =>
  Object.entries(fields)
    .map(([key, value]) => `${key} ${Buffer.from(value).toString("base64")}`)
    .join(",");

export const tusHeaders = ({ key }: TenantAt): Record<string, string> => ({
  authorization: `Bearer ${key}`,
  "tus-resumable": "1.0.0",
});

/** An upload of the film, whole or its beginning alone; the upload's path. */
export const upload = async (
  { gateway, film }: HostileScene,
  tenant: TenantAt,
  { fields, bytes = film.length }: { readonly fields: Readonly<Record<string, string>>; readonly bytes?: number },
): Promise<string> => {
  const answer = await fetch(`${gateway}/api/v1/uploads`, {
    method: "POST",
    headers: {
      ...tusHeaders(tenant),
      "content-type": "application/offset+octet-stream",
      "upload-length": String(film.length),
      "upload-metadata": metadataOf({ filename: FILENAME, ...fields }),
    },
    body: new Uint8Array(film.subarray(0, bytes)),
  });
  if (answer.status !== 201) throw new Error(`an upload was answered ${answer.status}: ${await answer.text()}`);
  return new URL(answer.headers.get("location") ?? "", gateway).pathname;
};

interface TitleNow {
  readonly data: { readonly state: string; readonly processingError: unknown; readonly rungs: unknown };
}

/** Waits until a title that was uploaded is published and whole. */
export const untilPublished = async (tenant: TenantAt, titleId: string): Promise<void> => {
  const { data } = await until(
    `title ${titleId} to be published`,
    async () => {
      const { body } = await tenant.api.call<TitleNow>("GET", `/titles/${titleId}`);
      const { state, rungs, processingError } = body.data;
      return (state === "published" && rungs !== null) || processingError ? body : undefined;
    },
    60_000,
  );
  if (data.processingError) throw new Error(JSON.stringify(data.processingError));
};

export const newTitle = async (tenant: TenantAt, more: Readonly<Record<string, unknown>> = {}): Promise<string> => {
  const fields = { kind: "movie", name: "Metropolis", autoPublish: true, ...more };
  const made = await tenant.api.call<{ data: { id: string } }>("POST", "/titles", fields);
  if (made.status !== 201) throw new Error(`POST /titles answered ${made.status}: ${JSON.stringify(made.body)}`);
  return made.body.data.id;
};

export const play = async (tenant: TenantAt, titleId: string, viewer = "viewer"): Promise<Played> => {
  const at = `/titles/${titleId}/playback`;
  const started = await tenant.api.call<{ data: { id: string; hls: string } }>("POST", at, { viewer });
  if (started.status !== 201) throw new Error(`${at} answered ${started.status}: ${JSON.stringify(started.body)}`);
  const { id, hls } = started.body.data;
  return { sessionId: id, hls, token: new URL(hls).pathname.split("~")[1]?.split("/")[0] ?? "" };
};

const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** Every file below the scene's folder that is in none of its roots, with what is in it. */
export const outside = async ({ folder }: HostileScene): Promise<Record<string, string>> => {
  const found: Record<string, string> = {};
  for (const name of await readdir(folder)) {
    if (ROOTS.includes(name)) continue;
    const entries = await readdir(path.join(folder, name), { recursive: true, withFileTypes: true }).catch(() => null);
    if (entries === null) found[name] = digest(await readFile(path.join(folder, name)));
    for (const entry of entries ?? []) {
      const at = path.join(entry.parentPath, entry.name);
      found[path.relative(folder, at)] = entry.isFile() ? digest(await readFile(at)) : "folder";
    }
  }
  return found;
};

/** Names of all files of the object store, `/` between their parts. */
export const objectNames = async ({ objectsDir }: HostileScene): Promise<string[]> => {
  const entries = await readdir(objectsDir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(objectsDir, path.join(entry.parentPath, entry.name)).split(path.sep).join("/"))
    .sort();
};
