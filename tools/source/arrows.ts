/** Who may import whom. One list of rules; what breaks one is said with the rule's reason. */
import { filesUnder, type Import, importsOf, isOurFile, isTestFile, packageOf, ROOT, textOf } from "./source.ts";

interface Rule {
  /** Files that it binds, by the start of their path. The first rule that fits decides. */
  readonly from: RegExp;
  /** Files of ours that they may import besides their own folder's. */
  readonly files: RegExp;
  /** Packages, `node:` ones too, that they may import. */
  readonly packages: RegExp;
  readonly why: string;
}

const NONE = /^(?!)/;
const ANY = /^/;
const FOUNDATION = /^(?:contracts|domain|lib)\//;
const NO_STORES = /^(?:contracts\/|domain\/|lib\/(?!db\/|postgres\/|events\/))/;

const RULES: readonly Rule[] = [
  {
    from: /^contracts\//,
    files: NONE,
    packages: /^zod$/,
    why: "contracts are the words of the system: they import zod alone",
  },
  { from: /^domain\//, files: NONE, packages: NONE, why: "domain is pure: it imports nothing but domain" },
  {
    from: /^lib\//,
    files: /^(?:contracts|domain)\//,
    packages: ANY,
    why: "lib imports contracts, domain and packages, never what stands on it",
  },
  {
    from: /^actors\/[^/]+\/[^/]+\.service\.ts$/,
    files: FOUNDATION,
    packages: /^(?!(?:nats|pg)$)/,
    why: "an actor imports contracts, domain, lib and itself, never another actor",
  },
  {
    from: /^actors\//,
    files: FOUNDATION,
    packages: /^(?!(?:moleculer|moleculer-web|nats|pg)$)/,
    why: "an actor imports contracts, domain, lib and itself; only its *.service.ts knows Moleculer",
  },
  {
    from: /^gateway\//,
    files: NO_STORES,
    packages: /^(?!(?:nats|pg)$)/,
    why: "the gateway imports contracts and lib, and has no database: it asks actors",
  },
  {
    from: /^edge\/fleet\//,
    files: NO_STORES,
    packages: /^(?!(?:nats|pg)$)/,
    why: "edge/fleet is the edge's ear on the bus, and has no database",
  },
  {
    from: /^edge\//,
    files: /^(?:domain\/|contracts\/errors\.ts$|lib\/(?:http|config|source|crypto|log|metrics)\/|lib\/clock\.ts$)/,
    packages: /^(?!(?:moleculer|moleculer-web|nats|pg)$)/,
    why: "the edge has no bus and no database; only edge/fleet speaks to the bus",
  },
  { from: /^web\//, files: /^contracts\//, packages: /^(?!node:)/, why: "web imports types of contracts" },
];

/** The folder whose files a file may always import: its actor's, else its top one. */
const homeOf = (file: string): string => /^(?:actors\/[^/]+\/|[^/]+\/)/.exec(file)?.[0] ?? "";

/** What is wrong with one import of one file, or undefined. */
export const brokenArrow = (file: string, { target, typeOnly }: Import): string | undefined => {
  const rule = RULES.find(({ from }) => from.test(file));
  if (!rule || isTestFile(file)) return undefined;
  const isOurs = isOurFile(target);
  if (isOurs && (target.startsWith(homeOf(file)) || rule.files.test(target))) return undefined;
  if (!isOurs && rule.packages.test(packageOf(target))) return undefined;
  // Types are gone at run time: outside of domain the words of contracts and packages' shapes may be named.
  const pure = /^(?:contracts|domain)\//.test(file);
  if (typeOnly && !pure && (!isOurs || target.startsWith("contracts/"))) return undefined;
  return `${file} imports ${target}: ${rule.why}`;
};

/** Every broken arrow of the project, a line each. */
export const brokenArrows = (root: string = ROOT): string[] =>
  filesUnder(root, ".", ".ts", ".mjs").flatMap((file) =>
    importsOf(file, textOf(file, root)).flatMap((one) => brokenArrow(file, one) ?? []),
  );
