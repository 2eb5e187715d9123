/** The files that every actor has, for a new one. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface Words {
  /** `cloud-recorder`: folder, files, service. */
  readonly name: string;
  /** `cloudRecorder`. */
  readonly camel: string;
  /** `CloudRecorder`. */
  readonly pascal: string;
}

const wordsOf = (name: string): Words => {
  const pascal = name.replace(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase());
  return { name, pascal, camel: pascal.charAt(0).toLowerCase() + pascal.slice(1) };
};

const contract = ({ name, pascal }: Words): string => `/** What ${name} answers and announces. */
import { z } from "zod";
import { ask } from "./kit.ts";

/** Says that it is there. */
export const ping${pascal} = ask("${name}.ping", {
  input: z.object({}),
  result: z.object({ answeredAt: z.number() }),
  deadlineMs: 1_000,
  errors: [],
  retriable: true,
});
`;

const readme = ({ name }: Words): string => `# ${name}

Pool actor: any control process answers.

- Owns: no table yet.
- Answers: \`${name}.ping\`.
- Announces: nothing yet.
- Asks: nobody.
- Limits: none yet; each queue, list and wait gets one.
`;

const behaviour = ({ name, pascal }: Words): string => `/** What ${name} does; knows neither Moleculer nor the bus. */
import type { Clock } from "../../lib/clock.ts";

export interface ${pascal}Deps {
  readonly clock: Clock;
}

export class ${pascal} {
  readonly #clock: Clock;

  constructor({ clock }: ${pascal}Deps) {
    this.#clock = clock;
  }

  ping(): { answeredAt: number } {
    return { answeredAt: this.#clock.nowMs() };
  }
}
`;

const service = ({ name, camel, pascal }: Words): string => `/** Wires ${name}: contract ↔ behaviour. */
import type { ServiceSchema } from "moleculer";
import { ping${pascal} } from "../../contracts/${name}.ts";
import { answer } from "../../lib/actor/contract.ts";
import { ${pascal}, type ${pascal}Deps } from "./${name}.ts";

export const ${camel}Service = (deps: ${pascal}Deps): ServiceSchema => {
  const ${camel} = new ${pascal}(deps);
  return { name: "${name}", actions: { ping: answer(ping${pascal}, () => ${camel}.ping()) } };
};
`;

const failingTest = ({ name, pascal }: Words): string => `import assert from "node:assert/strict";
import { test } from "node:test";
import { ${pascal} } from "./${name}.ts";

test("${name} tells the time of its clock", () => {
  const actor = new ${pascal}({ clock: { nowMs: () => 42 } });
  assert.deepEqual(actor.ping(), { answeredAt: 42 });
});

test("${name} does what it is for", () => {
  assert.fail("say here what ${name} is for, then write it");
});
`;

/** Makes contract and rooms; the paths of the files. Throws one line when the name is no good or taken. */
export const makeActor = (root: string, name: string): string[] => {
  if (!/^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(name)) {
    throw new Error(`"${name}" is no actor's name: lower-case words with - between, such as cloud-recorder`);
  }
  const words = wordsOf(name);
  const files = {
    [`contracts/${name}.ts`]: contract(words),
    [`actors/${name}/README.md`]: readme(words),
    [`actors/${name}/${name}.service.ts`]: service(words),
    [`actors/${name}/${name}.ts`]: behaviour(words),
    [`actors/${name}/${name}.test.ts`]: failingTest(words),
  };
  for (const file of [`actors/${name}`, `contracts/${name}.ts`]) {
    if (existsSync(join(root, file))) throw new Error(`${file} is there already`);
  }
  mkdirSync(join(root, "actors", name), { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(root, file), text);
  return Object.keys(files);
};
