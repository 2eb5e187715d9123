/** Reads the golden scripts (README.md describes the format). */
import { patternBytes } from "./body.ts";

/** A field that an answer or a request must have (`value`), or must not have (`value` undefined). */
export interface Expectation {
  readonly name: string;
  readonly value: string | undefined;
  readonly line: number;
}
interface At {
  readonly line: number;
}
export interface Message {
  /** [name, value, …]; dates in braces are still to be filled in. */
  readonly fields: readonly string[];
  readonly body: Buffer | undefined;
}
interface Expected {
  readonly expectations: readonly Expectation[];
  readonly body: Buffer | undefined;
}
export type Step = At &
  (
    | ({ readonly kind: "request"; readonly clients: readonly string[]; method: string; target: string } & Message)
    | { readonly kind: "raw-request"; readonly clients: readonly string[]; readonly bytes: Buffer }
    | { readonly kind: "leave"; readonly clients: readonly string[] }
    | ({
        readonly kind: "answer";
        readonly clients: readonly string[];
        readonly statuses: readonly number[];
      } & Expected & {
          /** `head`: as much as is told here has come; `whole`: to its end; `cut`: it never ends properly. */
          readonly until: "head" | "whole" | "cut";
          /** Asked again until it is so: what happens in the background takes its time. */
          readonly inTheEnd: boolean;
          readonly isClosed: boolean;
        })
    | ({ readonly kind: "origin-request"; readonly as: string; method: string; target: string } & Expected)
    | { readonly kind: "origin-nothing" }
    | ({ readonly kind: "origin-answer"; readonly to: string; readonly status: number } & Message & {
          /** `begins`: the body goes on later; a number: cut after so many bytes of it. */
          readonly end: "whole" | "begins" | number;
        })
    | { readonly kind: "origin-bytes"; readonly to: string; readonly bytes: Buffer }
    | { readonly kind: "origin-ends" | "origin-cuts"; readonly to: string }
    | { readonly kind: "origin-refuses" | "origin-listens" }
    | { readonly kind: "after"; readonly ms: number }
  );

export interface Script {
  readonly title: string;
  /** A rule in the words of edge.json, over the runner's default. */
  readonly rule: Readonly<Record<string, unknown>>;
  readonly steps: readonly Step[];
}

const CLIENTS_MAX = 200;

interface Block extends At {
  readonly head: string;
  readonly lines: readonly { readonly text: string; readonly line: number }[];
}

const blocksOf = (text: string): { readonly title: string; readonly blocks: readonly Block[] } => {
  const blocks: (Block & { lines: { text: string; line: number }[] })[] = [];
  let title = "";
  for (const [index, raw] of text.split("\n").entries()) {
    const line = index + 1;
    if (raw.startsWith("#")) title ||= raw.slice(1).trim();
    else if (/^\s/.test(raw) && raw.trim() !== "") {
      const block = blocks.at(-1);
      if (!block) throw new Error(`line ${line}: an indented line belongs to no step`);
      block.lines.push({ text: raw.trim(), line });
    } else if (raw !== "") blocks.push({ head: raw.trim(), line, lines: [] });
  }
  return { title, blocks };
};

/** `a`, `a b c`, `1..20`; none: the one client that needs no name. */
const clientsOf = (text: string): string[] =>
  text
    .split(" ")
    .filter((name) => name !== "")
    .flatMap((name) => {
      const [, first, last] = /^(\d+)\.\.(\d+)$/.exec(name) ?? [];
      if (first === undefined || last === undefined) return [name];
      const count = Math.min(Number(last) - Number(first) + 1, CLIENTS_MAX);
      return Array.from({ length: count }, (_, index) => String(Number(first) + index));
    });

const unescaped = (text: string): string =>
  text.replaceAll(/\\(?:x([0-9a-f]{2})|(.))/gi, (_, hex: string | undefined, one: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return { r: "\r", n: "\n", t: "\t", "0": "\0" }[one] ?? one;
  });

/** `> …` lines, each with its escapes and nothing added. */
const rawBytes = ({ lines }: Block): Buffer =>
  Buffer.concat(
    lines.map(({ text, line }) => {
      const [, first, last] = /^body (\d+)-(\d+)$/.exec(text) ?? [];
      if (first !== undefined) return patternBytes(Number(first), Number(last));
      if (!text.startsWith("> ")) throw new Error(`line ${line}: raw bytes stand behind "> "`);
      return Buffer.from(unescaped(text.slice(2)), "latin1");
    }),
  );

interface Content {
  readonly fields: Expectation[];
  readonly body: Buffer | undefined;
}
const contentOf = ({ lines }: Block): Content => {
  const fields: Expectation[] = [];
  const body: Buffer[] = [];
  for (const { text, line } of lines) {
    const [, first, last] = /^body (\d+)-(\d+)$/.exec(text) ?? [];
    const [, name, value] = /^([^\s:]+):\s*(.*)$/.exec(text) ?? [];
    if (first !== undefined) body.push(patternBytes(Number(first), Number(last)));
    else if (text === "no body") body.push(Buffer.alloc(0));
    else if (text.startsWith("|")) body.push(Buffer.from(text.slice(2), "latin1"));
    else if (text.startsWith("!")) fields.push({ name: text.slice(1), value: undefined, line });
    else if (name !== undefined) fields.push({ name, value, line });
    else throw new Error(`line ${line}: neither a field nor a body: ${text}`);
  }
  return { fields, body: body.length === 0 ? undefined : Buffer.concat(body) };
};

