/** Requests that mean harm: at an edge and at the gateway, each is the client's fault. */
import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import { contentKey } from "../../contracts/keyserver.ts";
import { eventually } from "../support/control.ts";
import { seeded } from "../support/seeded.ts";
import { at, playbackScene } from "./scene.ts";

const statusOf = (url: string, target: string, headers: Record<string, string> = {}): Promise<number> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const asking = request({ hostname, port, path: target, headers }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode ?? 0)).on("error", reject);
    });
    asking.on("error", reject).end();
  });

const ROUNDS = 600;

test("hostile tokens and paths are refused as the client's fault, at an edge and at the gateway", async (t) => {
  const scene = await playbackScene(t);
  const title = await scene.newTitle();
  const { titleId } = title;
  await scene.ask(contentKey, { tenantId: scene.ours.tenantId, contentId: titleId });
  const session = await scene.play(title);
  const token = new URL(session.hls).pathname.split("~")[1]!.split("/")[0]!;
  const edge = await scene.edge();
  await eventually("it plays", async () => (await fetch(at(edge.url, session.hls))).status === 200);
  const { int } = seeded(5);
  const one = <T>(all: readonly T[]): T => all[int(all.length)]!;
  const pieces = [
    "~",
    ".",
    "..",
    "%2e",
    "%00",
    "/",
    "//",
    "\\",
    "é",
    token.slice(0, 60),
    "k.1.0.-",
    ";",
    "?token=",
    "'",
  ];
  const mangled = (): string => {
    const place = int(token.length);
    if (int(3) === 0) return Array.from({ length: 1 + int(6) }, () => one(pieces)).join("");
    return token.slice(0, place) + one(pieces) + token.slice(place + int(3));
  };
  const paths = [`hls/${titleId}/master.m3u8`, `hls/${titleId}/key.1.bin`, `dash/${titleId}/clearkey`, "heartbeat"];
  const seen = new Map<number, number>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const target = encodeURI(`/api/media/~${mangled()}/${one(paths)}`).replaceAll("%25", "%");
    for (const url of [edge.url, scene.gatewayUrl]) {
      const status = await statusOf(url, target, int(4) === 0 ? { range: "bytes=9-1" } : {});
      assert.ok(
        status >= 400 && status < 500,
        `${status} for ${target} at ${url === edge.url ? "an edge" : "the gateway"}`,
      );
      seen.set(status, (seen.get(status) ?? 0) + 1);
    }
  }
  assert.ok((seen.get(403) ?? 0) > ROUNDS / 4, JSON.stringify([...seen]));
  assert.equal(await statusOf(edge.url, new URL(session.hls).pathname), 200);
});
