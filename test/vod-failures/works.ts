/**
 * The platform as processes that are killed, started again on the same folders and ports, and asked on through it all.
 * What each job wrote is kept by triggers, so that a second effect is seen even where it changes nothing.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import pg from "pg";
import type { Upload, UploadOptions } from "tus-js-client";
import { jobsOf, type TitleView, tusUpload } from "../e2e/vod-platform.ts";
import { ADMIN_KEY, type Answer, type Api, apiOf, type Node, startNode, until } from "../support/platform.ts";
import { keptPort } from "../support/ports.ts";
import { removeStreams, serversFor } from "./servers.ts";

export interface Cleaner {
  after(clean: () => void | Promise<void>): void;
  diagnostic(text: string): void;
}

type NodeCleaner = Parameters<typeof startNode>[0];

const ROLES = ["control", "gateway", "packager", "edge", "transcoder", "transcoder"] as const;
/** Nothing that is asked for takes longer, with all that is done to the platform meanwhile. */
export const DEADLINE_MS = 240_000;

/** One process of the platform: it comes back on the same folder and port. */
export interface Part {
  readonly role: (typeof ROLES)[number];
  readonly dataDir: string;
  node: Node;
}

export interface Works {
  readonly parts: readonly Part[];
  readonly db: pg.Pool;
  /** A folder that is gone after the test. */
  readonly root: string;
  readonly databaseUrl: string;
  readonly gatewayUrl: string;
  readonly edgeUrl: string;
  readonly objectsDir: string;
  readonly tenants: readonly Tenant[];
  start(part: Part): Promise<void>;
}

export interface Tenant {
  readonly id: string;
  readonly key: string;
  readonly api: Api;
}

export interface WorksOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Stands between the processes and the database. */
  readonly databaseProxy?: (url: string) => Promise<string>;
  readonly objectsDir?: string;
  readonly transcoders?: 1 | 2;
  /** Where a process is to keep what it keeps; undefined: in a folder of the test. */
  readonly dataDirOf?: (role: Part["role"]) => string | undefined;
}

/** Asks again where nobody answers, or what answers is not whole at the moment. */
export const persistent = (api: Api): Api => ({
  call: <T>(method: string, at: string, body?: unknown, headers: Record<string, string> = {}) => {
    const idempotency = method === "POST" ? { "idempotency-key": randomUUID() } : {};
    return until<Answer<T>>(
      `an answer to ${method} ${at}`,
      async () => {
        const answer = await api.call<T>(method, at, body, { ...idempotency, ...headers });
        if (answer.status < 500 && answer.status !== 409) return answer;
        throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
      },
      DEADLINE_MS,
    );
  },
});

const EFFECTS = `
  create table effect (seq bigint generated always as identity primary key, text text not null);
  grant insert on effect to public;
  create function keep_transcode() returns trigger language plpgsql as $$ begin
    if tg_op = 'INSERT' or old.state <> new.state then
      insert into effect (text) values (format('%s r%s %s', new.title_id, new.revision, new.state));
    end if; return new; end $$;
  create trigger keep after insert or update on transcode for each row execute function keep_transcode();
  create function keep_chunk() returns trigger language plpgsql as $$ begin
    insert into effect (text) values (format('%s r%s chunk %s', new.title_id, new.revision, new.chunk_index));
    return new; end $$;
  create trigger keep after update on transcode_chunk for each row execute function keep_chunk();
  create function keep_rung() returns trigger language plpgsql as $$ begin
    insert into effect (text) values (format('%s r%s rung %s', new.title_id, new.revision, new.name));
    return new; end $$;
  create trigger keep after insert or update on transcode_rung for each row execute function keep_rung();
  create function keep_fact() returns trigger language plpgsql as $$ begin
    if new.name ~ '^(transcode\\.|content\\.(sourceAttached|published|deleted|purged))' then
      insert into effect (text) values (format('%s %s', new.key, new.name));
    end if; return new; end $$;
  create trigger keep after insert on event for each row execute function keep_fact();`;

const openTenants = async (gatewayUrl: string): Promise<Tenant[]> => {
  const api = persistent(apiOf(gatewayUrl));
  const { body: first } = await api.call<{ data: { id: string }[] }>("GET", "/tenants");
  const made = await api.call<{ data: { id: string; apiKey: { secret: string } } }>("POST", "/tenants", {
    slug: "second",
  });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { id, apiKey } = made.body.data;
  return [
    { id: first.data[0]?.id ?? "", key: ADMIN_KEY, api },
    { id, key: apiKey.secret, api: persistent(apiOf(gatewayUrl, apiKey.secret)) },
  ];
};

/** Registered first, so that it runs before what its parts register: nothing is removed under a process that runs. */
const stopAtEnd = (t: Cleaner) => {
  const ends: (() => Promise<unknown>)[] = [];
  t.after(async () => {
    for (const end of ends.reverse()) await end();
  });
  return (end: () => Promise<unknown>): void => void ends.push(end);
};

