/**
 * The whole platform for a title's way from a file to a viewer, each role a process of its own over one object store.
 */
import { execFile } from "node:child_process";
import { openAsBlob } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { Upload, type UploadOptions } from "tus-js-client";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { type Cluster, startCluster } from "../support/cluster.ts";
import { ADMIN_KEY, type Api, type Node, tempDir, until } from "../support/platform.ts";
import { keptPort } from "../support/ports.ts";

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

export interface VodPlatform extends Cluster {
  readonly objectsDir: string;
  readonly packager: Node;
  readonly transcoders: readonly Node[];
  readonly gatewayUrl: string;
}

export interface VodShape {
  readonly transcoders?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** One control, gateway, packager and edge, and so many transcoders. */
export const vodPlatform = async (t: Cleaner, shape: VodShape = {}): Promise<VodPlatform> => {
  const objectsDir = path.join(await tempDir(t), "objects");
  const [packagerPort, gatewayPort] = [await keptPort(), await keptPort()];
  const gatewayUrl = `http://127.0.0.1:${gatewayPort}`;
  const env = {
    OBJECTS_DIR: objectsDir,
    PACKAGER_PORT: String(packagerPort),
    PORT: String(gatewayPort),
    PUBLIC_URL: gatewayUrl,
    EDGE_PACKAGER_URLS: `http://127.0.0.1:${packagerPort}`,
    EDGE_GATEWAY_URLS: gatewayUrl,
    ...shape.env,
  };
  const cluster = await startCluster(t, { streamers: 0, env });
  const packager = await cluster.add("packager");
  const count = shape.transcoders ?? 2;
  const transcoders = await Promise.all(Array.from({ length: count }, () => cluster.add("transcoder")));
  return { ...cluster, objectsDir, packager, transcoders, gatewayUrl };
};

export interface FilmOptions {
  readonly seconds: number;
  readonly width?: number;
  readonly height?: number;
  readonly folder: string;
}

/** A moving picture with its frame count burnt in as blocks, and a tone: H.264 and AAC in MP4. */
export const makeFilm = async ({ seconds, width = 1280, height = 720, folder }: FilmOptions): Promise<string> => {
  const { path: ffmpeg } = await findFfmpeg(null);
  const file = path.join(folder, `film-${seconds}-${height}.mp4`);
  const inputs = ["-f", "lavfi", "-i", `testsrc2=s=${width}x${height}:r=25:d=${seconds}`];
  const tone = ["-f", "lavfi", "-i", `sine=440:r=48000:d=${seconds}`];
  const coding = "-c:v libx264 -preset ultrafast -g 125 -pix_fmt yuv420p -c:a aac -b:a 96k -movflags +faststart";
  await promisify(execFile)(ffmpeg, ["-v", "error", "-y", ...inputs, ...tone, ...coding.split(" "), file]);
  return file;
};

/** A tus upload of a file, as any client does it; `onProgress` may interrupt it. */
export const tusUpload = async (
  gatewayUrl: string,
  file: string,
  metadata: Readonly<Record<string, string>>,
  more: Partial<UploadOptions> = {},
): Promise<Upload> => {
  const blob = await openAsBlob(file);
  return new Upload(Buffer.from(await blob.arrayBuffer()) as unknown as Blob, {
    endpoint: `${gatewayUrl}/api/v1/uploads`,
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
    metadata: { ...metadata },
    chunkSize: 256 * 1024,
    retryDelays: Array.from({ length: 40 }, () => 250),
    ...more,
  });
};

export interface TitleView {
  readonly id: string;
  readonly state: string;
  readonly name: string;
  readonly year: number | null;
  readonly version: number;
  readonly processingError: { readonly code: string; readonly reason: string } | null;
  readonly rungs: readonly { readonly name: string; readonly width: number; readonly height: number }[] | null;
}

export const titleOf = async (api: Api, titleId: string): Promise<TitleView> =>
  (await api.call<{ data: TitleView }>("GET", `/titles/${titleId}`)).body.data;

/** Waits until a title is in a state; fails at once when its processing has failed. */
export const untilState = (api: Api, titleId: string, state: string, deadlineMs = 240_000): Promise<TitleView> => {
  const found = until(
    `title ${titleId} to be ${state}`,
    async () => {
      const title = await titleOf(api, titleId);
      return title.state === state || title.processingError !== null ? title : undefined;
    },
    deadlineMs,
  );
  return found.then((title) => {
    if (title.state !== state) throw new Error(`${title.state}: ${JSON.stringify(title.processingError)}`);
    return title;
  });
};

/** Waits until every rung of a title is whole. */
export const untilComplete = async (api: Api, titleId: string, deadlineMs = 240_000): Promise<TitleView> => {
  const title = await until(
    `title ${titleId} to be complete`,
    async () => {
      const found = await titleOf(api, titleId);
      return found.rungs !== null || found.processingError !== null ? found : undefined;
    },
    deadlineMs,
    500, // each question costs what is measured
  );
  if (title.processingError) throw new Error(JSON.stringify(title.processingError));
  return title;
};

export interface JobView {
  readonly id: string;
  readonly kind: string;
  readonly state: string;
  readonly attempt: number;
  readonly nodeId: string | null;
}

export const jobsOf = async (api: Api, titleId: string): Promise<readonly JobView[]> =>
  (await api.call<{ data: JobView[] }>("GET", `/jobs?subjectKind=title&subjectId=${titleId}&limit=200`)).body.data;
