/** What the server of tus refuses by itself, in a sentence, as errors of the catalogue. */
import { Fault } from "../../contracts/errors.ts";

const REASON_CHARACTERS_MAX = 200;

export interface TusRefusal {
  readonly status: number;
  /** Its sentence. */
  readonly text: string;
  readonly uploadId: string;
  /** What the upload, or any of them, may have. */
  readonly limitBytes: number;
}

/** The status is tus's own where clients act by it. */
export const tusFault = ({ status, text, uploadId, limitBytes }: TusRefusal): Fault => {
  if (status === 404) return new Fault("UPLOAD_NOT_FOUND", { uploadId });
  if (status === 409) return new Fault("UPLOAD_OFFSET");
  if (status === 410) return new Fault("UPLOAD_GONE", { uploadId, state: "expired" });
  if (status === 413) return new Fault("UPLOAD_TOO_LARGE", { limitBytes });
  const reason = text.trim().replace(/\.$/, "").slice(0, REASON_CHARACTERS_MAX);
  return new Fault("TUS_REFUSED", { reason: reason || `its status is ${status}` });
};
