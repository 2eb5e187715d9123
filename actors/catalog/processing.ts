/** Sources that come in, and what transcoders tell of them. */
import { randomUUIDv7 } from "node:crypto";
import type { z } from "zod";
import { type attachSource, contentSourceAttached } from "../../contracts/catalog.ts";
import type { Encryption } from "../../contracts/content-set.ts";
import {
  type MediaFacts,
  transcodeComplete,
  transcodeFailed,
  transcodePlayable,
  transcodeStarted,
} from "../../contracts/transcoder.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import { type EventBus, publishFact } from "../../lib/events/events.ts";
import * as store from "./catalog.store.ts";
import { newTitle } from "./changes.ts";
import { episodeAt } from "./episodes.ts";
import { Life } from "./life.ts";
import { insert, locked, save } from "./writing.ts";

export interface ProcessingDeps {
  readonly db: Database;
  readonly clock: Clock;
  /** Of titles that don't say. */
  readonly encryption: Encryption;
}
type Source = z.output<typeof attachSource.input>;
interface Told {
  readonly tenantId: string;
  readonly titleId: string;
  readonly revision: number;
}

const NAME_MAX = 500;
const NEWS = [transcodeStarted, transcodePlayable, transcodeComplete, transcodeFailed] as const;

/** A length that somebody gave stays. */
const mediaFields = (row: store.TitleRow, media: z.output<typeof MediaFacts>): Partial<store.TitleRow> => ({
  media,
  runtimeSeconds: row.manualFields.includes("runtimeSeconds")
    ? row.runtimeSeconds
    : Math.max(1, Math.round(media.durationSeconds)),
});

/** `My film.mkv` → `My film` */
const nameOf = ({ name, filename }: Source): string =>
  (name?.trim() || filename.replace(/\.[A-Za-z0-9]{1,5}$/, "").trim() || "Untitled").slice(0, NAME_MAX);

export class Processing {
  readonly #deps: ProcessingDeps;

  constructor(deps: ProcessingDeps) {
    this.#deps = deps;
  }

  /** A source of which it was told before changes nothing. */
  attach(tenantId: string, source: Source): Promise<{ titleId: string; revision: number }> {
    return this.#deps.db.tenantTx(tenantId, async (tx) => {
      const known = await store.lockSource(tx, source.sourceId);
      if (known) return { titleId: known.titleId, revision: known.revision };
      const before = await this.#titleFor(tx, tenantId, source);
      const life = new Life(before, this.#deps.clock.nowMs());
      life.attach();
      const { id: titleId, revision, encryption, codec } = await save(tx, before, life);
      const { sourceId, path, filename, sizeBytes } = source;
      await store.insertSource(tx, { sourceId, tenantId, titleId, revision, path, filename, sizeBytes });
      await publishFact(tx, contentSourceAttached, titleId, {
        ...{ tenantId, titleId, revision, sourceId, path, filename, codec },
        encryption: encryption ?? this.#deps.encryption,
      });
      return { titleId, revision };
    });
  }

  /** Transcoders' news, in order per title, possibly more than once. */
  async listen(events: EventBus): Promise<void> {
    await events.subscribe("catalog", NEWS, async ({ name, payload }) => {
      const told: Told = payload;
      if (name === transcodeStarted.name) await this.started(transcodeStarted.payload.parse(payload));
      if (name === transcodePlayable.name) await this.#tell(told, (life) => life.playable(told.revision));
      if (name === transcodeComplete.name) await this.complete(transcodeComplete.payload.parse(payload));
      if (name === transcodeFailed.name) {
        const { code, reason } = transcodeFailed.payload.parse(payload);
        await this.#tell(told, (life) => life.failed(told.revision, { code, reason }));
      }
    });
  }

  started({ media, ...told }: z.output<typeof transcodeStarted.payload>): Promise<void> {
    return this.#tell(told, async (life, tx) => {
      life.started(told.revision);
      await store.setSourceMedia(tx, { ...told, media });
      // What is being played is another file until this one is whole.
      if (life.row.readyRevision === null) life.found(mediaFields(life.row, media));
    });
  }

  complete({ rungs, ...told }: z.output<typeof transcodeComplete.payload>): Promise<void> {
    return this.#tell(told, async (life, tx) => {
      const media = await store.sourceMedia(tx, told);
      life.found({ rungs: [...rungs], ...(media === null ? {} : mediaFields(life.row, media)) });
      life.complete(told.revision);
    });
  }

  /** News of another revision than the newest, or of a deleted title, change nothing. */
  async #tell(told: Told, move: (life: Life, tx: Tx) => Promise<void> | void): Promise<void> {
    await this.#deps.db.tenantTx(told.tenantId, async (tx) => {
      const before = await store.lockTitle(tx, told.titleId);
      if (!before || before.deletedAt !== null) return;
      const life = new Life(before, this.#deps.clock.nowMs());
      if (!life.isNews(told.revision)) return;
      await move(life, tx);
      await save(tx, before, life);
    });
  }

  async #titleFor(tx: Tx, tenantId: string, source: Source): Promise<store.TitleRow> {
    if (source.titleId !== null) return locked(tx, { titleId: source.titleId });
    const nowMs = this.#deps.clock.nowMs();
    const { place, name } = source;
    if (source.kind === "episode" && place) return episodeAt(tx, { tenantId, nowMs, place, name });
    const of = { id: randomUUIDv7(), tenantId, nowMs };
    return insert(tx, newTitle(of, { kind: source.kind, name: nameOf(source), year: source.year }));
  }
}
