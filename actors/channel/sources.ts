/** May the tenant name this source? Each origin's URL, against the source type and the private-address rule. */
import type { Channel } from "../../contracts/channel.ts";
import { type ErrorCode, type FieldError, fail } from "../../contracts/errors.ts";
import { StreamPayload } from "../../contracts/streamer.ts";
import { buildPayload, type Settings, sourceUrlOf } from "../../domain/payload/payload.ts";
import { playbackUrlOf } from "../../domain/payload/playback-url.ts";
import { parseSource } from "../../domain/source-url.ts";
import { fieldErrors } from "../../lib/field-errors.ts";
import { guardHost, guardSource, type Resolve } from "../../lib/source-guard.ts";

export interface SourceRules {
  /** Networks that may be named although they are private. */
  readonly allowPrivateSources: readonly string[];
  readonly resolve?: Resolve;
}
export interface ChannelSources {
  readonly sourceType: Channel["sourceType"];
  readonly ingestConfig: Settings;
  readonly transcodeConfig?: Settings | null | undefined;
  readonly origins: readonly { readonly streamerId: number; readonly ingestUrl?: string | null | undefined }[];
  /** The private-address rule does not apply to them: a key with platform:admin gave them. */
  readonly trustedUrls: ReadonlySet<string>;
}
/** A URL that origins of a channel read, and as what. */
export interface NamedSource {
  readonly sourceType: Channel["sourceType"];
  readonly url: string;
  readonly trusted: boolean;
}

/**
 * Which URLs of a channel are trusted: those that a key with platform:admin gives, and those that one gave `earlier`;
 * a URL that such a key leaves as it is keeps what it had.
 */
export const trustedUrlsOf = (
  input: {
    readonly trusted: boolean;
    readonly ingestConfig?: Settings | undefined;
    readonly origins?: readonly { readonly ingestUrl?: string | undefined }[] | undefined;
  },
  earlier: ReadonlySet<string> = new Set(),
): ReadonlySet<string> => {
  if (!input.trusted) return earlier;
  const given = [input.ingestConfig?.url, ...(input.origins ?? []).map(({ ingestUrl }) => ingestUrl)];
  return new Set([...earlier, ...given.filter((url) => typeof url === "string")]);
};

/** What the channel's origins read; an origin without any URL reads nothing. */
export const sourcesOf = ({ sourceType, ingestConfig, origins, trustedUrls }: ChannelSources): NamedSource[] =>
  origins.flatMap(({ ingestUrl = null }) => {
    const url = sourceUrlOf({ ingestConfig, ingestUrl });
    return url === null ? [] : [{ sourceType, url, trusted: trustedUrls.has(url) }];
  });

/** Those of `sources` that are not among `known`, each once. */
export const newSources = (sources: readonly NamedSource[], known: readonly NamedSource[]): NamedSource[] => {
  const isSame = (a: NamedSource) => (b: NamedSource) =>
    a.url === b.url && a.sourceType === b.sourceType && a.trusted === b.trusted;
  return sources.filter((source, i) => !known.some(isSame(source)) && sources.findIndex(isSame(source)) === i);
};

export const badFields = (...errors: readonly FieldError[]): never => fail("BAD_INPUT", { errors });

/** An origin's URL; BAD_INPUT with the path of the field that lacks it. */
export const neededUrl = (parts: Parameters<typeof sourceUrlOf>[0], path: string): string =>
  sourceUrlOf(parts) ?? badFields({ path, message: "is needed, as ingestConfig has no url" });

/** The streamer's own check of what it would get: a key that it knows counts in whichever configuration it stands. */
const checkPayload = ({ ingestConfig, transcodeConfig = null }: ChannelSources, ingestUrl: string | null): void => {
  const checked = StreamPayload.safeParse(buildPayload({ ingestConfig, transcodeConfig, ingestUrl }));
  if (checked.success) return;
  const placeOf = (path: string) =>
    Object.hasOwn(ingestConfig, path.replace(/\..*/, "")) ? "ingestConfig" : "transcodeConfig";
  const errors = fieldErrors(checked.error);
  badFields(...errors.map(({ path, message }) => ({ path: `${placeOf(path)}.${path}`, message })));
};

