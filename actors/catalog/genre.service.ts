import type { ActionSchema } from "moleculer";
import { createGenre, deleteGenre, getGenre, listGenres, patchGenre } from "../../contracts/genre.ts";
import { answer, type Call, tenantOf } from "../../lib/actor/contract.ts";
import type { Genres } from "./genres.ts";

const own = (call: Call): string => tenantOf(call).tenantId;

/** Wiring of genres, a part of the service of titles. */
export const genreActions = (genres: Genres): Record<string, ActionSchema> => ({
  createGenre: answer(createGenre, (input, call) => genres.create(own(call), input)),
  listGenres: answer(listGenres, (input, call) => genres.list(own(call), input)),
  getGenre: answer(getGenre, (input, call) => genres.get(own(call), input)),
  patchGenre: answer(patchGenre, (input, call) => genres.patch(own(call), input)),
  deleteGenre: answer(deleteGenre, (input, call) => genres.delete(own(call), input)),
});
