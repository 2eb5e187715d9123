/**
 * As much of XML 1.0 as an MPD needs: elements, attributes, text. No DTD, so no entities but the five and numbers;
 * prefixes of names are dropped. Bounded in depth and number; hostile text gives undefined, in linear time.
 */
export interface XmlElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  readonly text: string;
}

interface Growing extends XmlElement {
  readonly children: Growing[];
  text: string;
}

const DEPTH_MAX = 32;
/** An S element per segment of a long film, in each of some representations. */
const ELEMENTS_MAX = 200_000;
const ATTRIBUTES_MAX = 64;
const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
const CODE_POINT_MAX = 0x10ffff;

const plain = (text: string): string =>
  text.replaceAll(/&(?:#x([0-9a-fA-F]{1,6})|#([0-9]{1,7})|(amp|lt|gt|quot|apos));/g, (whole, hex, decimal, name) => {
    if (name !== undefined) return NAMED[name]!;
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    return code <= CODE_POINT_MAX ? String.fromCodePoint(code) : whole;
  });

const localName = (name: string): string => name.slice(name.indexOf(":") + 1);

/** What is not an element: up to its end, and whether it is text (§2.5 to §2.8). */
const ASIDES = [
  { start: "<!--", end: "-->", isText: false },
  { start: "<![CDATA[", end: "]]>", isText: true },
  { start: "<?", end: "?>", isText: false },
] as const;

const NAME = /[A-Za-z_][\w:.-]{0,127}/y;
const ATTRIBUTE = /\s+([A-Za-z_][\w:.-]{0,127})\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/y;
const TAG_END = /\s*(\/?)>/y;

class XmlReader {
  readonly #text: string;
  readonly #open: Growing[] = [];
  #at = 0;
  #count = 0;
  #root: Growing | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  /** The root, when all of the text is well-formed and within the limits. */
  read(): XmlElement | undefined {
    while (this.#at < this.#text.length) {
      if (!this.#step()) return undefined;
    }
    return this.#open.length === 0 ? this.#root : undefined;
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at = pattern.lastIndex;
    return match;
  }

  #step(): boolean {
    const next = this.#text.indexOf("<", this.#at);
    const end = next === -1 ? this.#text.length : next;
    this.#addText(plain(this.#text.slice(this.#at, end)));
    this.#at = end;
    if (next === -1) return true;
    const aside = ASIDES.find(({ start }) => this.#text.startsWith(start, end));
    if (aside !== undefined) return this.#skip(aside);
    this.#at += 1;
    return this.#text[this.#at] === "/" ? this.#close() : this.#element();
  }

  #addText(text: string): void {
    const open = this.#open.at(-1);
    if (open !== undefined) open.text += text;
  }

  #skip({ start, end, isText }: (typeof ASIDES)[number]): boolean {
    const from = this.#at + start.length;
    const to = this.#text.indexOf(end, from);
    if (to === -1) return false;
    if (isText) this.#addText(this.#text.slice(from, to));
    this.#at = to + end.length;
    return true;
  }

  #close(): boolean {
    this.#at += 1;
    const name = this.#match(NAME)?.[0];
    const end = this.#match(TAG_END);
    return name !== undefined && end?.[1] === "" && this.#open.pop()?.name === localName(name);
  }

  #element(): boolean {
    const name = this.#match(NAME)?.[0];
    if (name === undefined) return false; // among them <!DOCTYPE
    const attributes = new Map<string, string>();
    for (let pair = this.#match(ATTRIBUTE); pair !== undefined; pair = this.#match(ATTRIBUTE)) {
      attributes.set(localName(pair[1]!), plain(pair[2] ?? pair[3] ?? ""));
      if (attributes.size > ATTRIBUTES_MAX) return false;
    }
    const end = this.#match(TAG_END);
    this.#count += 1;
    if (end === undefined || this.#count > ELEMENTS_MAX || this.#open.length >= DEPTH_MAX) return false;
    const element: Growing = { name: localName(name), attributes, children: [], text: "" };
    const parent = this.#open.at(-1);
    if (parent === undefined && this.#root !== undefined) return false;
    if (parent === undefined) this.#root = element;
    else parent.children.push(element);
    if (end[1] === "") this.#open.push(element);
    return true;
  }
}

/** The root element; undefined when the text is not well-formed, has a DTD, or exceeds a limit. */
export const readXml = (text: string): XmlElement | undefined => new XmlReader(text.replace(/^\uFEFF/, "")).read();
