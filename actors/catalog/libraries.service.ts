import type { ServiceSchema } from "moleculer";
import {
  addLibraryTitles,
  createLibrary,
  deleteLibrary,
  getLibrary,
  grantLicence,
  listLibraries,
  listLibraryTitles,
  listLicences,
  patchLibrary,
  receivedLicences,
  removeLibraryTitle,
  revokeLicence,
} from "../../contracts/libraries.ts";
import { answer, type Call, tenantOf } from "../../lib/actor/contract.ts";
import type { Libraries } from "./libraries.ts";

const own = (call: Call): string => tenantOf(call).tenantId;

/** Libraries and licences: contract ↔ behaviour. */
export const librariesService = (libraries: Libraries): ServiceSchema => ({
  name: "libraries",
  actions: {
    list: answer(listLibraries, (input, call) => libraries.list(own(call), input)),
    create: answer(createLibrary, (input, call) => libraries.create(own(call), input)),
    get: answer(getLibrary, ({ libraryId }, call) => libraries.get(own(call), libraryId)),
    patch: answer(patchLibrary, (input, call) => libraries.patch(own(call), input)),
    delete: answer(deleteLibrary, (input, call) => libraries.delete(own(call), input)),
    titles: answer(listLibraryTitles, (input, call) => libraries.titles(own(call), input)),
    addTitles: answer(addLibraryTitles, (input, call) => libraries.addTitles(own(call), input)),
    removeTitle: answer(removeLibraryTitle, (input, call) => libraries.removeTitle(own(call), input)),
    licences: answer(listLicences, (input, call) => libraries.licences(own(call), input)),
    grant: answer(grantLicence, (input, call) => libraries.grant(own(call), input)),
    revoke: answer(revokeLicence, (input, call) => libraries.revoke(own(call), input)),
    received: answer(receivedLicences, (input, call) => libraries.received(own(call), input)),
  },
});
