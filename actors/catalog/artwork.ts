/**
 * Pictures of titles. Their bytes are in the bucket `thumbnails` below `{titleId}/artwork/`, named by their hash, so
 * that one may be cached for ever; all of it goes with the title. An object is put before the row that names it.
 */
import { createHash, randomUUIDv7 } from "node:crypto";
import type { z } from "zod";
import {
  ARTWORK_KINDS,
  ARTWORK_SOURCES,
  type chooseArtwork,
  type deleteArtwork,
  type listArtwork,
} from "../../contracts/artwork.ts";
import { codeOf, fail } from "../../contracts/errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import type { OutgoingAgents } from "../../lib/http/outgoing-agents.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import * as store from "./artwork.store.ts";
import { checkedPicture, type FetchedPicture, fetchPicture, PICTURE_BYTES_MAX } from "./artwork-fetch.ts";
import { licensedTitle } from "./libraries-shown.ts";
import { isUuid, openCursor, sealCursor } from "./lists.ts";
import { pictureUrl } from "./people.ts";
import { locked, touched } from "./writing.ts";

export interface ArtworkDeps {
  readonly db: Database;
  readonly objects: Pick<ObjectStore, "put" | "getBytes" | "delete">;
  readonly agents: OutgoingAgents;
  readonly clock: Clock;
  /** Of the metadata service. */
  readonly imageUrl: string;
}
/** A picture by hand, whose object is there. */
interface Given {
  readonly object: store.StoredObject;
  readonly width: number;
  readonly height: number;
}
export type FoundArtwork = Omit<store.NewArtwork, "id" | "source">;

const BUCKET = "thumbnails";
/** Which size of theirs is fetched: what a screen shows, and no original of 10 MB ("Image Basics"). */
const FETCHED_SIZE = { poster: "w780", backdrop: "w1280", logo: "w500", still: "original", profile: "h632" } as const;

const shown = (titleId: string, row: store.ArtworkRow) => ({
  ...{ id: row.id, kind: row.kind, language: row.language === "" ? null : row.language, source: row.source },
  ...{ width: row.width, height: row.height, chosen: row.chosen, url: pictureUrl(titleId, row.objectName) },
  createdAt: row.createdAt.toISOString(),
});

const LIST = "artwork";
const placeOf = ({ kind, chosen, language, source, place, id }: store.ArtworkRow): readonly unknown[] => [
  ...[kind, chosen, language, source, place, id],
];
/** Where the page before stood, whatever became of that picture since. */
const afterIn = (titleId: string, cursor: string | undefined): store.ArtworkPlace | null => {
  if (cursor === undefined) return null;
  const [kind, chosen, language, source, place, id, ...rest] = openCursor(`${LIST} ${titleId}`, cursor);
  const isPlace = Number.isInteger(place) && Math.abs(Number(place)) < 2 ** 31;
  if (rest.length > 0 || !isUuid(id) || !isPlace || typeof chosen !== "boolean") return fail("BAD_CURSOR");
  if (typeof language !== "string" || !/^[a-z]{0,2}$/.test(language)) return fail("BAD_CURSOR");
  const known = {
    kind: ARTWORK_KINDS.find((one) => one === kind) ?? fail("BAD_CURSOR"),
    source: ARTWORK_SOURCES.find((one) => one === source) ?? fail("BAD_CURSOR"),
  };
  return { ...known, chosen, language, place: Number(place), id };
};

export class ArtworkRoom {
  readonly #deps: ArtworkDeps;

  constructor(deps: ArtworkDeps) {
    this.#deps = deps;
  }

  /** Of a title of its own; of one that is licensed to it what is shown. */
  async list(tenantId: string, { titleId, cursor, limit }: z.output<typeof listArtwork.input>) {
    const { db, clock } = this.#deps;
    const of = { after: afterIn(titleId, cursor), rowCount: limit + 1 };
    const pageOf = (rows: readonly store.ArtworkRow[]) => {
      const last = rows.length > limit ? rows[limit - 1] : undefined;
      const nextCursor = last ? sealCursor(`${LIST} ${titleId}`, placeOf(last)) : null;
      return { data: rows.slice(0, limit).map((row) => shown(titleId, row)), nextCursor };
    };
    const own = await db.tenantTx(tenantId, async (tx) =>
      (await store.hasTitle(tx, titleId)) ? store.artworkPage(tx, titleId, { ...of, chosenOnly: false }) : undefined,
    );
    if (own) return pageOf(own);
    const licensed = await licensedTitle({ db, clock }, tenantId, titleId);
    if (!licensed) return fail("TITLE_NOT_FOUND", { titleId });
    const page = { ...of, chosenOnly: true };
    return pageOf(await db.tenantTx(licensed.row.tenantId, (tx) => store.artworkPage(tx, titleId, page)));
  }

