/** The manifests' component `videos`, which gives the packager a folder of stored files. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { VARIABLES } from "../lib/config/variables.ts";
import { textOf } from "../tools/source/source.ts";

const FOLDER = "deploy/kubernetes/videos";

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
}
interface Packager extends Manifest {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly { readonly name: string; readonly volumeMounts: readonly object[] }[];
        readonly volumes: readonly {
          readonly name: string;
          readonly persistentVolumeClaim: { readonly claimName: string };
        }[];
      };
    };
  };
}
const manifestsOf = (file: string): Manifest[] =>
  parseAllDocuments(textOf(`${FOLDER}/${file}`)).map((document) => document.toJS() as Manifest);

test("the component adds a volume, and mounts it read-only where a packager looks for its files", () => {
  const component = parse(textOf(`${FOLDER}/kustomization.yaml`)) as {
    kind: string;
    resources: string[];
    patches: { path: string }[];
  };
  assert.equal(component.kind, "Component");
  const added = component.resources.flatMap(manifestsOf);
  const [patch] = component.patches.flatMap(({ path }) => manifestsOf(path)) as Packager[];
  assert.deepEqual([patch?.kind, patch?.metadata.name], ["Deployment", "packager"]);
  const { containers, volumes } = patch!.spec.template.spec;
  assert.equal(containers[0]?.name, "packager");
  const mountPath = VARIABLES.videoParentPath.fallback;
  assert.deepEqual(containers[0]?.volumeMounts, [{ name: "videos", mountPath, readOnly: true }]);
  const claim = added.find(({ kind }) => kind === "PersistentVolumeClaim") as Manifest & {
    spec: { volumeName: string };
  };
  assert.equal(volumes[0]?.persistentVolumeClaim.claimName, claim.metadata.name);
  assert.equal(added.find(({ kind }) => kind === "PersistentVolume")?.metadata.name, claim.spec.volumeName);
});
