/** ETag and If-Match (RFC 9110 §8.8.3, §13.1.1): the tag of a resource is its version. */
import { badInput } from "./reply.ts";

export const etagOf = (version: number): string => `"${version}"`;

/** No resource has this version, so the actor answers VERSION_CONFLICT and names the true one. */
export const NO_VERSION = 0;
const ENTITY_TAG = /\s*(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)/y;

interface Tag {
  readonly weak: boolean;
  readonly text: string;
}

const tagsOf = (header: string): Tag[] | undefined => {
  const tags: Tag[] = [];
  ENTITY_TAG.lastIndex = 0;
  while (ENTITY_TAG.lastIndex < header.length) {
    const found = ENTITY_TAG.exec(header);
    if (!found) return undefined;
    tags.push({ weak: found[1] !== undefined, text: found[2] ?? "" });
  }
  return tags.length > 0 ? tags : undefined;
};

const refuse = (message: string): never => {
  throw badInput([{ path: "If-Match", message }]);
};

/**
 * The version that a write may change; undefined where any will do (no header, or `*`). If-Match compares strongly, so
 * a weak tag never fits. Fails with BAD_INPUT when the header is no list of entity tags, or names several versions.
 */
export const ifVersionOf = (header: string | undefined): number | undefined => {
  if (header === undefined || header.trim() === "*") return undefined;
  const tags = tagsOf(header) ?? refuse('must be * or an entity tag such as "3"');
  const versions = new Set(
    tags.filter(({ weak, text }) => !weak && /^[1-9]\d{0,14}$/.test(text)).map(({ text }) => text),
  );
  if (versions.size > 1) refuse("must name one version");
  const [version] = versions;
  return version === undefined ? NO_VERSION : Number(version);
};
