/** What `npm start -- --help` prints: commands, roles and variables, straight from their table. */
import { PACKAGER_VARIABLES } from "./packager-variables.ts";
import type { Variable } from "./variable.ts";
import { CONTROL_ACTORS, ROLE_DOCS, ROLES, VARIABLES } from "./variables.ts";

const WIDTH = 100;

/** Breaks a sentence into lines that fit beside a left column. */
const wrap = (text: string, width: number): string[] => {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
};

const rows = (entries: readonly (readonly [string, string])[]): string => {
  const left = Math.max(...entries.map(([name]) => name.length)) + 4;
  return entries
    .flatMap(([name, text]) =>
      wrap(text, WIDTH - left).map((line, i) => `${(i === 0 ? `  ${name}` : "").padEnd(left)}${line}`),
    )
    .join("\n");
};

const isPackagers = (variable: Variable<unknown>): boolean =>
  Object.values<Variable<unknown>>(PACKAGER_VARIABLES).includes(variable);

/** All variables: those of the packager, which are many and make sense only with it, apart. */
export const variableGroups = (): {
  readonly general: Variable<unknown>[];
  readonly packager: Variable<unknown>[];
} => ({
  general: Object.values<Variable<unknown>>(VARIABLES).filter((variable) => !isPackagers(variable)),
  packager: Object.values<Variable<unknown>>(PACKAGER_VARIABLES),
});

const variableRows = (variables: readonly Variable<unknown>[]): string =>
  rows(variables.map((v) => [v.env, `${v.doc} Default: ${defaultOf(v)}.`] as const));

/** The default of a variable in words. */
export const defaultOf = (variable: { fallback: string | null; otherwise?: string }): string =>
  variable.fallback === "" ? "none" : (variable.fallback ?? variable.otherwise ?? "none");

/** The whole help, no line longer than 100 columns. */
export const helpText =
  (): string => `Castellan: live channels, stored files on demand and their edge, in one process or many.

Usage
${rows([
  ["npm start", "start the roles of ROLES (all of them unless told)"],
  ["npm start -- --config FILE", "with ROLES=edge: a cache in front of the sites that FILE names"],
  ["npm start -- --config FILE --check", "say what is wrong with such a file, and end"],
  ["npm start -- --help", "this text"],
  ["npm start -- import FOLDER", "send a folder of films to a gateway, and go on where it was"],
  ["npm start -- setup", "ask what a packager has to know, and write it to .env"],
  ["npm start -- packager", "look at, clean and purge a packager's caches, and make tokens"],
  ["npm start -- keys", "look at master keys, and bring all keys under a new one"],
  ["npm run doctor", "look at this machine and say what to do"],
])}
  With --env FILE, start, packager and doctor take what the environment does not say out of a file.

Roles
${rows(ROLES.map((role) => [role, ROLE_DOCS[role]] as const))}
  An actor of control may also be a process of its own:
  ${CONTROL_ACTORS.join(", ")}.

Variables (of the environment)
${variableRows(variableGroups().general)}

Variables of the packager (CASTERPAK_… also as section and option of a config.ini)
${variableRows(variableGroups().packager)}

More: docs/configuration.md
`;
