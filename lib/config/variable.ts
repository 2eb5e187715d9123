/** One variable of the configuration, and how the tables of them are written. */
import type { Kind } from "./kinds.ts";

/** What a process can be; `all` in ROLES means each of them. */
export const ROLES = ["gateway", "control", "streamer", "transcoder", "packager", "edge"] as const;
export type Role = (typeof ROLES)[number];

/** Where a variable stands in a CasterPak `config.ini`. */
export interface IniPlace {
  readonly section: string;
  readonly option: string;
}

export interface Variable<T> {
  readonly env: string;
  readonly kind: Kind<T>;
  /** Text that stands for an unset variable; null: see `otherwise`. */
  readonly fallback: string | null;
  /** What happens without it, where that is not a fixed text. */
  readonly otherwise?: string;
  readonly doc: string;
  /** Roles that look at it. */
  readonly roles: readonly Role[] | "all";
  /** Never shown. */
  readonly secret?: true;
  /** It may also come from the packager's `config.ini`. */
  readonly ini?: IniPlace;
}

type Rest<T> = Omit<Variable<T>, "env" | "kind" | "fallback">;
interface Fixed<T> extends Variable<T> {
  readonly fallback: string;
}
interface Open<T> extends Variable<T> {
  readonly fallback: null;
}

/** A variable whose default is a text of its kind. */
export const fixed = <T>(env: string, kind: Kind<T>, fallback: string, rest: Rest<T>): Fixed<T> => ({
  env,
  kind,
  fallback,
  ...rest,
});

/** A variable that may be absent. */
export const open = <T>(env: string, kind: Kind<T>, rest: Rest<T> & { otherwise: string }): Open<T> => ({
  env,
  kind,
  fallback: null,
  ...rest,
});

/** A table of variables under the names of the config's fields. */
export type Table = Readonly<Record<string, Variable<unknown>>>;

/** What reading a table gives. */
export type ValuesOf<T extends Table> = {
  readonly [K in keyof T]: T[K] extends { kind: Kind<infer V>; fallback: infer F }
    ? F extends null
      ? V | null
      : V
    : never;
};
