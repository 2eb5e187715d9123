/** The Kubernetes manifests, read as kustomize and the kubelet would: no cluster is needed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { ROLES, readSettings, type Settings } from "../lib/config/config.ts";
import { filesUnder, ROOT, textOf } from "../tools/source/source.ts";
import { ownPort, PINNED_IMAGE, SECRET, unknownVariables } from "./containers.fixture.ts";

type Labels = Readonly<Record<string, string>>;
interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly fieldRef?: { readonly fieldPath: string };
    readonly secretKeyRef?: { readonly name: string; readonly key: string };
  };
}
interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string };
  readonly tcpSocket?: { readonly port: string };
  readonly exec?: { readonly command: readonly string[] };
}
interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly Variable[];
  readonly envFrom?: readonly { readonly configMapRef: { readonly name: string } }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe: Probe;
  readonly readinessProbe: Probe;
  readonly livenessProbe: Probe;
  readonly lifecycle?: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
  readonly securityContext: object;
  readonly resources: { readonly requests: { readonly cpu: string; readonly memory: string } };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}
interface PodSpec {
  readonly containers: readonly Container[];
  readonly volumes?: readonly { readonly name: string; readonly emptyDir?: object }[];
  readonly securityContext: { readonly runAsUser: number };
  readonly terminationGracePeriodSeconds: number;
  readonly automountServiceAccountToken: boolean;
  readonly enableServiceLinks: boolean;
  readonly hostNetwork?: boolean;
  readonly dnsPolicy?: string;
  readonly affinity?: { readonly podAntiAffinity: Readonly<Record<string, unknown>> };
  readonly topologySpreadConstraints?: readonly { readonly labelSelector: { readonly matchLabels: Labels } }[];
}
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Labels };
  readonly spec: Readonly<Record<string, unknown>>;
}
interface Workload extends Manifest {
  readonly spec: {
    readonly replicas: number;
    readonly serviceName?: string;
    readonly selector: { readonly matchLabels: Labels };
    readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
  };
}
interface Service extends Manifest {
  readonly spec: {
    readonly clusterIP?: string;
    readonly selector: Labels;
    readonly ports: readonly { readonly port: number; readonly targetPort: string }[];
  };
}
interface Kustomization {
  readonly namespace: string;
  readonly resources: readonly string[];
  readonly images: readonly { readonly name: string; readonly newName: string; readonly newTag: string }[];
  readonly configMapGenerator: readonly { readonly name: string; readonly envs: readonly string[] }[];
  readonly secretGenerator: readonly { readonly name: string; readonly envs: readonly string[] }[];
}

const FOLDER = "deploy/kubernetes";
const DRAIN_SECONDS = 25; // lib/process ends a process that has not drained by then

const manifestsOf = (file: string): Manifest[] =>
  parseAllDocuments(textOf(`${FOLDER}/${file}`)).map((document) => {
    assert.deepEqual(document.errors, [], file);
    return document.toJS() as Manifest;
  });
const envFile = (file: string): Record<string, string> =>
  Object.fromEntries(
    textOf(`${FOLDER}/${file}`)
      .split("\n")
      .filter((line) => /^\w+=/.test(line))
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );

const kustomization = parse(textOf(`${FOLDER}/kustomization.yaml`)) as Kustomization;
const manifests = kustomization.resources.flatMap(manifestsOf);
const ofKind = <M extends Manifest>(...kinds: readonly string[]): M[] =>
  manifests.filter(({ kind }) => kinds.includes(kind)) as M[];
const workloads = ofKind<Workload>("Deployment", "StatefulSet");
const services = ofKind<Service>("Service");
const ours = workloads.filter(({ metadata }) => ROLES.some((role) => role === metadata.name));
const named = <M extends Manifest>(list: readonly M[], name: string): M =>
  list.find(({ metadata }) => metadata.name === name) ?? assert.fail(`there is no ${name}`);

const podOf = ({ spec }: Workload): PodSpec => spec.template.spec;
const containerOf = (workload: Workload): Container => {
  const { containers } = podOf(workload);
  assert.equal(containers.length, 1, workload.metadata.name);
  return containers[0]!;
};
const podNames = ({ kind, metadata, spec }: Workload): string[] =>
  Array.from({ length: spec.replicas }, (_, index) =>
    kind === "StatefulSet" ? `${metadata.name}-${index}` : `${metadata.name}-5d9c7b6f8-x2k${index}q`,
  );
const isChosen = (selector: Labels, labels: Labels): boolean =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);

const SETTINGS = envFile("settings.env");
const HOST_IP = "192.0.2.10";
const POD_IP = "10.244.1.7";

/** What a container of this pod finds in its environment. `$(NAME)` stands for a variable further up, as in a pod. */
const environmentOf = (workload: Workload, podName: string): Record<string, string> => {
  const { env = [], envFrom = [] } = containerOf(workload);
  const found: Record<string, string> = {};
  const above: Record<string, string> = {};
  for (const { configMapRef } of envFrom) {
    assert.deepEqual(kustomization.configMapGenerator, [{ name: configMapRef.name, envs: ["settings.env"] }]);
    Object.assign(found, SETTINGS);
  }
  const fields: Readonly<Record<string, string>> = {
    "metadata.name": podName,
    "status.hostIP": HOST_IP,
    "status.podIP": POD_IP,
  };
  for (const { name, value, valueFrom } of env) {
    const { fieldRef, secretKeyRef } = valueFrom ?? {};
    const text = fieldRef ? fields[fieldRef.fieldPath] : secretKeyRef ? SECRET[secretKeyRef.key] : value;
    assert.ok(text !== undefined, `${podName}: ${name} has no value`);
    above[name] = text.replace(/\$\((\w+)\)/g, (_, other: string) => above[other] ?? assert.fail(`${other} is below`));
  }
  return { ...found, ...above };
};
const settingsOf = (workload: Workload, podName = podNames(workload)[0]!): Settings =>
  readSettings({ DATA_DIR: "/data", ...environmentOf(workload, podName) }, false);

