/** The segments of a static MPD (ISO/IEC 23009-1): one list for each Representation of each Period. */
import { segmentTimes } from "./mpd-timeline.ts";
import { append, type Rendition, resolved, TARGETS_MAX, targetOf } from "./targets.ts";
import { readXml, type XmlElement } from "./xml-tree.ts";

const RENDITIONS_MAX = 512;
const PRINT_WIDTH_MAX = 20;

/** What a level of the hierarchy hands to the one below it: §5.6.4 for base URLs, §5.3.9.1 for segment information. */
interface Inherited {
  readonly base: URL;
  /** The nearest first. */
  readonly templates: readonly XmlElement[];
  readonly lists: readonly XmlElement[];
}

interface Period {
  readonly element: XmlElement;
  readonly seconds: number | undefined;
}

/** What the identifiers of a template stand for (§5.3.9.4.4). */
interface Identifiers {
  readonly RepresentationID: string;
  readonly Bandwidth: string;
  readonly Number?: number;
  readonly Time?: number;
}

const DURATION = /^P(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;

/** Seconds of an `xs:duration` without years and months, which have no length of their own. */
const secondsOf = (text: string | undefined): number | undefined => {
  const match = text === undefined ? null : DURATION.exec(text.slice(0, 64));
  if (match === null) return undefined;
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0));
  return ((days! * 24 + hours!) * 60 + minutes!) * 60 + seconds!;
};

const childrenOf = (element: XmlElement, name: string): readonly XmlElement[] =>
  element.children.filter((child) => child.name === name);

const child = (element: XmlElement, name: string): XmlElement | undefined =>
  element.children.find((one) => one.name === name);

/** The first level that has the attribute or element says what it is. */
const attribute = (levels: readonly XmlElement[], name: string): string | undefined =>
  levels.find(({ attributes }) => attributes.has(name))?.attributes.get(name);
const inheritedChild = (levels: readonly XmlElement[], name: string): XmlElement | undefined =>
  levels.map((level) => child(level, name)).find((found) => found !== undefined);

const whole = (text: string | undefined, fallback: number): number => {
  const value = text === undefined ? fallback : Number(text);
  return Number.isSafeInteger(value) && value >= 0 ? value : fallback;
};

/** One level down; undefined when its BaseURL leads to another host. The first BaseURL is the one to begin with. */
const below = ({ base, templates, lists }: Inherited, element: XmlElement): Inherited | undefined => {
  const baseUrl = child(element, "BaseURL")?.text.trim();
  const nearer = baseUrl === undefined ? base : resolved(baseUrl, base);
  if (nearer === undefined) return undefined;
  return {
    base: nearer,
    templates: [...childrenOf(element, "SegmentTemplate"), ...templates],
    lists: [...childrenOf(element, "SegmentList"), ...lists],
  };
};

const IDENTIFIER = /\$(?:(RepresentationID)|(Number|Bandwidth|Time)(?:%0(\d{1,2})d)?)?\$/g;

/** Undefined when something in the template has no value or is not known here, as `$SubNumber$`. */
const filled = (template: string, identifiers: Identifiers): string | undefined => {
  let isKnown = true;
  const text = template.replaceAll(
    IDENTIFIER,
    (_whole, id: string | undefined, name: string | undefined, width = "1") => {
      if (id !== undefined) return identifiers.RepresentationID;
      if (name === undefined) return "\0"; // `$$` is a dollar sign
      const value = identifiers[name as "Number" | "Bandwidth" | "Time"]; // the pattern names these three
      if (value === undefined || Number(width) > PRINT_WIDTH_MAX) isKnown = false;
      return String(value).padStart(Number(width), "0");
    },
  );
  return isKnown && !text.includes("$") ? text.replaceAll("\0", "$") : undefined;
};

class Renditions {
  readonly all: Rendition[] = [];
  #targetCount = 0;

  get roomFor(): number {
    return this.all.length >= RENDITIONS_MAX ? 0 : TARGETS_MAX - this.#targetCount;
  }

