/**
 * A CasterPak `config.ini` as texts for the variables of the same places. It is read as Python's configparser reads it:
 * names without regard to case, `=` or `:` between name and value, `#` and `;` comments on lines of their own only.
 */
import { existsSync, readFileSync } from "node:fs";
import { parse } from "ini";

/** One option of the file. */
export interface IniOption {
  readonly section: string;
  readonly option: string;
  readonly text: string;
}

/** A file that was read. */
export interface IniFile {
  /** As it was named. */
  readonly file: string;
  /** By `section.option` in lower case. */
  readonly options: ReadonlyMap<string, IniOption>;
}

/** The file is there and can't be used; the message says why. */
export class IniProblem extends Error {}

const FILE_BYTES_MAX = 1024 * 1024;

/** `section.option` as both sides write it. */
export const iniKey = (section: string, option: string): string => `${section}.${option}`.toLowerCase();

/** A line for the package `ini`, which would cut a value at `;` or `#` and knows no `:`. */
const escaped = (line: string, number: number): string => {
  const text = line.trim();
  if (text === "" || /^[#;]/.test(text)) return "";
  if (/^\[[^\]]*\]$/.test(text)) return text;
  const [, name = "", value] = /^([^=:]+?)\s*[=:]\s*(.*)$/.exec(text) ?? [];
  if (value === undefined) throw new IniProblem(`line ${number} is neither [section] nor option = value`);
  return `${name} = ${value.replace(/[\\;#]/g, "\\$&")}`;
};

/** The options of a file's text. Throws IniProblem. */
export const parseIni = (text: string): ReadonlyMap<string, IniOption> => {
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\r|\n/);
  const parsed = parse(lines.map((line, index) => escaped(line, index + 1)).join("\n"));
  const options = new Map<string, IniOption>();
  for (const [section, values] of Object.entries(parsed)) {
    if (typeof values !== "object" || values === null) throw new IniProblem(`${section} stands before any [section]`);
    for (const [option, value] of Object.entries(values)) {
      const text = Array.isArray(value) ? value.join(",") : String(value);
      options.set(iniKey(section, option), { section, option, text });
    }
  }
  return options;
};

/** The named file, else `./config.ini` where there is one; null without. Throws IniProblem. */
export const readIni = (named: string | null): IniFile | null => {
  const file = named ?? "config.ini";
  if (named === null && !existsSync(file)) return null;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new IniProblem(`${file} can't be read (${(error as NodeJS.ErrnoException).code ?? "failed"})`);
  }
  if (text.length > FILE_BYTES_MAX) throw new IniProblem(`${file} is larger than ${FILE_BYTES_MAX} bytes`);
  try {
    return { file, options: parseIni(text) };
  } catch (error) {
    if (error instanceof IniProblem) throw new IniProblem(`${file}: ${error.message}`);
    throw error;
  }
};
