/** Reads the project's own source: which files there are, and what each one imports. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");

/** A folder or file name that is not source of ours. */
const isForeign = (name: string): boolean => name.startsWith(".") || name === "node_modules" || name === "data";

/** Every file below a folder whose name ends so, as paths relative to `root`, in order. */
export const filesUnder = (root: string, folder: string, ...endings: readonly string[]): string[] => {
  const found: string[] = [];
  const walk = (dir: string): void => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      if (isForeign(entry.name)) continue;
      const at = join(dir, entry.name);
      if (entry.isDirectory()) walk(at);
      else if (endings.some((ending) => entry.name.endsWith(ending))) found.push(relative(root, at));
    }
  };
  walk(join(root, folder));
  return found.sort();
};

/** One import or re-export of a file. */
export interface Import {
  /** A path from the root for a file of ours, else as written: `zod`, `node:fs`. */
  readonly target: string;
  /** What is taken from it; `*` for all of it. */
  readonly names: readonly string[];
  /** Gone at run time. */
  readonly typeOnly: boolean;
}

const STATIC = /^(?:import|export)\s+(type\s+)?(?:([^;"'()]*?)\s*from\s*)?"([^"]+)"/gm;
const DYNAMIC = /\bimport\(\s*"([^"]+)"\s*\)/g;

const resolveTarget = (file: string, target: string): string =>
  target.startsWith(".") ? normalize(join(dirname(file), target)) : target;

const namesOf = (clause: string): { names: string[]; typeOnly: boolean } => {
  const braced = /\{([^}]*)\}/s.exec(clause)?.[1];
  if (braced === undefined) return { names: ["*"], typeOnly: false };
  const parts = braced
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  const values = parts.filter((part) => !part.startsWith("type "));
  const names = values.map((part) => part.split(/\s+as\s+/)[0] ?? part);
  return { names, typeOnly: parts.length > 0 && values.length === 0 };
};

/** The imports that a file's text names, in order: static, re-exported and dynamic ones. */
export const importsOf = (file: string, text: string): Import[] => {
  const found: Import[] = [];
  for (const [, type, clause = "*", target = ""] of text.matchAll(STATIC)) {
    const { names, typeOnly } = namesOf(clause);
    found.push({ target: resolveTarget(file, target), names, typeOnly: typeOnly || type !== undefined });
  }
  for (const [, target = ""] of text.matchAll(DYNAMIC)) {
    found.push({ target: resolveTarget(file, target), names: ["*"], typeOnly: false });
  }
  return found;
};

/** The text of a file of the project. */
export const textOf = (file: string, root: string = ROOT): string => readFileSync(join(root, file), "utf8");

/** Tests and what only they use: they may import anything. */
export const isTestFile = (file: string): boolean =>
  file.startsWith("test/") || /\.(test|fixture)\.ts$/.test(file) || /(^|\/)suite[^/]*\.ts$/.test(file);

const OURS = /^(?:contracts|domain|lib|actors|gateway|edge|web|test|tools|bench|migrations)\/|^[\w.-]+\.(?:ts|mjs)$/;

/** Whether an import's target is a file of ours, not a package. */
export const isOurFile = (target: string): boolean => OURS.test(target);

/** `@scope/name/file` → `@scope/name`. */
export const packageOf = (target: string): string => /^(?:node:[^/]+|@[^/]+\/[^/]+|[^/]+)/.exec(target)?.[0] ?? target;
