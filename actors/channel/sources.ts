/** May the tenant name this source? Each origin's URL, against the source type and the private-address rule. */
import type { Channel } from "../../contracts/channel.ts";
import { type ErrorCode, type FieldError, fail } from "../../contracts/errors.ts";
import { sourceUrlOf } from "../../domain/payload/payload.ts";
import { playbackUrlOf } from "../../domain/payload/playback-url.ts";
import { parseSource } from "../../domain/source-url.ts";
import { guardHost, guardSource, type Resolve } from "../../lib/source-guard.ts";

export interface SourceRules {
  /** Networks that may be named although they are private. */
  readonly allowPrivateSources: readonly string[];
  readonly resolve?: Resolve;
}
export interface ChannelSources {
  readonly sourceType: Channel["sourceType"];
  readonly ingestConfig: Readonly<Record<string, unknown>>;
  readonly origins: readonly { readonly streamerId: number; readonly ingestUrl?: string | null | undefined }[];
  readonly trusted: boolean;
}

export const badFields = (...errors: readonly FieldError[]): never => fail("BAD_INPUT", { errors });

/** Throws BAD_INPUT for a missing URL or a streamer that is named twice. */
const urlsOf = ({ ingestConfig, origins }: ChannelSources): readonly string[] => {
  const urls = origins.map(({ ingestUrl = null }, i) => {
    const url = sourceUrlOf({ ingestConfig, ingestUrl });
    return url ?? badFields({ path: `origins.${i}.ingestUrl`, message: "is needed, as ingestConfig has no url" });
  });
  const twice = origins.findIndex(({ streamerId }, i) => origins.some((o, j) => j < i && o.streamerId === streamerId));
  if (twice >= 0) badFields({ path: `origins.${twice}.streamerId`, message: "is named twice" });
  return [...new Set(urls)];
};

const URL_SHOWN_MAX = 200;
/** What is shown of a URL in an error: its password stays out. */
const withoutSecrets = (url: string): string =>
  url
    .replace(/\/\/[^/?#@]*@/, "//…@")
    .replace(/([?&](?:passphrase|password|token|key)=)[^&]*/gi, "$1…")
    .slice(0, URL_SHOWN_MAX);

/** Throws SOURCE_TYPE_MISMATCH, SOURCE_URL_REFUSED or BAD_INPUT. */
export const checkSources = async (sources: ChannelSources, rules: SourceRules): Promise<void> => {
  const { sourceType, trusted } = sources;
  for (const url of urlsOf(sources)) {
    const shown = withoutSecrets(url);
    // A pl source is looped by ingestConfig.url alone: an origin's ingestUrl is ignored there.
    if (sourceType === "pl" && typeof sources.ingestConfig.url !== "string")
      badFields({ path: "ingestConfig.url", message: "is needed for the source type pl" });
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
  if (url.origin !== other.origin) return bad("must have {tenant} and {streamId} in its path only");
  if (url.origin === new URL(baseUrl).origin) return template;
  const guarded = await guardHost(url.hostname, rules);
  return guarded.ok ? template : fail("SOURCE_URL_REFUSED", { url: withoutSecrets(template), reason: guarded.reason });
};
