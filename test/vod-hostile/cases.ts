/** What is asked of the platform: every family of hostile requests, drawn from one seed. */
import type { Random } from "../support/seeded.ts";
import * as api from "./api-cases.ts";
import * as media from "./media-cases.ts";
import type { HostileScene, TenantAt } from "./scene.ts";
import * as uploads from "./upload-cases.ts";
import type { Sent } from "./wire.ts";
import { one } from "./words.ts";

export interface Case extends Sent {
  /** Its family. */
  readonly of: string;
  /** Nothing but the client's fault can be the answer; else a success is one too. */
  readonly isRefused: boolean;
}

/** The one who is attacked has a title that plays; the other one is a customer as well, and means harm. */
export interface Ground {
  readonly scene: HostileScene;
  readonly alice: TenantAt & { readonly titleId: string; readonly token: string; readonly upload: string };
  readonly mallory: TenantAt & {
    readonly titleId: string;
    readonly token: string;
    /** Paths of uploads that have not ended. */
    readonly uploads: readonly string[];
  };
  /** Of a session of the attacked one's title that was revoked. */
  readonly ended: string;
  /** Of that title, below its address. */
  readonly files: readonly string[];
}

type Family = (random: Random, ground: Ground) => Case;

const isFamily = (value: unknown): value is Family => typeof value === "function";

const FAMILIES: readonly Family[] = [
  ...Object.values(media).filter(isFamily),
  ...Object.values(api),
  ...Object.values(uploads),
];

export const caseOf = (random: Random, ground: Ground): Case => one(random, FAMILIES)(random, ground);
