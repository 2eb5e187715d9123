/** Which origin is asked, and in which order. Pure, given what is remembered of their health. */

export interface Origin {
  readonly originId: number;
  readonly kind: "castellan" | "castis";
  /** Folder of the stream on this origin, without a trailing slash. */
  readonly base: string;
  /** Scheme, host and port, and a mark where that is not to be trusted: it fails by itself then. */
  readonly authority: string;
  /** It may be at any address: ours, and castis nodes that a platform admin named. */
  readonly trusted: boolean;
  /** Name (and query) of the multivariant playlist there. */
  readonly master: string;
}

/**
 * Origins whose media have the same names for the same moments. All of ours are one family, each castis node is its
 * own: nothing of two families ever stands under one cache key.
 */
export interface Family {
  readonly id: string;
  readonly kind: Origin["kind"];
  readonly origins: readonly Origin[];
}

export interface HealthView {
  isUp(key: string): boolean;
  dueAtMs(key: string): number;
}

const isUp = (health: HealthView, { base, authority }: Origin): boolean => health.isUp(base) && health.isUp(authority);

/** First in a path: the rest belongs to this castis origin and no other. */
const PIN = /^~(castis-[1-9]\d{0,14})\/(.+)$/;
export const pinOf = (path: string): { readonly familyId: string; readonly path: string } | undefined => {
  const match = PIN.exec(path);
  return match ? { familyId: match[1]!, path: match[2]! } : undefined; // both groups are in every match
};
/** The pinned address of a path, relative to that path's own. */
export const pinnedLocation = (path: string, familyId: string): string =>
  `${"../".repeat(path.split("/").length - 1)}~${familyId}/${path}`;

/** In order of preference: ours, then one per castis origin. */
export const familiesOf = (origins: readonly Origin[]): Family[] => {
  const own = origins.filter(({ kind }) => kind === "castellan");
  const castis = origins.filter(({ kind }) => kind === "castis");
  return [
    ...(own.length > 0 ? [{ id: "own", kind: "castellan" as const, origins: own }] : []),
    ...castis.map((origin) => ({ id: `castis-${origin.originId}`, kind: "castis" as const, origins: [origin] })),
  ];
};

/** The first family with an origin that is up; the first of all when none is. Undefined without origins. */
export const preferredFamily = (families: readonly Family[], health: HealthView): Family | undefined =>
  families.find(({ origins }) => origins.some((origin) => isUp(health, origin))) ?? families[0];

/** Those that are up in the order of preference, then the others, the one that rested longest first. */
export const orderOf = (
  { origins }: Family,
  health: HealthView,
): { readonly up: readonly Origin[]; readonly down: readonly Origin[] } => {
  const restedUntil = ({ base, authority }: Origin) => Math.max(health.dueAtMs(base), health.dueAtMs(authority));
  return {
    up: origins.filter((origin) => isUp(health, origin)),
    down: origins
      .filter((origin) => !isUp(health, origin))
      .sort((left, right) => restedUntil(left) - restedUntil(right)),
  };
};