  /** Of a candidate or an address; by a person. */
  async choose(tenantId: string, input: z.output<typeof chooseArtwork.input>) {
    const { titleId, artworkId, url, kind, ifVersion } = input;
    const of = { tenantId, titleId };
    if ((artworkId === undefined) === (url === undefined)) return badInput("artworkId", "either artworkId or url");
    if (url !== undefined && kind === undefined) return badInput("kind", "is needed with url");
    // Before anything is fetched; and once more when it is chosen.
    await this.#deps.db.tenantTx(tenantId, (tx) => locked(tx, { titleId, ifVersion }));
    const given = artworkId === undefined ? await this.#given(of, { url: url!, trusted: input.trusted }) : null;
    if (artworkId !== undefined) await this.#candidate(of, artworkId);
    const choose = this.#deps.db.tenantTx(tenantId, async (tx) => {
      await locked(tx, { titleId, ifVersion });
      const row = given
        ? await this.#putGiven(tx, of, { ...given, kind: kind!, language: input.language ?? "" })
        : await store.readArtwork(tx, titleId, artworkId!);
      if (!row) return fail("ARTWORK_NOT_FOUND", { artworkId });
      const language = input.language === undefined ? row.language : (input.language ?? "");
      await store.choose(tx, { titleId, id: row.id, kind: row.kind, language, byHand: true });
      const titleVersion = (await touched(tx, of))!; // it is locked
      return { data: { ...shown(titleId, (await store.readArtwork(tx, titleId, row.id))!), titleVersion } };
    });
    return choose.catch(async (error: unknown) => {
      if (given && codeOf(error) === "TITLE_NOT_FOUND") await this.#letGo(of, given.object);
      throw error;
    });
  }

  async delete(tenantId: string, { titleId, artworkId, ifVersion }: z.output<typeof deleteArtwork.input>) {
    const { left, titleVersion } = await this.#deps.db.tenantTx(tenantId, async (tx) => {
      await locked(tx, { titleId, ifVersion });
      const row = await store.deleteArtwork(tx, titleId, artworkId);
      if (!row) return fail("ARTWORK_NOT_FOUND", { artworkId });
      const { objectName } = row;
      const isUsed = objectName !== null && (await store.isUsed(tx, titleId, objectName));
      const version = (await touched(tx, { tenantId, titleId }))!; // it is locked
      return { left: isUsed ? null : objectName, titleVersion: version };
    });
    // What is left behind by a crash here goes with the title.
    if (left !== null) await this.#deps.objects.delete(BUCKET, [`${titleId}/artwork/${left}`]);
    return { data: { id: artworkId, titleVersion } };
  }

  /** Candidates of the metadata service or out of the film, in the place of those before. Gives their rows. */
  async offer(
    of: store.TitleOf,
    source: "tmdb" | "frame",
    found: readonly FoundArtwork[],
  ): Promise<readonly store.ArtworkRow[]> {
    return this.#deps.db.tenantTx(of.tenantId, async (tx) => {
      if (!(await store.lockTitle(tx, of.titleId))) return [];
      const rows: store.ArtworkRow[] = [];
      for (const art of found) rows.push(await store.putArtwork(tx, of, { ...art, id: randomUUIDv7(), source }));
      await store.dropCandidates(tx, { titleId: of.titleId, source, keptIds: rows.map(({ id }) => id) });
      return rows;
    });
  }

  /** Chooses a candidate unless a person has chosen one; its bytes are fetched first. */
  async chooseFound(of: store.TitleOf, row: store.ArtworkRow, signal?: AbortSignal): Promise<void> {
    const all = await this.#deps.db.tenantTx(of.tenantId, (tx) => store.artworkOf(tx, of.titleId));
    const isHeld = all.some(
      (one) => one.kind === row.kind && one.language === row.language && one.chosen && one.chosenByHand,
    );
    if (isHeld) return;
    await this.#fetched(of, row, signal);
    await this.#deps.db.tenantTx(of.tenantId, async (tx) => {
      if (!(await store.lockTitle(tx, of.titleId))) return;
      const { id, kind, language } = row;
      if (await store.choose(tx, { titleId: of.titleId, id, kind, language, byHand: false })) await touched(tx, of);
    });
  }

  /** Out of the film: candidates for posters; the first one is shown until there is a better one. */
  async takeFrames(of: store.TitleOf, posters: readonly { path: string; width: number; height: number }[]) {
    const found = posters.map(({ path, width, height }, place) => ({
      ...{ kind: "poster" as const, language: "", origin: path, width, height, place },
    }));
    const [first] = await this.offer(of, "frame", found);
    if (!first) return;
    const all = await this.#deps.db.tenantTx(of.tenantId, (tx) => store.artworkOf(tx, of.titleId));
    const hasPoster = all.some(({ kind, chosen, source }) => kind === "poster" && chosen && source !== "frame");
    if (!hasPoster) await this.chooseFound(of, first);
  }

  /** The picture of a person: the name of its object below `{personId}/artwork/`. */
  async fetchPortrait(personId: string, filePath: string, signal?: AbortSignal): Promise<string> {
    return (await this.#put(personId, await this.#fetch(FETCHED_SIZE.profile, filePath, signal))).name;
  }

  async forgetPortrait(personId: string, name: string): Promise<void> {
    await this.#deps.objects.delete(BUCKET, [`${personId}/artwork/${name}`]);
  }

  async #candidate(of: store.TitleOf, artworkId: string): Promise<void> {
    const row = await this.#deps.db.tenantTx(of.tenantId, (tx) => store.readArtwork(tx, of.titleId, artworkId));
    if (!row) return fail("ARTWORK_NOT_FOUND", { artworkId });
    await this.#fetched(of, row);
  }

  async #given(of: store.TitleOf, from: { readonly url: string; readonly trusted: boolean }): Promise<Given> {
    const picture = await fetchPicture(from.url, { agents: this.#deps.agents, trusted: from.trusted });
    return { object: await this.#put(of.titleId, picture), width: picture.width, height: picture.height };
  }

  async #putGiven(
    tx: Tx,
    of: store.TitleOf,
    { object, ...given }: Given & { readonly kind: store.ArtworkKind; readonly language: string },
  ): Promise<store.ArtworkRow> {
    const art = { ...given, origin: object.name, place: 0, id: randomUUIDv7(), source: "manual" as const };
    const row = await store.putArtwork(tx, of, art);
    await store.setObject(tx, row.id, object);
    return row;
  }

  /** The title was deleted meanwhile: its purge may have been here before the object was put. */
  #letGo({ titleId }: store.TitleOf, { name }: store.StoredObject): Promise<void> {
    return this.#deps.objects.delete(BUCKET, [`${titleId}/artwork/${name}`]);
  }

  /** Makes sure that a candidate's bytes are there. */
  async #fetched(of: store.TitleOf, row: store.ArtworkRow, signal?: AbortSignal): Promise<void> {
    if (row.objectName !== null) return;
    const picture =
      row.source === "frame"
        ? await this.#frame(row.origin, signal)
        : await this.#fetch(FETCHED_SIZE[row.kind], row.origin, signal);
    const object = await this.#put(of.titleId, picture);
    const isKept = await this.#deps.db.tenantTx(
      of.tenantId,
      async (tx) => (await store.lockTitle(tx, of.titleId)) && (await store.setObject(tx, row.id, object)),
    );
    if (!isKept) await this.#letGo(of, object);
  }

  async #frame(key: string, signal?: AbortSignal): Promise<FetchedPicture> {
    const limits = { bytesMax: PICTURE_BYTES_MAX, ...(signal ? { signal } : {}) };
    return checkedPicture((await this.#deps.objects.getBytes({ bucket: BUCKET, key }, limits)).bytes);
  }

  #fetch(size: string, filePath: string, signal?: AbortSignal): Promise<FetchedPicture> {
    const { imageUrl, agents } = this.#deps;
    // The operator named this host; the path comes from there and stays below.
    if (!/^\/[\w.-]{1,200}$/.test(filePath))
      return fail("PICTURE_REFUSED", { reason: "its path is none of a picture" });
    const url = `${imageUrl.replace(/\/$/, "")}/${size}${filePath}`;
    return fetchPicture(url, { agents, trusted: true, ...(signal ? { signal } : {}) });
  }

  async #put(ownerId: string, picture: FetchedPicture): Promise<store.StoredObject> {
    const { bytes, extension, contentType, width, height } = picture;
    const name = `${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}.${extension}`;
    await this.#deps.objects.put({ bucket: BUCKET, key: `${ownerId}/artwork/${name}` }, bytes, { contentType });
    return { name, sizeBytes: bytes.length, width, height };
  }
}

const badInput = (path: string, message: string): never => fail("BAD_INPUT", { errors: [{ path, message }] });
