/** Bodies that are right, by the name of the ask: a refusal is then one of whose a thing is, and not of its form. */
import { randomUUID } from "node:crypto";

/** Ids of one tenant, by the parameter of a path that they stand for. */
export type Ids = Readonly<Record<string, string>>;

const TOMORROW = new Date(Date.now() + 86_400_000).toISOString();

/** What is asked with `ids` in the path; routes that are not here take a body without fields. */
export const bodyOf = (name: string): Readonly<Record<string, unknown>> =>
  ({
    "channel.patch": { name: "Taken" },
    "channel.replace": { name: "Taken", sourceType: "udp", ingestConfig: {}, origins: [] },
    "channel.addOrigin": { streamerId: 1 },
    "streamer-registry.patch": { name: "Taken" },
    "catalog.patchTitle": { name: "Taken" },
    "catalog.patchGenre": { name: "Taken" },
    "catalog.scheduleTitle": { at: TOMORROW },
    "libraries.patch": { name: "Taken" },
    "libraries.grant": { tenant: "one" },
    "libraries.addTitles": { titleIds: [randomUUID()] },
    "people.patch": { name: "Taken" },
    "people.merge": { otherPersonId: randomUUID() },
    "people.addCredit": { personId: randomUUID(), kind: "cast" },
    "artwork.choose": { artworkId: randomUUID() },
    "upload.pull": { url: "http://127.0.0.1:1/film.mp4" },
  })[name] ?? {};

/** Bodies that name what is another tenant's (`other`), at an address of one's own. */
export const namingOther = (name: string, other: Ids): Readonly<Record<string, unknown>> | undefined =>
  ({
    "channel.addOrigin": { streamerId: Number(other.streamerId) },
    "catalog.createTitle": { kind: "season", name: "Taken", parentId: other.seriesId, number: 7 },
    "catalog.patchTitle": { channelId: Number(other.channelId) },
    "catalog.editTitles": { titles: [{ id: other.titleId }], patch: { tagline: "Taken" } },
    "libraries.grant": { tenant: "one", titleId: other.titleId },
    "libraries.addTitles": { titleIds: [other.titleId] },
    "people.merge": { otherPersonId: other.personId },
    "people.addCredit": { personId: other.personId, kind: "cast" },
    "artwork.choose": { artworkId: other.artworkId },
    "playback.revokeMany": { titleId: other.titleId },
  })[name];
