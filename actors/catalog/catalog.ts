/** Titles as clients of the REST API see them. */
import { randomUUIDv7 } from "node:crypto";
import type { z } from "zod";
import {
  BULK_MAX,
  type createTitle,
  type editTitles,
  type listTitles,
  type patchTitle,
  type publishTitle,
  type Title,
} from "../../contracts/catalog.ts";
import { codeOf, type Fault, fail } from "../../contracts/errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import * as store from "./catalog.store.ts";
import { badFields, newTitle, viewOf } from "./changes.ts";
import { licensedTitleView } from "./libraries-shown.ts";
import { Life } from "./life.ts";
import { cursorAfter, keysetIn, sortOf } from "./lists.ts";
import { change, insert, locked, save, visible } from "./writing.ts";

export interface TitlesDeps {
  readonly db: Database;
  readonly clock: Clock;
}
interface Ref {
  readonly titleId: string;
  readonly ifVersion?: number | undefined;
}
type Answer = Promise<{ data: Title }>;
type Edit = z.output<typeof editTitles.input>;
type Outcome = z.input<typeof editTitles.result>["data"][number];

/** Takes a transaction back that was only to show what it would do. */
class Undo extends Error {}

export class Titles {
  readonly #db: Database;
  readonly #clock: Clock;

  constructor({ db, clock }: TitlesDeps) {
    this.#db = db;
    this.#clock = clock;
  }

  async create(tenantId: string, input: z.output<typeof createTitle.input>): Answer {
    const row = newTitle({ id: randomUUIDv7(), tenantId, nowMs: this.#clock.nowMs() }, input);
    return { data: viewOf(await this.#db.tenantTx(tenantId, (tx) => insert(tx, row))) };
  }

  /** Its own, or one that another tenant has licensed to it and that is published. */
  async get(tenantId: string, { titleId }: Ref): Answer {
    const row = await this.#db.tenantTx(tenantId, (tx) => store.titleById(tx, titleId));
    if (row) return { data: viewOf(visible(row, titleId)) };
    const licensed = await licensedTitleView({ db: this.#db, clock: this.#clock }, tenantId, titleId);
    return { data: licensed ?? fail("TITLE_NOT_FOUND", { titleId }) };
  }

  async list(tenantId: string, input: z.output<typeof listTitles.input>) {
    const { cursor, limit, sort, ...filter } = input;
    const page = { sort: sortOf(sort), after: keysetIn(sort, cursor), rowCount: limit + 1 };
    const found = await this.#db.tenantTx(tenantId, (tx) => store.titlePage(tx, filter, page));
    const rows = found.slice(0, limit);
    const last = rows.at(-1);
    const nextCursor = found.length > limit && last ? cursorAfter(sort, { value: last.sortValue, id: last.id }) : null;
    return { data: rows.map(viewOf), nextCursor };
  }

  patch(tenantId: string, { titleId, ifVersion, ...patch }: z.output<typeof patchTitle.input>): Answer {
    return this.#change(tenantId, { titleId, ifVersion }, (tx, row) =>
      change(tx, row, { patch, nowMs: this.#clock.nowMs() }),
    );
  }

  publish(tenantId: string, { at, ...ref }: z.output<typeof publishTitle.input>): Answer {
    return this.#move(tenantId, ref, (life) => life.publish(at === undefined ? undefined : Date.parse(at)));
  }

  schedule(tenantId: string, { at, ...ref }: Ref & { readonly at: string }): Answer {
    const atMs = Date.parse(at);
    if (atMs <= this.#clock.nowMs()) return badFields([{ path: "at", message: "must be still to come" }]);
    return this.#move(tenantId, ref, (life) => life.publish(atMs));
  }

  unschedule(tenantId: string, ref: Ref): Answer {
    return this.#move(tenantId, ref, (life) => life.unschedule());
  }

  withdraw(tenantId: string, ref: Ref): Answer {
    return this.#move(tenantId, ref, (life) => life.withdraw());
  }

  /** Title by title, each in a transaction of its own: what one of them refuses is no matter of the others. */
  async edit(tenantId: string, { titles, filter, patch, dryRun }: Edit): Promise<{ data: Outcome[] }> {
    if ((titles === undefined) === (filter === undefined))
      return badFields([{ path: "titles", message: "either titles or filter" }]);
    const refs = titles?.map(({ id: titleId, version: ifVersion }) => ({ titleId, ifVersion })) ?? [];
    const chosen = filter === undefined ? refs : await this.#chosen(tenantId, filter);
    const outcomes: Outcome[] = [];
    for (const ref of chosen) {
      const run = (tx: Tx, row: store.TitleRow) => change(tx, row, { patch, nowMs: this.#clock.nowMs() });
      outcomes.push(await this.#outcome(ref.titleId, () => this.#written(tenantId, { ref, dryRun, run })));
    }
    return { data: outcomes };
  }

  async #chosen(tenantId: string, filter: NonNullable<Edit["filter"]>): Promise<Ref[]> {
    const ids = await this.#db.tenantTx(tenantId, (tx) => store.titleIdsOf(tx, filter, BULK_MAX + 1));
    return ids.length > BULK_MAX ? fail("BULK_TOO_MANY", { max: BULK_MAX }) : ids.map((titleId) => ({ titleId }));
  }

  async #outcome(id: string, run: () => Promise<store.TitleRow>): Promise<Outcome> {
    try {
      const { version } = await run();
      return { id, ok: true, version, error: null };
    } catch (error) {
      const code = codeOf(error);
      // What may pass by itself, and a bug, ends the request; all that was done before stays done.
      if (code === undefined || code === "DATABASE_DOWN" || code === "SHUTTING_DOWN") throw error;
      const { data, message } = error as Fault; // it has a code of the catalogue
      const version = code === "VERSION_CONFLICT" ? Number(data.version) : null;
      return { id, ok: false, version, error: { code, message: detailOf(data) ?? message } };
    }
  }

  async #written(
    tenantId: string,
    { ref, dryRun, run }: { ref: Ref; dryRun: boolean; run: (tx: Tx, row: store.TitleRow) => Promise<store.TitleRow> },
  ): Promise<store.TitleRow> {
    let written: store.TitleRow | undefined;
    const done = this.#db.tenantTx(tenantId, async (tx) => {
      written = await run(tx, await locked(tx, ref));
      if (dryRun) throw new Undo();
    });
    await done.catch((error: unknown) => {
      if (!(error instanceof Undo)) throw error;
    });
    return written!; // nothing was thrown, or only what takes a dry run back
  }

  #move(tenantId: string, ref: Ref, move: (life: Life) => void): Answer {
    return this.#change(tenantId, ref, (tx, row) => {
      const life = new Life(row, this.#clock.nowMs());
      move(life);
      return save(tx, row, life);
    });
  }

  async #change(tenantId: string, ref: Ref, run: (tx: Tx, row: store.TitleRow) => Promise<store.TitleRow>): Answer {
    return { data: viewOf(await this.#written(tenantId, { ref, dryRun: false, run })) };
  }
}

/** What is wrong with which field, in one sentence. */
const detailOf = ({ errors }: Fault["data"]): string | undefined =>
  Array.isArray(errors) ? errors.map(({ path, message }) => `${path} ${message}`).join("; ") : undefined;
