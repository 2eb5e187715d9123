/** XML elements as text. */

export type Attributes = Readonly<Record<string, string | number | undefined>>;

const escaped = (value: string | number): string =>
  String(value).replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

/** An element, a line for each of its children; attributes that are undefined are left out. */
export const element = (name: string, attributes: Attributes, children: readonly string[] = []): string => {
  const pairs = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}="${escaped(value)}"`],
  );
  const open = [name, ...pairs].join(" ");
  if (children.length === 0) return `<${open}/>`;
  const inner = children.flatMap((child) => child.split("\n")).map((line) => `  ${line}`);
  return `<${open}>\n${inner.join("\n")}\n</${name}>`;
};

/** An element that has nothing but text in it, on one line. */
export const textElement = (name: string, attributes: Attributes, text: string): string =>
  `${element(name, attributes).slice(0, -2)}>${escaped(text)}</${name}>`;
