/** Header fields as flat lists [name, value, name, value …], in the order received (`rawHeaders` of Node). */
export type FieldList = readonly string[];
/** Looks a request's field up by its lower-case name; repeated lines are joined by `, `. */
export type FieldLookup = (lowerName: string) => string | undefined;

/** Calls `visit` with the name as sent, its lower-case form and the value of each field. */
export const eachField = (fields: FieldList, visit: (name: string, lowerName: string, value: string) => void): void => {
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] ?? "";
    visit(name, name.toLowerCase(), fields[index + 1] ?? "");
  }
};

/** All values of a field in order, one for each line. */
export const fieldValues = (fields: FieldList, lowerName: string): string[] => {
  const values: string[] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] ?? "";
    if (name.length === lowerName.length && name.toLowerCase() === lowerName) values.push(fields[index + 1] ?? "");
  }
  return values;
};

/** The lines of a field joined by `, ` (RFC 9110 §5.3); undefined when there is none. */
export const fieldValue = (fields: FieldList, lowerName: string): string | undefined => {
  const values = fieldValues(fields, lowerName);
  return values.length === 0 ? undefined : values.join(", ");
};

/** A lookup over a list, for the functions that take one. */
export const lookupOf =
  (fields: FieldList): FieldLookup =>
  (lowerName) =>
    fieldValue(fields, lowerName);

/** Where the quoted string that begins at `from` ends (exclusive); the end of the text when it is not closed. */
const endOfQuoted = (text: string, from: number): number => {
  for (let at = from + 1; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
};

/** Members of a list (RFC 9110 §5.6.1), trimmed, empty ones left out; a comma in a quoted string separates nothing. */
export const listMembers = (value: string): string[] => {
  const members: string[] = [];
  const push = (from: number, to: number): void => {
    const member = value.slice(from, to).trim();
    if (member !== "") members.push(member);
  };
  let start = 0;
  for (let at = 0; at < value.length; ) {
    if (value[at] === '"') {
      at = endOfQuoted(value, at);
      continue;
    }
    if (value[at] === ",") {
      push(start, at);
      start = at + 1;
    }
    at += 1;
  }
  push(start, value.length);
  return members;
};

/** The text of a quoted string (RFC 9110 §5.6.4) without its escapes; undefined when it is not exactly one. */
export const unquoted = (text: string): string | undefined =>
  /^"((?:[^"\\]|\\.)*)"$/s.exec(text)?.[1]?.replaceAll(/\\(.)/gs, "$1");
