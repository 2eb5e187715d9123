/** Who asks whom, drawn from the code: contracts say what there is, imports and calls say who uses it. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Ask, Fact } from "../../contracts/kit.ts";
import { filesUnder, importsOf, isTestFile, ROOT, textOf } from "./source.ts";

interface Declared<T> {
  /** The name that code imports: `startChannel`. */
  readonly symbol: string;
  /** The contract file that declares it. */
  readonly file: string;
  readonly is: T;
}

/** One ask, the actor that answers it and who sends it. */
export interface AskUse extends Declared<Ask> {
  readonly answeredBy: string | undefined;
  readonly askedBy: readonly string[];
}
/** One fact, who says it and who listens. */
export interface FactUse extends Declared<Fact> {
  readonly announcedBy: readonly string[];
  readonly heardBy: readonly string[];
}
export interface AskGraph {
  readonly asks: readonly AskUse[];
  readonly facts: readonly FactUse[];
  /** Asker → answerers. */
  readonly edges: ReadonlyMap<string, readonly string[]>;
}

const isDeclared = (value: unknown): value is Ask | Fact =>
  typeof value === "object" && value !== null && "kind" in value && (value.kind === "ask" || value.kind === "fact");

const declarations = async (): Promise<Declared<Ask | Fact>[]> => {
  const found: Declared<Ask | Fact>[] = [];
  for (const file of filesUnder(ROOT, "contracts", ".ts")) {
    if (isTestFile(file)) continue;
    const module = (await import(pathToFileURL(join(ROOT, file)).href)) as Record<string, unknown>;
    for (const [symbol, value] of Object.entries(module))
      if (isDeclared(value)) found.push({ symbol, file, is: value });
  }
  return found;
};

/** The part of the system that a file belongs to: an actor's name, `gateway`, `edge`, `demo` …; undefined for tools. */
const partOf = (file: string): string | undefined => {
  const [top = "", second = ""] = file.split("/");
  if (isTestFile(file)) return undefined;
  if (top === "actors") return second;
  if (top === "lib") return second === "actor" || second === "events" ? undefined : second;
  if (top === "main.ts") return "main";
  return top === "gateway" || top === "edge" ? top : undefined;
};

type Use = "answers" | "asks" | "hears" | "announces";

/** How a file that imports an ask or a fact as a value uses it; a method or a field of the same name is not it. */
const usesIn = (text: string, symbol: string, kind: "ask" | "fact"): Set<Use> => {
  const code = text
    .replace(/^(?:import|export)\s[^;]*?from\s*"[^"]+";?/gms, "")
    .replace(/\/\*.*?\*\/|(?<!:)\/\/[^\n]*|\btypeof\s+\w+/gs, "");
  const found = new Set<Use>();
  for (const { index } of code.matchAll(new RegExp(`(?<![.#"\\w])${symbol}\\b(?!["(:?]|\\.name\\b)`, "g"))) {
    const before = code.slice(Math.max(0, index - 200), index);
    if (kind === "ask") found.add(/\banswer\(\s*$/.test(before) ? "answers" : "asks");
    else found.add(/\bon\(\s*$|\bsubscribe\([^;]*$/.test(before) ? "hears" : "announces");
  }
  return found;
};

interface PartUse {
  readonly part: string;
  readonly use: Use;
}

const partUses = (): ((one: Declared<Ask | Fact>) => PartUse[]) => {
  const files = filesUnder(ROOT, ".", ".ts").flatMap((file) => {
    const part = partOf(file);
    if (part === undefined) return [];
    const text = textOf(file);
    return [{ part, text, imports: importsOf(file, text).filter(({ typeOnly }) => !typeOnly) }];
  });
  return ({ symbol, file, is }) =>
    files
      .filter(({ imports }) => imports.some(({ target, names }) => target === file && names.includes(symbol)))
      .flatMap(({ part, text }) => [...usesIn(text, symbol, is.kind)].map((use) => ({ part, use })));
};

const unique = (words: readonly string[]): string[] => [...new Set(words)].sort();
const who = (uses: readonly PartUse[], use: Use): string[] =>
  unique(uses.filter((one) => one.use === use).map(({ part }) => part));

/** Reads contracts and code. Asks with a REST route are sent by the gateway, whatever it imports. */
export const readAskGraph = async (): Promise<AskGraph> => {
  const usesOf = partUses();
  const asks: AskUse[] = [];
  const facts: FactUse[] = [];
  for (const { symbol, file, is } of await declarations()) {
    const uses = usesOf({ symbol, file, is });
    if (is.kind === "ask") {
      const askedBy = unique([...who(uses, "asks"), ...(is.rest ? ["gateway"] : [])]);
      asks.push({ symbol, file, is, answeredBy: who(uses, "answers")[0], askedBy });
    } else facts.push({ symbol, file, is, announcedBy: who(uses, "announces"), heardBy: who(uses, "hears") });
  }
  const edges = new Map<string, string[]>();
  for (const { askedBy, answeredBy } of asks) {
    for (const asker of askedBy) {
      if (answeredBy !== undefined) edges.set(asker, unique([...(edges.get(asker) ?? []), answeredBy]));
    }
  }
  return { asks, facts, edges };
};

/** A path that comes back to its start, or undefined. An actor that asks its own key is one too. */
export const findCycle = (edges: ReadonlyMap<string, readonly string[]>): string[] | undefined => {
  const done = new Set<string>();
  const walk = (at: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(at)) return [...path.slice(path.indexOf(at)), at];
    if (done.has(at)) return undefined;
    for (const next of edges.get(at) ?? []) {
      const cycle = walk(next, [...path, at]);
      if (cycle) return cycle;
    }
    done.add(at);
    return undefined;
  };
  for (const start of [...edges.keys()].sort()) {
    const cycle = walk(start, []);
    if (cycle) return cycle;
  }
  return undefined;
};