test("every file is one that kustomize builds, and all is in one namespace", () => {
  const files = filesUnder(ROOT, FOLDER, ".yaml").map((file) => file.slice(FOLDER.length + 1));
  const listed = ["kustomization.yaml", ...kustomization.resources];
  assert.deepEqual(files.filter((file) => !/^(?:multicast|videos)\//.test(file)).sort(), listed.sort());
  assert.equal(named(ofKind("Namespace"), kustomization.namespace).metadata.name, "castellan");
  const names = manifests.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
  assert.equal(new Set(names).size, names.length, "no object twice");
});

test("every role is a workload of its own, and the configuration of each pod would start", () => {
  assert.deepEqual(ours.map(({ metadata }) => metadata.name).sort(), [...ROLES].sort());
  for (const workload of ours) {
    for (const podName of podNames(workload)) {
      const settings = settingsOf(workload, podName);
      assert.deepEqual(settings.roles, [workload.metadata.name]);
      assert.equal(settings.nodeId, podName, "the bus knows a process by its pod's name");
      assert.equal(settings.host, "0.0.0.0");
    }
  }
  assert.equal(named(ours, "control").spec.replicas, 3);
  assert.equal(named(ours, "streamer").spec.replicas, 2);
});

test("every variable that a pod sets is one that the program reads, and only who needs it knows a secret", () => {
  const knows = (name: string): string[] =>
    ours.filter((workload) => name in environmentOf(workload, "pod")).map(({ metadata }) => metadata.name);
  assert.deepEqual(knows("DATABASE_URL"), ["control", "transcoder"]);
  assert.deepEqual([knows("ADMIN_API_KEY"), knows("MASTER_KEY")], [["control"], ["control"]]);
  assert.deepEqual(knows("S3_SECRET_ACCESS_KEY"), ["control", "transcoder", "packager"]);
  for (const workload of ours) {
    const { name } = workload.metadata;
    const environment = environmentOf(workload, "pod");
    delete environment.POD_IP; // for the variables below it
    assert.deepEqual(unknownVariables(environment), [], name);
  }
});

test("Services set no variables: one named edge would set EDGE_PORT to an address", () => {
  for (const workload of workloads) assert.equal(podOf(workload).enableServiceLinks, false, workload.metadata.name);
  const linked = { ...environmentOf(named(ours, "edge"), "edge-0"), EDGE_PORT: "tcp://10.96.0.7:8081" };
  assert.throws(() => readSettings(linked), /EDGE_PORT/);
});

test("addresses inside of the cluster are Services of it, and the public ones are those of the compose file", () => {
  const { NATS_URL = "", S3_ENDPOINT = "", REDIS_URL = "", EDGE_GATEWAY_URLS = "" } = SETTINGS;
  for (const address of [NATS_URL, S3_ENDPOINT, REDIS_URL, EDGE_GATEWAY_URLS, SECRET.DATABASE_URL ?? ""]) {
    const { hostname, port } = new URL(address);
    assert.ok(
      named(services, hostname).spec.ports.some((entry) => entry.port === Number(port)),
      address,
    );
  }
  const compose = textOf("docker-compose.yml");
  for (const name of ["EDGE_PUBLIC_URL", "PUBLIC_URL"])
    assert.ok(compose.includes(`{${name}:-${SETTINGS[name]}}`), name);
});

test("secrets come from a file that the operator makes, and git and the image leave it out", () => {
  assert.deepEqual(kustomization.secretGenerator, [{ name: "castellan", envs: ["secret.env"] }]);
  const example = envFile("secret.env.example");
  assert.deepEqual(Object.keys(example), Object.keys(SECRET));
  assert.deepEqual(new Set(Object.values(example)), new Set([""]), "nothing that could be taken for a real one");
  const used = workloads
    .flatMap((workload) => containerOf(workload).env ?? [])
    .flatMap(({ valueFrom }) => (valueFrom?.secretKeyRef ? [valueFrom.secretKeyRef] : []));
  assert.deepEqual(new Set(used.map(({ key }) => key)), new Set(Object.keys(example)));
  for (const { name } of used) assert.equal(name, "castellan");
  assert.match(textOf(".gitignore"), /^\/deploy\/kubernetes\/secret\.env$/m);
  assert.match(textOf(".dockerignore"), /^deploy\/kubernetes$/m);
});

test("selectors meet the labels of the pods they are for, and of no others", () => {
  const labelsOf = (workload: Workload): Labels => workload.spec.template.metadata.labels;
  const chosen = (selector: Labels): string[] =>
    workloads.filter((workload) => isChosen(selector, labelsOf(workload))).map(({ metadata }) => metadata.name);
  for (const workload of workloads) {
    const { name, labels = {} } = workload.metadata;
    assert.deepEqual(chosen(workload.spec.selector.matchLabels), [name]);
    assert.deepEqual(labels, labelsOf(workload));
    for (const { labelSelector } of podOf(workload).topologySpreadConstraints ?? []) {
      assert.deepEqual(chosen(labelSelector.matchLabels), [name]);
    }
  }
  for (const { metadata, spec } of services) assert.deepEqual(chosen(spec.selector), [metadata.name]);
  const budgets = ofKind<Workload>("PodDisruptionBudget");
  for (const { metadata, spec } of budgets) assert.deepEqual(chosen(spec.selector.matchLabels), [metadata.name]);
  assert.deepEqual(budgets.map(({ metadata }) => metadata.name).sort(), [...ROLES].sort());
  for (const { spec } of ofKind("NetworkPolicy")) {
    const { podSelector, ingress } = spec as unknown as {
      podSelector: { matchLabels: Labels };
      ingress: { from: { podSelector: { matchLabels: Labels } }[] }[];
    };
    const [to] = chosen(podSelector.matchLabels);
    const from = ingress.flatMap((rule) => rule.from.flatMap((peer) => chosen(peer.podSelector.matchLabels)));
    const guests: Readonly<Record<string, readonly string[]>> = {
      postgres: ["control", "transcoder"],
      redis: ["control"],
      minio: ["control", "packager", "transcoder"],
    };
    const wanted = guests[to ?? ""] ?? workloads.map(({ metadata }) => metadata.name);
    assert.deepEqual(from.sort(), [...wanted].sort(), to);
  }
});

test("Services, probes and pods name the ports that the program listens on", () => {
  for (const workload of ours) {
    const { name } = workload.metadata;
    const { ports, startupProbe, readinessProbe, livenessProbe } = containerOf(workload);
    const settings = settingsOf(workload);
    const upload = name === "control" ? [{ name: "upload", containerPort: settings.uploadPort }] : [];
    assert.deepEqual(ports, [{ name: "http", containerPort: ownPort(settings) }, ...upload], name);
    assert.deepEqual(startupProbe.httpGet, { path: "/livez", port: "http" }, name);
    assert.deepEqual(livenessProbe.httpGet, { path: "/livez", port: "http" }, name);
    assert.deepEqual(readinessProbe.httpGet, { path: "/readyz", port: "http" }, name);
  }
  for (const { metadata, spec } of services) {
    const { ports } = containerOf(named(workloads, metadata.name));
    for (const { port, targetPort } of spec.ports) {
      assert.ok(
        ports.some((own) => own.name === targetPort && own.containerPort === port),
        metadata.name,
      );
    }
  }
});

test("images are those of the compose file", () => {
  const { services: composed } = parse(textOf("docker-compose.yml"), { merge: true }) as {
    services: Readonly<Record<string, { image: string; command?: readonly string[] }>>;
  };
  assert.deepEqual(new Set(workloads.map(({ metadata }) => metadata.name)), new Set(Object.keys(composed)));
  for (const workload of workloads) {
    const { image, args } = containerOf(workload);
    assert.match(image, PINNED_IMAGE);
    assert.equal(image, composed[workload.metadata.name]?.image);
    assert.deepEqual(args, composed[workload.metadata.name]?.command);
  }
  const [own] = kustomization.images;
  assert.equal(`${own?.newName}:${own?.newTag}`, composed.control?.image);
});

test("no two pods share a data directory, and what must outlive a pod is claimed", () => {
  const claimed = ["postgres", "nats", "minio", "streamer"];
  for (const workload of workloads) {
    const { name } = workload.metadata;
    const { volumeMounts } = containerOf(workload);
    // An emptyDir is a pod's own, and so is the claim that a StatefulSet makes from a template.
    const claims = (workload.spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata.name);
    const empty = (podOf(workload).volumes ?? []).map((volume) => {
      assert.deepEqual(volume.emptyDir, {}, name);
      return volume.name;
    });
    assert.deepEqual([...claims, ...empty], ["data"], name);
    assert.equal(claims.length > 0, claimed.includes(name), name);
    assert.deepEqual(volumeMounts, [
      { name: "data", mountPath: name === "postgres" ? "/var/lib/postgresql" : "/data" },
    ]);
    if (workload.kind === "StatefulSet") {
      assert.equal(named(services, workload.spec.serviceName ?? "").spec.clusterIP, "None", "its pods have names");
    }
  }
});

test("a stop leaves time to drain", () => {
  for (const workload of ours) {
    const { name } = workload.metadata;
    const [word, seconds = "0"] = containerOf(workload).lifecycle?.preStop.exec.command ?? [];
    // Who is behind a Service waits until nobody is sent there any more.
    assert.equal(word, ["gateway", "packager", "edge"].includes(name) ? "sleep" : undefined, name);
    const grace = podOf(workload).terminationGracePeriodSeconds;
    assert.ok(grace >= 30 && grace >= Number(seconds) + DRAIN_SECONDS + 5, name);
  }
  assert.match(textOf("lib/process/process.ts"), new RegExp(`STOP_DEADLINE_MS = ${DRAIN_SECONDS}_000`));
});

test("every pod keeps to what the namespace asks for: an ordinary user, no privileges", () => {
  const labels = named(ofKind("Namespace"), "castellan").metadata.labels ?? {};
  assert.equal(labels["pod-security.kubernetes.io/enforce"], "restricted");
  for (const workload of workloads) {
    const { name } = workload.metadata;
    const { securityContext, automountServiceAccountToken } = podOf(workload);
    const user = name === "postgres" ? 999 : 1000;
    assert.deepEqual(
      { ...securityContext, fsGroupChangePolicy: undefined },
      {
        ...{ runAsNonRoot: true, runAsUser: user, runAsGroup: user, fsGroup: user },
        ...{ seccompProfile: { type: "RuntimeDefault" }, fsGroupChangePolicy: undefined },
      },
      name,
    );
    assert.deepEqual(
      containerOf(workload).securityContext,
      { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
      name,
    );
    assert.equal(automountServiceAccountToken, false, name);
    const { cpu, memory } = containerOf(workload).resources.requests;
    assert.ok(cpu !== "" && memory !== "", name);
  }
});

test("streamers have addresses of their own that edges find, and are kept apart", () => {
  const streamer = named(ours, "streamer");
  assert.equal(streamer.kind, "StatefulSet");
  const announced = podNames(streamer).map((podName) => settingsOf(streamer, podName).streamerPublicUrl);
  assert.deepEqual(announced, ["http://streamer-0.streamer:8082", "http://streamer-1.streamer:8082"]);
  assert.equal(streamer.spec.serviceName, "streamer", "the name behind the dot");
  const { affinity, topologySpreadConstraints } = podOf(streamer);
  assert.equal((named(services, "streamer").spec as Record<string, unknown>).publishNotReadyAddresses, true);
  assert.ok(affinity?.podAntiAffinity && topologySpreadConstraints?.length);
});

/** A strategic merge as far as the patches go: lists of things with names by name, null takes away. */
const merged = (base: unknown, patch: unknown): unknown => {
  const isNamed = (list: readonly unknown[]) => list.every((entry) => entry instanceof Object && "name" in entry);
  if (Array.isArray(patch) && Array.isArray(base) && isNamed(patch) && isNamed(base)) {
    const like = (list: readonly { name: string }[], name: string) => list.find((entry) => entry.name === name);
    const first = patch.map((entry) => merged(like(base, entry.name), entry));
    return [...first, ...base.filter((entry) => !like(patch, entry.name))]; // kustomize puts a patch's entries first
  }
  if (Array.isArray(patch) || !(patch instanceof Object)) return patch;
  const result: Record<string, unknown> = { ...(base as object | undefined) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
};

test("the multicast variant gives each host's network to one streamer, under the host's address", () => {
  const { kind, patches } = parse(textOf(`${FOLDER}/multicast/kustomization.yaml`)) as {
    kind: string;
    patches: { path: string }[];
  };
  assert.equal(kind, "Component");
  const changed = patches.flatMap(({ path }) => manifestsOf(`multicast/${path}`));
  for (const patch of changed) named(ofKind(patch.kind), patch.metadata.name);
  const streamer = merged(named(ours, "streamer"), named(changed, "streamer")) as Workload;
  const settings = settingsOf(streamer);
  assert.equal(settings.host, HOST_IP, "it listens where edges find it");
  assert.equal(settings.streamerPublicUrl, `http://${HOST_IP}:8082`);
  assert.deepEqual(unknownVariables(environmentOf(streamer, "streamer-0")), []);
  const { hostNetwork, dnsPolicy, affinity } = podOf(streamer);
  assert.deepEqual({ hostNetwork, dnsPolicy }, { hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" });
  assert.deepEqual(Object.keys(affinity?.podAntiAffinity ?? {}), ["requiredDuringSchedulingIgnoredDuringExecution"]);
  const labels = named(changed, "castellan").metadata.labels ?? {};
  assert.equal(labels["pod-security.kubernetes.io/enforce"], "privileged", "only there may a pod have that network");
});
