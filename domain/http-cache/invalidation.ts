/** A request that may have changed something, and its answer. */
export interface Exchanged {
  readonly method: string;
  readonly status: number;
  /** Host as asked for (with its port when not the default one) and origin form of the request. */
  readonly host: string;
  readonly target: string;
  readonly location?: string | undefined;
  readonly contentLocation?: string | undefined;
}

/** Registered as safe (RFC 9110 §9.2.1 and the registry of methods); one we don't know is not. */
const SAFE: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "OPTIONS",
  "PRI",
  "PROPFIND",
  "QUERY",
  "REPORT",
  "SEARCH",
  "TRACE",
]);

/** True for a method whose request asks for no change (RFC 9110 §9.2.1). */
export const isSafeMethod = (method: string): boolean => SAFE.has(method);

/** The origin form of a reference when it is on the same host, else undefined. The scheme is that of the request. */
const sameHostTarget = (reference: string, { host, target }: Exchanged): string | undefined => {
  const base = `http://${host}${target}`;
  if (!URL.canParse(reference, base)) return undefined;
  const url = new URL(reference, base);
  if (url.protocol !== "http:" && url.protocol !== "https:") return undefined;
  const own = new URL(base);
  return url.hostname === own.hostname && url.port === own.port ? `${url.pathname}${url.search}` : undefined;
};

/**
 * The targets (origin form) whose stored answers are no longer to be used without validation (RFC 9111 §4.4): that of
 * the request, and those of Location and Content-Location on the same host. Nothing after a safe method or an error.
 */
export const invalidatedBy = (exchanged: Exchanged): string[] => {
  const { contentLocation, location, method, status, target } = exchanged;
  if (SAFE.has(method) || status < 200 || status > 399) return [];
  const targets = new Set([target]);
  for (const reference of [location, contentLocation]) {
    const named = reference === undefined ? undefined : sameHostTarget(reference, exchanged);
    if (named !== undefined) targets.add(named);
  }
  return [...targets];
};
