/** The container files, read as Docker Compose would: no Docker daemon is needed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { ROLES, readSettings, type Settings } from "../lib/config/config.ts";
import { VARIABLES } from "../lib/config/variables.ts";
import { textOf } from "../tools/source/source.ts";
import { ownPort, PINNED_IMAGE, unknownVariables } from "./containers.fixture.ts";

interface Service {
  readonly image: string;
  readonly build?: string;
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { condition: string }>>;
  readonly deploy?: { readonly replicas: number };
  readonly network_mode?: string;
  readonly stop_grace_period?: string;
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes?: Readonly<Record<string, unknown>>;
}

/** `${NAME:-default}`, `${NAME:?message}` as Compose fills them in. */
const fillIn = (text: string, env: Readonly<Record<string, string>>): string =>
  text.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, name: string, mark: string | undefined, rest: string) => {
    if (env[name]) return env[name];
    assert.equal(mark, "-", `${name} is needed: ${rest}`);
    return rest;
  });

const read = (file: string, env: Readonly<Record<string, string>> = {}): Compose =>
  // Values are filled in after the parsing: an empty one is an empty text, not a null.
  parse(textOf(file), (_, value) => (typeof value === "string" ? fillIn(value, env) : value), {
    merge: true,
  }) as Compose;

const compose = read("docker-compose.yml");
const ours = Object.entries(compose.services).filter(([, service]) => service.build !== undefined);
const environmentOf = ({ environment = {} }: Service): Record<string, string> =>
  Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, String(value)]));
const settingsOf = (service: Service): Settings => readSettings(environmentOf(service), false);

test("every role is a service of its own, and the configuration of each would start", () => {
  assert.deepEqual(ours.map(([name]) => name).sort(), [...ROLES].sort());
  for (const [name, service] of ours) assert.deepEqual(settingsOf(service).roles, [name]);
});

test("every variable that a service sets is one that the program reads", () => {
  for (const [name, service] of ours) assert.deepEqual(unknownVariables(environmentOf(service)), [], name);
});

test("services listen on all addresses, and are told what others call them", () => {
  for (const [name, service] of ours) {
    const settings = settingsOf(service);
    assert.equal(settings.host, "0.0.0.0", name);
    assert.equal(settings.edgePublicUrl, "http://localhost:8081", name);
    const knows = name === "control" || name === "transcoder";
    assert.equal(settings.databaseUrl !== null, knows, "only control and transcoders know the database");
  }
});

test("published ports are the ports that the program listens on", () => {
  const published = ours.flatMap(([name, { ports = [] }]) => ports.map((port) => [name, port]));
  assert.deepEqual(published, [
    ["gateway", `${VARIABLES.port.fallback}:${VARIABLES.port.fallback}`],
    ["packager", `${VARIABLES.packagerPort.fallback}:${VARIABLES.packagerPort.fallback}`],
    ["edge", `${VARIABLES.edgePort.fallback}:${VARIABLES.edgePort.fallback}`],
  ]);
});

test("every service has a health check, and ours ask /readyz on their own port", () => {
  for (const [name, { healthcheck }] of Object.entries(compose.services)) assert.ok(healthcheck?.test.length, name);
  for (const [name, service] of ours) {
    const url = `http://127.0.0.1:${ownPort(settingsOf(service))}/readyz`;
    assert.deepEqual(service.healthcheck?.test, ["CMD", "node", "deploy/ready.mjs", url], name);
  }
});

