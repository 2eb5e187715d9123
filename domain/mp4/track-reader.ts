import { BoxReader } from "./box.ts";
import { parseFragment, type Sample } from "./fragment.ts";
import { parseInit, type TrackInfo } from "./init.ts";

export interface TrackEvents {
  /** The init segment (ftyp and moov) and what it says. */
  readonly onInit: (init: Buffer, info: TrackInfo) => void;
  /** Its data is a view into what was pushed. */
  readonly onSample: (sample: Sample) => void;
}

/** Cuts a fragmented file with one track (ISO/IEC 14496-12 §8.8) into its init segment and samples, as bytes come. */
export const trackReader = ({ onInit, onSample }: TrackEvents): BoxReader => {
  let fileType: Buffer = Buffer.alloc(0);
  let moof: Buffer | null = null;
  return new BoxReader((type, box) => {
    if (type === "ftyp") fileType = Buffer.from(box);
    else if (type === "moov") onInit(Buffer.concat([fileType, box]), parseInit(box));
    else if (type === "moof") moof = box;
    else if (type === "mdat" && moof) {
      for (const sample of parseFragment(moof, box)) onSample(sample);
      moof = null;
    }
  });
};
