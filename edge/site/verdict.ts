/** What is to be done for a request, before anything of it is written. */
import type { CacheStatusParts } from "../../domain/http-cache/cache-status.ts";
import type { FieldList } from "../../domain/http-cache/fields.ts";
import type { PlaylistKind } from "../../domain/prefetch/playlist-segments.ts";
import type { Refusal } from "../../lib/http/problem.ts";
import type { Stored } from "../cache/stored.ts";
import type { Rule } from "../config/sites.ts";
import type { Content } from "../node/answer.ts";
import type { Result } from "../node/metrics.ts";
import type { OriginAnswer } from "../origin/site/contract.ts";
import type { SiteRuntime } from "./runtime.ts";

/** What a request means: which object of which site, under which rule. */
export interface Plan {
  readonly runtime: SiteRuntime;
  readonly rule: Rule;
  /** As the origin gets it. */
  readonly target: string;
  /** Of the request, where not those that came count. */
  readonly fields?: FieldList;
  readonly key: string;
  /** By its name. */
  readonly playlist: PlaylistKind | undefined;
}

export type Verdict =
  /** Fresh, and whole in memory. */
  | { readonly kind: "hit"; readonly stored: Stored }
  | {
      readonly kind: "content";
      readonly result: Result;
      readonly content: Content;
      /** For one request and no other. */
      readonly isAlone?: boolean;
      /** Has bytes from here on brought beside the front, for a reader that would wait long for them. */
      readonly bringNear?: (start: number, end: number) => void;
    }
  /** For this request alone: `answer` is what an origin said already, if it did. */
  | { readonly kind: "pass"; readonly status: CacheStatusParts; readonly answer: OriginAnswer | undefined }
  | { readonly kind: "problem"; readonly result: Result; readonly refusal: Refusal };
