/** Two tenants with the very same titles, people, genres and libraries, and all that comes of them. */
import { createChannel, streamerIds, until } from "../support/platform.ts";
import {
  type HostileScene,
  newTenant,
  newTitle,
  play,
  type TenantAt,
  untilPublished,
  upload,
} from "../vod-hostile/scene.ts";
import type { Ids } from "./bodies.ts";

export interface Side extends TenantAt {
  readonly ids: Ids;
  readonly token: string;
  readonly uploadPath: string;
}

interface JobNow {
  readonly id: string;
  readonly state: string;
  readonly runAt: string | null;
}
const SOON_MS = 60_000;

const made = async ({ api }: TenantAt, path: string, body: Readonly<Record<string, unknown>>): Promise<string> => {
  const answer = await api.call<{ data: { id: string } }>("POST", path, body);
  if (answer.status >= 300) throw new Error(`POST ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  return answer.body.data.id;
};

/** Of the simulator's films: the metadata service says the same of both. */
const FILM = { name: "Up", year: 2009, genres: ["drama"] };

/** Everything that a tenant has here is the same for both but for its ids. */
export const openSide = async (scene: HostileScene, slug: string): Promise<Side> => {
  const tenant = await newTenant(scene, slug);
  const genreId = await made(tenant, "/genres", { slug: "drama", name: "Drama" });
  const titleId = await newTitle(tenant, FILM);
  const seriesId = await newTitle(tenant, { kind: "series", name: "Dekalog", autoPublish: false });
  const personId = await made(tenant, "/people", { name: "Brigitte Helm", tmdbId: 9089 });
  const creditId = await made(tenant, `/titles/${titleId}/credits`, { personId, kind: "cast", character: "Maria" });
  const libraryId = await made(tenant, "/libraries", { slug: "classics", name: "Classics" });
  await tenant.api.call("POST", `/libraries/${libraryId}/titles`, { titleIds: [titleId] });
  await upload(scene, tenant, { fields: { titleId } });
  const uploadPath = await upload(scene, tenant, { fields: { name: "half" }, bytes: 1_000 });
  await untilPublished(tenant, titleId);
  const artworkId = await until("a picture out of the film", async () => {
    const { body } = await tenant.api.call<{ data: { id: string }[] }>("GET", `/titles/${titleId}/artwork`);
    return body.data[0]?.id;
  });
  await until("the metadata service to know the film", async () => {
    const { body } = await tenant.api.call<{ data: { state: string } }>("GET", `/titles/${titleId}/enrichment`);
    return body.data.state === "matched" || undefined;
  });
  const jobId = await until("its jobs to end", async () => {
    const at = `/jobs?subjectKind=title&subjectId=${titleId}`;
    const { data } = (await tenant.api.call<{ data: JobNow[] }>("GET", at)).body;
    const soon = new Date(Date.now() + SOON_MS).toISOString(); // the film is refreshed in some weeks
    const isGoing = ({ state, runAt }: JobNow): boolean =>
      state === "running" || (state === "queued" && (runAt === null || runAt < soon));
    return data.some(isGoing) ? undefined : data.find(({ state }) => state === "done")?.id;
  });
  const { sessionId, token } = await play(tenant, titleId);
  const uploadId = uploadPath.split("/").at(-1) ?? "";
  const ids = { genreId, titleId, seriesId, personId, creditId, libraryId, artworkId, jobId, sessionId, uploadId };
  return { ...tenant, ids: { ...ids, apiKeyId: tenant.keyId }, token, uploadPath };
};

/** A live channel and a streamer of its own are a third tenant's, the platform's first; all may use the platform's. */
export const liveIds = async ({ admin }: HostileScene): Promise<Ids> => {
  const [streamerId = 0] = await streamerIds(admin, 1);
  const channel = await createChannel(admin, {
    ...{ name: "News", sourceType: "udp", ingestConfig: { chunkDuration: "2s" } },
    origins: [{ streamerId, ingestUrl: "udp://239.255.0.1:39999" }],
  });
  await admin.call("POST", `/channels/${channel.id}/stop`);
  const added = await admin.call<{ data: { id: number } }>("POST", "/streamers", {
    name: "Own",
    baseUrl: "http://127.0.0.1:1",
    kind: "castis",
    credential: "secret",
  });
  if (added.status !== 201) throw new Error(`POST /streamers answered ${added.status}: ${JSON.stringify(added.body)}`);
  const originId = channel.origins[0]?.id ?? 0;
  return { streamerId: String(added.body.data.id), channelId: String(channel.id), originId: String(originId) };
};
