/** What a set of origins is made of and asked with. */

import type { Log } from "../../../lib/log/log.ts";
import type { ContentSource } from "../../../lib/source/port.ts";
import type { OriginTimeouts } from "./contract.ts";
import type { MemberOptions } from "./member.ts";
import type { HealthRules } from "./probes.ts";

interface Placed {
  readonly id: string;
  /** Lower first; 0 unless told. */
  readonly order?: number | undefined;
  /** Share among those of an equal order; 1 unless told. */
  readonly weight?: number | undefined;
}
/** An HTTP(S) server. */
export interface UrlOrigin extends Placed {
  readonly url: string;
  /** The Host that it gets; unless told that of its URL. */
  readonly hostHeader?: string | undefined;
  /** PEM of authorities to trust instead of the usual ones. */
  readonly ca?: string | undefined;
}
/** A content source; the set closes it. */
export interface ContentOrigin extends Placed {
  readonly source: ContentSource;
}
/** This platform's packagers, as `packagers` has them at the moment. */
export interface PackagerOrigin extends Placed {
  readonly plexbd: "packager";
}

export interface OriginSetOptions {
  readonly origins: readonly (UrlOrigin | ContentOrigin | PackagerOrigin)[];
  readonly parents?: readonly { readonly id: string; readonly url: string }[];
  /** Base URLs of the packagers. */
  readonly packagers?: () => readonly string[];
  /** Origins with a URL are asked for this all the time. */
  readonly health?: HealthRules | undefined;
  /** Hostname of the site: parents get it as Host, unless the request has one. */
  readonly site: string;
  /** The configuration is the operator's: origins may be anywhere. Otherwise none may be in a private network … */
  readonly trusted: boolean;
  /** … but these (`10.0.0.0/8`). */
  readonly allowPrivateSources?: readonly string[];
  readonly timeouts?: Partial<OriginTimeouts>;
  /** The shortest wait before a second origin is asked as well: 50 ms unless told. */
  readonly hedgeMinMs?: number;
  /** To each origin: 128 unless told. */
  readonly connectionsMax?: number;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  readonly log: Log;
  /** From 0 to below 1. */
  readonly random: () => number;
}

export interface AskOptions {
  /** Ends the wait for the head with its reason; a body is ended by `drop`. */
  readonly signal?: AbortSignal | undefined;
  /** This one and no other, once, however it is: a body that broke off is resumed. */
  readonly only?: string | undefined;
  /** Not these. */
  readonly avoid?: ReadonlySet<string> | undefined;
  /** 10 s unless told; an origin that exceeds it is left out for a while. */
  readonly firstByteMs?: number | undefined;
  /** Whether a second origin may be asked when the first is slow: true unless told. */
  readonly hedge?: boolean | undefined;
}

export interface OriginHealth {
  readonly id: string;
  readonly kind: MemberOptions["kind"];
  readonly isUp: boolean;
  /** Smoothed; undefined until it has answered. */
  readonly firstByteMs: number | undefined;
  /** When most of its answers have begun; undefined until it has answered. */
  readonly usualMs: number | undefined;
}