const messageOf = (block: Block): Message => {
  const { body, fields } = contentOf(block);
  return { body, fields: fields.flatMap(({ name, value }) => (value === undefined ? [] : [name, value])) };
};
const expectedOf = (block: Block): Expected => {
  const { body, fields } = contentOf(block);
  return { body, expectations: fields };
};

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** `5s`, `250ms`, `1h` in ms; NaN for anything else. */
export const durationMs = (text: string): number => {
  const [, count, unit = ""] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  return Number(count) * (UNITS[unit] ?? Number.NaN);
};

type Rule = readonly [pattern: RegExp, make: (parts: readonly string[], block: Block) => Step | undefined];

const METHOD = "([A-Za-z-]+)";
const CLIENTS = "clients?((?: [a-z0-9.]+)*?)";
const RULES: readonly Rule[] = [
  [
    new RegExp(`^${CLIENTS} (get|gets|see|sees) (\\d{3}(?:\\|\\d{3})*)( and is closed| in the end)?$`),
    ([names = "", verb = "", statuses = "", how], block) => ({
      kind: "answer",
      clients: clientsOf(names),
      statuses: statuses.split("|").map(Number),
      until: verb.startsWith("see") ? "head" : "whole",
      isClosed: how === " and is closed",
      inTheEnd: how === " in the end",
      line: block.line,
      ...expectedOf(block),
    }),
  ],
  [
    new RegExp(`^${CLIENTS} (?:get|gets) (\\d{3}) cut$`),
    ([names = "", status], block) => ({
      kind: "answer",
      clients: clientsOf(names),
      statuses: [Number(status)],
      until: "cut",
      isClosed: false,
      inTheEnd: false,
      line: block.line,
      ...expectedOf(block),
    }),
  ],
  [
    new RegExp(`^${CLIENTS} leaves?$`),
    ([names = ""], { line }) => ({ kind: "leave", clients: clientsOf(names), line }),
  ],
  [
    new RegExp(`^${CLIENTS} sends?$`),
    ([names = ""], block) => ({
      kind: "raw-request",
      clients: clientsOf(names),
      bytes: rawBytes(block),
      line: block.line,
    }),
  ],
  [
    new RegExp(`^${CLIENTS} ${METHOD} (\\S+)$`),
    ([names = "", method = "", target = ""], block) => ({
      kind: "request",
      clients: clientsOf(names),
      method,
      target,
      line: block.line,
      ...messageOf(block),
    }),
  ],
  [/^origin gets nothing$/, (_, { line }) => ({ kind: "origin-nothing", line })],
  [
    new RegExp(`^origin gets ${METHOD} (\\S+)(?: as (\\S+))?$`),
    ([method = "", target = "", as = ""], block) => ({
      kind: "origin-request",
      as,
      method,
      target,
      line: block.line,
      ...expectedOf(block),
    }),
  ],
  [
    /^origin (answers|begins)(?: ([a-z]\S*))? (\d{3})(?: cut after (\d+))?$/,
    ([verb, to = "", status, cut], block) => ({
      kind: "origin-answer",
      to,
      status: Number(status),
      line: block.line,
      ...messageOf(block),
      end: verb === "begins" ? "begins" : cut === undefined ? "whole" : Number(cut),
    }),
  ],
  [
    /^origin (?:sends|continues)(?: (\S+))?$/,
    ([to = ""], block) => ({
      kind: "origin-bytes",
      to,
      bytes: rawBytes(block),
      line: block.line,
    }),
  ],
  [
    /^origin (ends|cuts)(?: (\S+))?$/,
    ([verb, to = ""], { line }) => ({
      kind: verb === "ends" ? "origin-ends" : "origin-cuts",
      to,
      line,
    }),
  ],
  [
    /^origin (refuses|listens)$/,
    ([verb], { line }) => ({
      kind: verb === "refuses" ? "origin-refuses" : "origin-listens",
      line,
    }),
  ],
  [
    /^after (\S+)$/,
    ([time = ""], { line }) => {
      const ms = durationMs(time);
      return Number.isNaN(ms) ? undefined : { kind: "after", ms, line };
    },
  ],
];

const stepOf = (block: Block): Step => {
  for (const [pattern, make] of RULES) {
    const [, ...parts] = pattern.exec(block.head) ?? [];
    const step = pattern.test(block.head) ? make(parts, block) : undefined;
    if (step) return step;
  }
  throw new Error(`line ${block.line}: no step: ${block.head}`);
};

/** @throws Error with the line for what is no script. */
export const parseScript = (text: string): Script => {
  const { blocks, title } = blocksOf(text);
  if (title === "") throw new Error("line 1: a script begins with a comment that says its rule");
  const rule: Record<string, unknown> = {};
  const steps: Step[] = [];
  for (const block of blocks) {
    const [, json] = /^rule (\{.*\})$/.exec(block.head) ?? [];
    if (json === undefined) steps.push(stepOf(block));
    else Object.assign(rule, JSON.parse(json));
  }
  return { title, rule, steps };
};
