/** What a streamer is told to run: ingest and transcode settings merged (P-04, P-08, P-09). */

export type Settings = Readonly<Record<string, unknown>>;

/** The POST body of a castis node and the `payload` of our own streamers. */
export type Payload = Readonly<Record<string, unknown>> & { readonly url: string };

export interface PayloadParts {
  readonly ingestConfig: Settings;
  readonly transcodeConfig: Settings | null;
  readonly ingestUrl: string | null;
}

/**
 * The URL that an origin reads. `ingestConfig.url` wins for any scheme; with `pl:///` that is all there is, so an
 * origin's `ingestUrl` never counts there. Null: neither names one.
 */
export const sourceUrlOf = (parts: Pick<PayloadParts, "ingestConfig" | "ingestUrl">): string | null =>
  typeof parts.ingestConfig.url === "string" ? parts.ingestConfig.url : parts.ingestUrl;

/** One flat object; a key that both configurations have is taken from ingestConfig, `url` is filled in. */
export const buildPayload = (parts: PayloadParts): Payload | null => {
  const url = sourceUrlOf(parts);
  return url === null ? null : { ...parts.transcodeConfig, ...parts.ingestConfig, url };
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Deep equality of JSON values; the order of an object's keys does not count. */
export const sameJson = (a: unknown, b: unknown): boolean => {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => sameJson(item, b[i]));
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]))
  );
};

/** The first field of `sent` that `found` lacks or has otherwise; null when each is there and equal. */
export const firstDifference = (sent: Settings, found: unknown): string | null => {
  if (!isObject(found)) return "body";
  return Object.keys(sent).find((key) => !Object.hasOwn(found, key) || !sameJson(sent[key], found[key])) ?? null;
};

/** RFC 7396 §2. Neither argument is changed. */
export const mergePatch = (target: unknown, patch: unknown): unknown => {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    // defineProperty, not assignment: a key named __proto__ is a key like any other.
    else
      Object.defineProperty(result, key, {
        value: mergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value),
        enumerable: true,
        writable: true,
        configurable: true,
      });
  }
  return result;
};
