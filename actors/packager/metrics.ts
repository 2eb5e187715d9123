/** What the packager shows at `/metrics`, besides its caches and its listener. */
import { gauge } from "../../lib/metrics/metrics.ts";
import type { Library } from "./library.ts";
import type { Workshop } from "./workshop.ts";

interface Shown {
  readonly library: Library;
  readonly workshop: Workshop;
}

/** Figures that are read when somebody asks for them; those of the packager that was opened first. */
export const showFigures = ({ library, workshop }: Shown): void => {
  gauge({
    name: "castellan_packager_titles",
    help: "Files whose index is in memory.",
    collect: (shown) => shown.set(library.titleCount),
  });
  gauge({
    name: "castellan_packager_index_reads",
    help: "How often the boxes of a file were read since the start.",
    collect: (shown) => shown.set(library.readCount),
  });
  gauge({
    name: "castellan_packager_index_bytes",
    help: "Memory that those indexes take.",
    collect: (shown) => shown.set(library.indexBytes),
  });
  gauge({
    name: "castellan_packager_free_slots",
    help: "Segments that could be made whole at this moment.",
    collect: (shown) => shown.set(workshop.freeSlots),
  });
  gauge({
    name: "castellan_packager_free_windows",
    help: "How many more could get a segment in pieces of 512 KiB at this moment; others get it in pieces of 128 KiB.",
    collect: (shown) => shown.set(workshop.freeWindows),
  });
  gauge({
    name: "castellan_packager_cipher_threads",
    help: "Threads that encrypt segments with AES-128; they start with the first one.",
    collect: (shown) => {
      if (workshop.liveThreads !== null) shown.set(workshop.liveThreads);
    },
  });
  gauge({
    name: "castellan_packager_segments_made",
    help: "Segments that were made since the start, whole in a slot or in pieces because there was none.",
    labels: ["how"],
    collect: (shown) => {
      shown.set({ how: "whole" }, workshop.wholeCount);
      shown.set({ how: "pieces" }, workshop.pieceCount);
    },
  });
};