/** What can be told without a look at the URLs: throws BAD_INPUT. */
export const checkShape = (channel: ChannelSources): void => {
  const { sourceType, ingestConfig, origins } = channel;
  for (const [i, { ingestUrl = null }] of origins.entries())
    neededUrl({ ingestConfig, ingestUrl }, `origins.${i}.ingestUrl`);
  const twice = origins.findIndex(({ streamerId }, i) => origins.some((o, j) => j < i && o.streamerId === streamerId));
  if (twice >= 0) badFields({ path: `origins.${twice}.streamerId`, message: "is named twice" });
  // A pl source is looped by ingestConfig.url alone: an origin's ingestUrl is ignored there.
  if (sourceType === "pl" && typeof ingestConfig.url !== "string")
    badFields({ path: "ingestConfig.url", message: "is needed for the source type pl" });
  for (const { ingestUrl = null } of origins) checkPayload(channel, ingestUrl);
};

const URL_SHOWN_MAX = 200;
/** What is shown of a URL in an error: its password stays out. */
const withoutSecrets = (url: string): string =>
  url
    .replace(/\/\/[^/?#@]*@/, "//…@")
    .replace(/([?&](?:passphrase|password|token|key)=)[^&]*/gi, "$1…")
    .slice(0, URL_SHOWN_MAX);

/** Looks at each URL and where it leads: throws SOURCE_TYPE_MISMATCH or SOURCE_URL_REFUSED. */
export const checkSources = async (sources: readonly NamedSource[], rules: SourceRules): Promise<void> => {
  for (const { sourceType, url, trusted } of sources) {
    const shown = withoutSecrets(url);
    const parsed = parseSource(url, sourceType);
    if (!parsed.ok) {
      const code: ErrorCode = parsed.mismatch ? "SOURCE_TYPE_MISMATCH" : "SOURCE_URL_REFUSED";
      return fail(code, { sourceType, url: shown, reason: parsed.reason });
    }
    const guarded = await guardSource(parsed.source, { ...rules, trusted });
    if (!guarded.ok) return fail("SOURCE_URL_REFUSED", { url: shown, reason: guarded.reason });
  }
};

/** A castis node's base URL, in one form; throws SOURCE_URL_REFUSED. */
export const checkBaseUrl = async (baseUrl: string, rules: SourceRules & { trusted: boolean }): Promise<string> => {
  const url = URL.parse(baseUrl);
  const refuse = (reason: string): never => fail("SOURCE_URL_REFUSED", { url: withoutSecrets(baseUrl), reason });
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) return refuse("it is no http URL");
  if (url.username !== "" || url.password !== "") return refuse("a credential has a field of its own");
  if (url.search !== "" || url.hash !== "") return refuse("it must have no query and no fragment");
  const guarded = await guardHost(url.hostname, rules);
  if (!guarded.ok) return refuse(guarded.reason);
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
};

const PLACES = [
  { tenant: "a", streamId: "a.stream" },
  { tenant: "b", streamId: "b.stream" },
] as const;
/**
 * A castis node's playback URLs: edges fetch what they name, so that they lead to one place, which is the node itself
 * or one that the tenant may name. Throws SOURCE_URL_REFUSED or BAD_INPUT.
 */
export const checkTemplate = async (
  { template, baseUrl }: { template: string; baseUrl: string },
  rules: SourceRules & { trusted: boolean },
): Promise<string> => {
  const [url, other] = PLACES.map((places) => URL.parse(playbackUrlOf(template, { base: baseUrl, ...places })));
  const bad = (message: string): never => badFields({ path: "playbackUrlTemplate", message });
  if (!url || !other || !/^https?:$/.test(url.protocol))
    return bad("must make an http URL; {base}, {tenant}, {streamId} are filled in");
  if (url.username !== "" || url.password !== "") return bad("must have no credential: players get it");
  if (url.origin !== other.origin) return bad("must have {tenant} and {streamId} in its path only");
  if (url.origin === new URL(baseUrl).origin) return template;
  const guarded = await guardHost(url.hostname, rules);
  return guarded.ok ? template : fail("SOURCE_URL_REFUSED", { url: withoutSecrets(template), reason: guarded.reason });
};
