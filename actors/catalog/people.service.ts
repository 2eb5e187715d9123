import type { ServiceSchema } from "moleculer";
import {
  addCredit,
  createPerson,
  deletePerson,
  getPerson,
  listCredits,
  listFilmography,
  listPeople,
  mergePeople,
  patchPerson,
  removeCredit,
} from "../../contracts/people.ts";
import { answer, type Call, tenantOf } from "../../lib/actor/contract.ts";
import type { People } from "./people.ts";

const own = (call: Call): string => tenantOf(call).tenantId;

/** People and credits: contract ↔ behaviour. */
export const peopleService = (room: People): ServiceSchema => ({
  name: "people",
  actions: {
    list: answer(listPeople, (input, call) => room.list(own(call), input)),
    create: answer(createPerson, (input, call) => room.create(own(call), input)),
    get: answer(getPerson, ({ personId }, call) => room.get(own(call), personId)),
    patch: answer(patchPerson, (input, call) => room.patch(own(call), input)),
    delete: answer(deletePerson, (input, call) => room.delete(own(call), input)),
    merge: answer(mergePeople, (input, call) => room.merge(own(call), input)),
    filmography: answer(listFilmography, (input, call) => room.filmography(own(call), input)),
    credits: answer(listCredits, (input, call) => room.credits(own(call), input)),
    addCredit: answer(addCredit, (input, call) => room.addCredit(own(call), input)),
    removeCredit: answer(removeCredit, (input, call) => room.removeCredit(own(call), input)),
  },
});