  /** URIs against a base; one that leads elsewhere leaves the whole rendition out. */
  add(uris: Iterable<string | undefined>, base: URL): void {
    const rendition: string[] = [];
    for (const uri of uris) {
      if (rendition.length >= this.roomFor) break;
      const url = uri === undefined ? undefined : resolved(uri, base);
      if (url === undefined) return;
      append(rendition, targetOf(url));
    }
    if (rendition.length === 0) return;
    this.#targetCount += rendition.length;
    this.all.push(rendition);
  }
}

/** §5.3.9.4: the init segment and each media segment by its number or time. */
function* templateUris(
  levels: readonly XmlElement[],
  representation: XmlElement,
  seconds: number | undefined,
): Generator<string | undefined> {
  const identifiers = {
    RepresentationID: representation.attributes.get("id") ?? "",
    Bandwidth: representation.attributes.get("bandwidth") ?? "0",
  };
  const initialization = attribute(levels, "initialization");
  if (initialization !== undefined) yield filled(initialization, identifiers);
  const media = attribute(levels, "media");
  if (media === undefined) return;
  const times = segmentTimes({
    timeline: inheritedChild(levels, "SegmentTimeline"),
    timescale: whole(attribute(levels, "timescale"), 1) || 1,
    duration: whole(attribute(levels, "duration"), 0),
    presentationTimeOffset: whole(attribute(levels, "presentationTimeOffset"), 0),
    startNumber: whole(attribute(levels, "startNumber"), 1),
    endNumber: whole(attribute(levels, "endNumber"), Number.MAX_SAFE_INTEGER),
    periodSeconds: seconds,
  });
  for (const { number, time } of times) yield filled(media, { ...identifiers, Number: number, Time: time });
}

/** §5.3.9.3; a SegmentURL without @media is a range of the Representation's own file. */
function* listUris(levels: readonly XmlElement[]): Generator<string> {
  const initialization = inheritedChild(levels, "Initialization");
  if (initialization !== undefined) yield initialization.attributes.get("sourceURL") ?? "";
  const list = levels.find((level) => child(level, "SegmentURL") !== undefined);
  for (const segment of list === undefined ? [] : childrenOf(list, "SegmentURL")) {
    yield segment.attributes.get("media") ?? "";
  }
}

/** §5.3.2.1: a Period ends where it says, where the next one begins, or with the presentation. */
const periodsOf = (mpd: XmlElement): readonly Period[] => {
  const elements = childrenOf(mpd, "Period");
  const total = secondsOf(mpd.attributes.get("mediaPresentationDuration"));
  let startSeconds: number | undefined = 0;
  return elements.map((element, index) => {
    const start: number | undefined = secondsOf(element.attributes.get("start")) ?? startSeconds;
    const next = elements[index + 1];
    const end = next === undefined ? total : secondsOf(next.attributes.get("start"));
    const rest = start === undefined || end === undefined ? undefined : Math.max(0, end - start);
    const seconds = secondsOf(element.attributes.get("duration")) ?? rest;
    startSeconds = start === undefined || seconds === undefined ? undefined : start + seconds;
    return { element, seconds };
  });
};

const addPeriod = (renditions: Renditions, inherited: Inherited | undefined, { element, seconds }: Period): void => {
  const period = inherited && below(inherited, element);
  for (const adaptationSet of period ? childrenOf(element, "AdaptationSet") : []) {
    const set = below(period!, adaptationSet);
    for (const representation of set ? childrenOf(adaptationSet, "Representation") : []) {
      const own = below(set!, representation);
      if (own === undefined || renditions.roomFor === 0) continue;
      if (own.templates.length > 0) renditions.add(templateUris(own.templates, representation, seconds), own.base);
      else if (own.lists.length > 0) renditions.add(listUris(own.lists), own.base);
    }
  }
};

/**
 * Representations in the order of the MPD, Periods one after the other. None of a dynamic MPD (§5.3.1.2: what it lists
 * may not be there yet), of what is no MPD, or of a Representation in one file.
 */
export const mpdSegments = (text: string, base: URL): readonly Rendition[] => {
  const mpd = readXml(text);
  if (mpd?.name !== "MPD" || (mpd.attributes.get("type") ?? "static") !== "static") return [];
  const renditions = new Renditions();
  const root = below({ base, templates: [], lists: [] }, mpd);
  for (const period of periodsOf(mpd)) addPeriod(renditions, root, period);
  return renditions.all;
};
