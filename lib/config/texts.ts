/** The texts of all variables: from the environment, else from `config.ini`, else their defaults. */
import { type IniFile, IniProblem, iniKey, readIni } from "./casterpak-ini.ts";
import { ConfigError } from "./config-error.ts";
import { BadValue, type Kind } from "./kinds.ts";
import { ENCRYPTION_OPTIONS, PACKAGER_VARIABLES, TOKEN_OPTIONS } from "./packager-variables.ts";
import type { Variable } from "./variable.ts";

export type Env = Readonly<Record<string, string | undefined>>;

type Named = Pick<Variable<unknown>, "env" | "ini" | "secret">;
interface Found {
  readonly text: string;
  /** What the operator would have to change. */
  readonly place: string;
}

/** Options of CasterPak that mean nothing here: no other program is run. */
const WITHOUT_USE = new Set(["bento4.binarypath"]);
const RULE_TABLES = { token: TOKEN_OPTIONS, encryption: ENCRYPTION_OPTIONS } as const;
type RuleSection = keyof typeof RULE_TABLES;

const optionsOf = (section: RuleSection): string[] =>
  Object.values(RULE_TABLES[section]).map(({ ini }) => ini.option.toLowerCase());

/** `sports` of `token_sports.paths`; undefined where it is no option of a named rule. */
const ruleOfKey = (section: RuleSection, key: string): string | undefined =>
  optionsOf(section)
    .filter((option) => key.startsWith(`${section}_`) && key.endsWith(`.${option}`))
    .map((option) => key.slice(section.length + 1, -option.length - 1))[0];

/** `sports` of CASTERPAK_TOKEN_SPORTS_PATHS; the longest option's name that fits counts. */
const ruleOfEnv = (section: RuleSection, name: string): string | undefined => {
  const start = `CASTERPAK_${section.toUpperCase()}_`;
  const ends = optionsOf(section)
    .map((option) => `_${option.toUpperCase()}`)
    .filter((end) => name.startsWith(start) && name.endsWith(end) && name.length > start.length + end.length)
    .sort((a, b) => b.length - a.length);
  return ends[0] && name.slice(start.length, -ends[0].length).toLowerCase();
};

const KNOWN_ENV = new Set<string>(Object.values(PACKAGER_VARIABLES).map(({ env }) => env));
const KNOWN_INI = new Set<string>(
  Object.values(PACKAGER_VARIABLES).flatMap((variable) =>
    "ini" in variable && variable.ini ? [iniKey(variable.ini.section, variable.ini.option)] : [],
  ),
);

/** Where texts come from. */
export class Texts {
  readonly #env: Env;
  readonly #ini: IniFile | null;

  /** Reads `config.ini` for a packager only. Throws ConfigError. */
  constructor(env: Env, { withIni }: { readonly withIni: boolean }) {
    this.#env = env;
    try {
      this.#ini = withIni ? readIni(env.CASTERPAK_CONFIG?.trim() || null) : null;
    } catch (error) {
      if (error instanceof IniProblem) throw new ConfigError("CASTERPAK_CONFIG", `${error.message}.`);
      throw error;
    }
  }

  #find({ env, ini }: Named): Found | undefined {
    const text = this.#env[env]?.trim();
    if (text) return { text, place: env };
    const option = ini && this.#ini?.options.get(iniKey(ini.section, ini.option));
    if (!option?.text.trim()) return undefined;
    return { text: option.text.trim(), place: `${option.section}.${option.option}` };
  }

  /** Whether somebody has set it. */
  has(variable: Named): boolean {
    return this.#find(variable) !== undefined;
  }

  /** The value, the default's value, or null. Throws ConfigError. */
  read<T>(variable: Named & { readonly kind: Kind<T>; readonly fallback: string | null }): T | null {
    const found = this.#find(variable);
    const text = found?.text ?? variable.fallback;
    if (text === null) return null;
    try {
      return variable.kind.parse(text);
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      const shown = variable.secret ? "its value" : JSON.stringify(text.slice(0, 80));
      const place = found && found.place !== variable.env ? ` in ${this.#ini?.file}` : "";
      throw new ConfigError(found?.place ?? variable.env, `${shown}${place} is not ${variable.kind.takes}.`);
    }
  }

  /** Names of the further rules, `[token_<name>]`, in order. */
  ruleNames(section: RuleSection): string[] {
    const names = new Set<string>();
    for (const name of Object.keys(this.#env)) {
      const rule = KNOWN_ENV.has(name) ? undefined : ruleOfEnv(section, name);
      if (rule !== undefined && this.#env[name]?.trim()) names.add(rule);
    }
    for (const key of this.#ini?.options.keys() ?? []) {
      const rule = ruleOfKey(section, key);
      if (rule !== undefined) names.add(rule);
    }
    return [...names].sort();
  }

  /** A sentence for each CasterPak option that is set and that nobody looks at. */
  unknown(): string[] {
    const isRule = (name: string): boolean => !!(ruleOfEnv("token", name) ?? ruleOfEnv("encryption", name));
    const variables = Object.keys(this.#env).filter(
      (name) => name.startsWith("CASTERPAK_") && !KNOWN_ENV.has(name) && !isRule(name),
    );
    const options = [...(this.#ini?.options ?? [])].filter(
      ([key]) =>
        !KNOWN_INI.has(key) && !WITHOUT_USE.has(key) && !(ruleOfKey("token", key) ?? ruleOfKey("encryption", key)),
    );
    return [
      ...options.map(([, { section, option }]) => `${section}.${option} in ${this.#ini?.file} is no setting`),
      ...variables.filter((name) => name !== "CASTERPAK_BENTO4_BINARYPATH").map((name) => `${name} is no setting`),
    ];
  }
}

/** The same option of a named rule. */
export const ofRule = <V extends Variable<unknown>>(variable: V, name: string): V => {
  const { section = "", option = "" } = variable.ini ?? {};
  const env = `CASTERPAK_${section}_${name}_${option}`.toUpperCase();
  return { ...variable, env, ini: { section: `${section}_${name}`, option } };
};