const openPorts = async (): Promise<Readonly<Record<string, string>>> => {
  const names = ["PORT", "EDGE_PORT", "PACKAGER_PORT", "UPLOAD_PORT"];
  const ports: [string, string][] = [];
  for (const name of names) ports.push([name, String(await keptPort())]);
  return Object.fromEntries(ports);
};

const environment = async (urls: { readonly databaseUrl: string; readonly objectsDir: string }) => {
  const ports = await openPorts();
  const urlOf = (name: string): string => `http://127.0.0.1:${ports[name]}`;
  return {
    ...ports,
    ...{ DATABASE_URL: urls.databaseUrl, OBJECTS_DIR: urls.objectsDir, HEALTH_PORT: "0", PUBLIC_URL: urlOf("PORT") },
    ...{ EDGE_PUBLIC_URL: urlOf("EDGE_PORT"), EDGE_PACKAGER_URLS: urlOf("PACKAGER_PORT") },
    ...{ EDGE_GATEWAY_URLS: urlOf("PORT"), TRANSCODE_SLOTS: "1", TRANSCODE_PRESET: "ultrafast" },
  };
};

export const startWorks = async (t: Cleaner, options: WorksOptions = {}): Promise<Works> => {
  const atEnd = stopAtEnd(t);
  const root = await mkdtemp(path.join(tmpdir(), "castellan-test-"));
  atEnd(() => rm(root, { recursive: true, force: true, maxRetries: 5 }));
  const { env: servers, databaseUrl, prefix } = await serversFor(t);
  atEnd(() => removeStreams(prefix));
  const objectsDir = options.objectsDir ?? path.join(root, "objects");
  const reached = (await options.databaseProxy?.(databaseUrl)) ?? databaseUrl;
  const env: Record<string, string> = {
    ...servers,
    ...(await environment({ databaseUrl: reached, objectsDir })),
    ...options.env,
  };
  const launch = (role: string, dataDir: string): Promise<Node> =>
    startNode(t as NodeCleaner, { dataDir, env: { ...env, ROLES: role } });
  const parts: Part[] = [];
  const db = new pg.Pool({ connectionString: databaseUrl, max: 4 });
  db.on("error", () => {}); // it is asked again, and says so then
  atEnd(() => db.end());
  atEnd(() => Promise.all(parts.map(({ node }) => node.stop())));
  for (const [index, role] of ROLES.slice(0, options.transcoders === 1 ? -1 : undefined).entries()) {
    const dataDir = options.dataDirOf?.(role) ?? path.join(root, `${role}-${index}`);
    await mkdir(dataDir, { recursive: true });
    parts.push({ role, dataDir, node: await launch(role, dataDir) });
    if (index > 0) continue;
    await db.query(EFFECTS);
  }
  const { PUBLIC_URL: gatewayUrl = "", EDGE_PUBLIC_URL: edgeUrl = "" } = env;
  const tenants = await openTenants(gatewayUrl);
  const start = async (part: Part): Promise<void> => {
    part.node = await launch(part.role, part.dataDir);
  };
  return { parts, db, root, databaseUrl, gatewayUrl, edgeUrl, objectsDir, tenants, start };
};

/** Creates a title that is published as soon as it can be. */
export const createTitle = async ({ api }: Tenant, name: string): Promise<string> => {
  const made = await api.call<{ data: { id: string } }>("POST", "/titles", { kind: "clip", name, autoPublish: true });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  return made.body.data.id;
};

/** Sends a file until it is there, whatever comes between. */
export const send = async (
  { gatewayUrl }: Pick<Works, "gatewayUrl">,
  { tenant, file, titleId, ...more }: { tenant: Tenant; file: string; titleId: string } & Partial<UploadOptions>,
): Promise<Upload> => {
  const ended = Promise.withResolvers<void>();
  const upload = await tusUpload(
    gatewayUrl,
    file,
    { filename: path.basename(file), titleId },
    {
      headers: { authorization: `Bearer ${tenant.key}` },
      retryDelays: Array.from({ length: DEADLINE_MS / 500 }, () => 500),
      onSuccess: () => ended.resolve(),
      onError: ended.reject,
      ...more,
    },
  );
  upload.start();
  await ended.promise;
  return upload;
};

const LIVE = ["queued", "running"];

/** Waits until a title is published, whole, and nothing more is being done for it. */
export const untilWhole = (tenant: Tenant, titleId: string): Promise<TitleView> =>
  until(
    `title ${titleId} to be whole`,
    async () => {
      const { body } = await tenant.api.call<{ data: TitleView }>("GET", `/titles/${titleId}`);
      const title = body.data;
      assert.equal(title.processingError, null, "a title does not fail of what is not its fault");
      const jobs = await jobsOf(tenant.api, titleId);
      const isBusy = jobs.some(({ state }) => LIVE.includes(state));
      const isDone = title.state === "published" && title.rungs !== null && !isBusy;
      if (isDone) return title;
      const shown = jobs.map(({ kind, state, attempt }) => `${kind} ${state} ${attempt}`).join(", ");
      throw new Error(`${title.state}: ${shown}`);
    },
    DEADLINE_MS,
  );
