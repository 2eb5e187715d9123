/** A `.env` file as Docker Compose and `node --env` both read it. */

/** The value can't be written so that both read it alike. */
export class Unwritable extends Error {}

const PLAIN = /^[\w./:@,+~-]+$/;

const quoted = (name: string, value: string): string => {
  if (PLAIN.test(value)) return value;
  if (!/['\n\r]/.test(value)) return `'${value}'`;
  if (!/["\\$`\n\r]/.test(value)) return `"${value}"`;
  throw new Unwritable(`${name} can't stand in a .env file; put it into a config.ini instead`);
};

const nameOf = (line: string): string | undefined => /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=/.exec(line)?.[1];

/** Names that a file sets. */
export const namesIn = (text: string): Set<string> => new Set(text.split("\n").flatMap((line) => nameOf(line) ?? []));

/**
 * The file with these variables: what else stands in it stays as it is, `gone` are taken out, each is set once.
 */
export const withVariables = (
  text: string,
  variables: ReadonlyMap<string, string>,
  gone: (name: string) => boolean,
): string => {
  const kept = text.split("\n").filter((line) => {
    const name = nameOf(line);
    return name === undefined || !(variables.has(name) || gone(name));
  });
  while (kept.at(-1) === "") kept.pop();
  const lines = [...variables].map(([name, value]) => `${name}=${quoted(name, value)}`);
  return `${[...kept, ...lines].join("\n")}\n`;
};
