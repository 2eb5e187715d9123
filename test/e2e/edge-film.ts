/** A film behind a packager behind an origin that misbehaves when told, and a lone edge in front of it. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { startTestPackager } from "../../actors/packager/packager.fixture.ts";
import type { EdgeConfig } from "../../contracts/edge-config.ts";
import { signerOf, signToken } from "../../edge/guard/sign.ts";
import { testPictureGraph, testTone } from "../../lib/demo/frame-counter.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { type Asked, FaultyOrigin, headOf } from "../edge-failures/faulty-origin.ts";
import { startEdgeProcess } from "../edge-failures/process.ts";
import { makeCertificate } from "../support/certificate.ts";
import { tempDir } from "../support/platform.ts";
import { keptPort } from "../support/ports.ts";

export const FILM_SECONDS = 60;
const HOST = "localhost"; // as the browser names it; the edge's own health addresses are those of 127.0.0.1
const KEY = { id: "k1", algorithm: "HS256", secret: randomBytes(32).toString("base64url") } as const;
const TOKEN_SECONDS = 600;

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

/** What an answer meets on its way. */
export type Fault = "none" | "slow" | "reset" | "cut";
const SLOW_MS = 700;

const film = async (t: Cleaner): Promise<string> => {
  const folder = await tempDir(t);
  const { path: ffmpeg } = await findFfmpeg(null);
  const graph = testPictureGraph({ width: 320, height: 180, rate: "25", seconds: FILM_SECONDS });
  await promisify(execFile)(
    ffmpeg,
    [
      ...["-v", "error", "-nostdin", "-f", "lavfi", "-i", testTone(FILM_SECONDS), "-filter_complex", graph],
      ...["-map", "[v]", "-map", "0:a", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "300k", "-g", "50"],
      ...["-keyint_min", "50", "-sc_threshold", "0", "-c:a", "aac", "-b:a", "64k", path.join(folder, "film.mp4")],
    ],
    { timeout: 60_000 },
  );
  return folder;
};

const PASSED_ON = ["range", "if-range", "if-none-match", "if-modified-since"];
const HOP_BY_HOP = /^(?:connection|keep-alive|date|transfer-encoding)$/;

/** Gives a request to the packager and its answer to who asked, with a fault. */
const forward = async (packager: string, { method, target, field, socket }: Asked, fault: Fault): Promise<void> => {
  if (fault === "reset") return void socket.resetAndDestroy();
  const headers = new Headers({ "accept-encoding": "identity" });
  for (const name of PASSED_ON) {
    const value = field(name);
    if (value !== undefined) headers.set(name, value);
  }
  const answer = await fetch(packager + target, { method, headers });
  const body = Buffer.from(await answer.arrayBuffer());
  const lines = [...answer.headers].filter(([name]) => !HOP_BY_HOP.test(name)).map((pair) => pair.join(": "));
  if (fault === "slow") await sleep(SLOW_MS);
  socket.write(headOf(`${answer.status} ${answer.statusText}`, ...lines));
  if (fault === "none") return void socket.write(body);
  const half = Math.floor(body.length / 2);
  socket.write(body.subarray(0, half));
  if (fault === "cut") await new Promise((written) => setImmediate(written));
  if (fault === "cut") return void socket.resetAndDestroy();
  await sleep(SLOW_MS);
  socket.write(body.subarray(half));
};

export interface FilmBehindEdge {
  readonly origin: FaultyOrigin;
  /** Of each request to the origin, by its number. */
  faults: (request: number) => Fault;
  /** Where a viewer gets it; what the packager calls a film's list. */
  readonly url: (list: "master.m3u8" | "cmaf.m3u8") => string;
  /** The same without a token. */
  readonly bareUrl: (list: "master.m3u8" | "cmaf.m3u8") => string;
}

export interface FilmShape {
  readonly isSigned?: boolean;
  readonly isSecure?: boolean;
}

const configOf = (url: string, { isSigned, certificate }: FilmShape & { certificate: object }): EdgeConfig => ({
  customers: [
    {
      id: "films",
      sites: [
        {
          ...{ hostnames: [HOST], origins: [{ id: "packager", url }], ...certificate },
          rules: [{ cache: "honour", prefetch: true }],
          ...(isSigned ? { signing: { prefix: "/", keys: [KEY] } } : {}),
        },
      ],
    },
  ],
});

/** All of it, started. */
export const filmBehindEdge = async (t: Cleaner, shape: FilmShape = {}): Promise<FilmBehindEdge> => {
  const folder = await film(t);
  const env = { CASTERPAK_OUTPUT_SEGMENTDURATION: "2" };
  const [packager, dataDir] = await Promise.all([startTestPackager(t, { folder, env }), tempDir(t)]);
  let request = 0;
  const origin = await FaultyOrigin.open(t, (asked) => {
    request += 1;
    void forward(packager.url, asked, stage.faults(request)).catch(() => asked.socket.destroy());
  });
  const made = shape.isSecure ? makeCertificate(dataDir) : undefined;
  const certificate = made ? { certificate: { certFile: made.certificateFile, keyFile: made.keyFile } } : {};
  const tlsPort = made ? await keptPort() : null;
  const { port } = await startEdgeProcess(t, configOf(origin.url, { ...shape, certificate }), {
    dataDir,
    env: tlsPort === null ? {} : { EDGE_TLS_PORT: String(tlsPort) },
  });
  const root = tlsPort === null ? `http://${HOST}:${port}` : `https://${HOST}:${tlsPort}`;
  const expiresSeconds = Math.floor(Date.now() / 1000) + TOKEN_SECONDS;
  const wish = { host: HOST, prefix: "/i/film.mp4/", expiresSeconds };
  const token = shape.isSigned ? `/~${signToken(signerOf(KEY.id, KEY.secret), wish)}` : "";
  const stage: FilmBehindEdge = {
    origin,
    faults: () => "none",
    url: (list) => `${root}${token}/i/film.mp4/${list}`,
    bareUrl: (list) => `${root}/i/film.mp4/${list}`,
  };
  return stage;
};