test("images are pinned, NATS has JetStream, PostgreSQL is 18", () => {
  for (const [name, { image }] of Object.entries(compose.services)) assert.match(image, PINNED_IMAGE, name);
  assert.match(textOf("Dockerfile"), /^FROM node:24-/m);
  assert.match(compose.services.postgres?.image ?? "", /^postgres:18/);
  assert.match(textOf("docker-compose.yml"), /command: \["-js"/);
});

test("what a service waits for is there and becomes healthy, and named volumes are declared", () => {
  for (const [name, { depends_on = {}, volumes = [] }] of Object.entries(compose.services)) {
    for (const [other, { condition }] of Object.entries(depends_on)) {
      assert.ok(compose.services[other], `${name} → ${other}`);
      assert.equal(condition, "service_healthy");
    }
    for (const volume of volumes) {
      const [source = "", target] = volume.split(":");
      const isFolder = source.startsWith("./");
      assert.ok(target === undefined || isFolder || source in (compose.volumes ?? {}), `${name}: ${volume}`);
    }
  }
});

test("no two containers share a data directory, and a stop leaves time to drain", () => {
  for (const [name, { volumes, stop_grace_period }] of ours) {
    const own = volumes?.filter((volume) => !volume.endsWith(":ro"));
    // What keys are wrapped with is the same for all of control, and not for anybody else.
    const shared = name === "control" ? ["keys:/keys"] : [];
    assert.deepEqual(own, ["/data", ...shared], `${name} has one volume per container`);
    assert.equal(stop_grace_period, "30s");
  }
  assert.match(textOf("Dockerfile"), /DATA_DIR=\/data/);
});

test("the image runs as an ordinary user, has setpriv, and starts the front door", () => {
  const lines = textOf("Dockerfile").split("\n");
  assert.ok(lines.includes("USER node"));
  assert.ok(lines.includes('CMD ["node", "start.mjs"]'));
  assert.ok(lines.some((line) => line.includes("command -v setpriv")));
  const exposed = lines
    .find((line) => line.startsWith("EXPOSE "))
    ?.split(" ")
    .slice(1);
  const { port, edgePort, streamerPort, uploadPort, packagerPort } = VARIABLES;
  const ports = [port, edgePort, streamerPort, uploadPort, packagerPort].map(({ fallback }) => fallback);
  assert.deepEqual(exposed, ports);
});

test("who keeps media speaks to one object store, by its service's name", () => {
  const stores = ours.filter(([, service]) => settingsOf(service).objectS3Endpoint !== null).map(([name]) => name);
  assert.deepEqual(stores, ["control", "transcoder", "packager"]);
  const { minio } = compose.services;
  for (const name of stores) {
    const { objectS3Endpoint, objectS3AccessKeyId, objectS3SecretAccessKey } = settingsOf(compose.services[name]!);
    assert.equal(objectS3Endpoint, "http://minio:9000");
    assert.deepEqual(minio?.environment, {
      MINIO_ROOT_USER: objectS3AccessKeyId,
      MINIO_ROOT_PASSWORD: objectS3SecretAccessKey,
    });
  }
});

test("the packager reads the operator's folder, and is told at which port and where", () => {
  for (const file of ["docker-compose.yml", "deploy/compose.packager.yml"]) {
    const { packager } = read(file, { HOST_VIDEO_PATH: "/srv/films", APP_PORT: "8000" }).services;
    assert.deepEqual(packager?.volumes, ["/data", "/srv/films:/mnt/data/videos:ro"], file);
    assert.deepEqual(packager?.ports, ["8000:5000"], file);
    assert.deepEqual(unknownVariables(environmentOf(packager!)), [], file);
    const { packagerPort, packager: settings } = settingsOf(packager!);
    assert.equal(packagerPort, 5000);
    assert.deepEqual(settings?.source, { kind: "filesystem", root: "/mnt/data/videos" });
    for (const { dir } of [settings!.inputCache, settings!.segmentCache]) assert.match(dir, /^\/data\//, file);
  }
});

test("the packager alone is one container without a bus or a database", () => {
  const { services } = read("deploy/compose.packager.yml");
  assert.deepEqual(Object.keys(services), ["packager"]);
  const { packager } = services;
  const settings = settingsOf(packager!);
  assert.deepEqual([settings.roles, settings.natsUrl, settings.databaseUrl], [["packager"], null, null]);
  assert.equal(packager?.depends_on, undefined);
  assert.equal(packager?.image, compose.services.packager?.image);
  assert.deepEqual(packager?.healthcheck?.test, compose.services.packager?.healthcheck?.test);
});

test("the multicast variant gives one streamer the host's network, and asks for its address", () => {
  const file = "deploy/compose.multicast.yml";
  assert.throws(() => read(file), /STREAMER_PUBLIC_URL is needed/);
  const { streamer, nats } = read(file, { STREAMER_PUBLIC_URL: "http://192.0.2.10:8082" }).services;
  assert.equal(streamer?.network_mode, "host");
  assert.equal(streamer?.deploy?.replicas, 1);
  assert.deepEqual(nats?.ports, ["127.0.0.1:4222:4222"]);
  const merged = { ...environmentOf(compose.services.streamer!), ...environmentOf(streamer!) };
  const settings = readSettings(merged, false);
  assert.equal(settings.streamerPublicUrl, "http://192.0.2.10:8082");
  assert.equal(settings.streamers, 2);
});
