/** What edges and gateways are told of who is let in to stored media, and how they ask for it. */
import type { MediaAdmission, RevocationNews } from "../../contracts/playback.ts";

export interface AdmissionNews {
  /** Null: what was told before holds. */
  readonly admission: MediaAdmission | null;
  /** Revoked besides what was told before, in the form of `revocationBytes`. */
  readonly revoked: Uint8Array;
}

export type AskAdmission = (after: string) => Promise<{
  readonly admission: MediaAdmission;
  readonly revoked: RevocationNews;
}>;

/** Of one reading; the next one goes on. */
const PAGES_MAX = 60;

export const entriesIn = (base64: string): Uint8Array => Buffer.from(base64, "base64");

/**
 * Asks for all that there is behind a cursor, and tells each page as it comes. Resolves with the cursor behind the last
 * one; rejects when nobody answers, and what was told until then holds.
 */
export const readAdmission = async (
  ask: AskAdmission,
  from: string,
  told: (news: AdmissionNews, cursor: string) => void,
): Promise<void> => {
  let [after, hasMore] = [from, true];
  for (let page = 0; hasMore && page < PAGES_MAX; page += 1) {
    const { admission, revoked } = await ask(after);
    told({ admission, revoked: entriesIn(revoked.entries) }, revoked.cursor);
    [after, hasMore] = [revoked.cursor, revoked.hasMore];
  }
};
